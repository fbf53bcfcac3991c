"""The README's first command: it runs, and its summary is what the README promises."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from conftest import ROOT, missing
from process import wait_until

RUN = ROOT / "examples" / "quickstart" / "run"
NOTHING_INSTALLED = 3


def number(text: str, label: str) -> int:
    found = re.search(rf"^ *{re.escape(label)}: +(\d+)", text, re.MULTILINE)
    assert found, f"no {label!r} in:\n{text}"
    return int(found.group(1))


def directories() -> set[Path]:
    return set(Path(os.environ.get("TMPDIR", "/tmp")).glob("secretrt-quickstart-*"))


def test_no_query_and_no_login_fails_and_nothing_is_left() -> None:
    before = directories()
    done = subprocess.run([str(RUN), "--no-install", "--seconds", "25"], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=400,
                          check=False)
    if done.returncode == NOTHING_INSTALLED:
        missing(done.stdout)
    text = done.stdout
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    assert number(text, "queries run") > 500
    assert number(text, "logins") > 20
    assert number(text, "failed queries") == 0
    assert number(text, "failed logins") == 0
    assert number(text, "users created") >= 2
    assert number(text, "left in PostgreSQL") == 0
    for what in ("acquired", "renewed", "OPERATOR", "rejected", "replaced", "logged out"):
        assert re.search(rf"^ *\d+\.\d s  {what} ", text, re.MULTILINE), f"{what}:\n{text}"
    assert re.search(r"audit records: .*lease\.acquire \d", text)
    assert "\033[" not in text  # colours are for terminals
    assert directories() == before


def test_an_interrupt_cleans_up() -> None:
    before = directories()
    process = subprocess.Popen([str(RUN), "--no-install", "--seconds", "600"], text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        seen = ""
        assert process.stdout
        for line in process.stdout:
            seen += line
            if " acquired " in line:
                break
        if process.poll() == NOTHING_INSTALLED:
            missing(seen)
        made = directories() - before
        assert len(made) == 1, seen
        pids = [int(pid) for pid in (made.pop() / "pids").read_text().split()]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Summary" in rest
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids),
                   "the servers have ended")
        assert directories() == before
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
