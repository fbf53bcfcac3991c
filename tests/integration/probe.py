"""Drives programs/probe: a C program over the library, one command a line in, one JSON
object a line out. It never prints a password: values are told by their length and hash.
The commands are listed at the top of programs/probe/main.c.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from postgres import DATABASE, Postgres
from process import die_with_parent, clean_environment, private_dir, remove

Answer = dict[str, Any]


def find_probe(root: Path) -> Path:
    """The one of the plain preset, or of the build directory in SECRETRT_BUILD."""
    build = Path(os.environ.get("SECRETRT_BUILD", root / "build" / "plain"))
    return build / "tests" / "probe"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Ended(Exception):
    """The program ended, or did not answer in time."""


class Probe:
    def __init__(self, program: Path, postgres: Postgres | None = None,
                 env: dict[str, str] | None = None, wrapper: list[str] | None = None) -> None:
        self.home = private_dir("probe")
        self._errors = (self.home / "stderr").open("w+b")
        inherited = {name: value for name, value in os.environ.items()
                     if name.endswith("SAN_OPTIONS")}
        self._process = subprocess.Popen(
            [*(wrapper or []), str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, cwd=self.home,
            env=clean_environment(self.home, **inherited, **(env or {})),
            preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL))
        assert self._process.stdin and self._process.stdout
        self._in = self._process.stdin
        self._out = self._process.stdout.fileno()
        self._data = b""
        try:
            if postgres is not None:
                self("db", postgres.host, postgres.port, DATABASE)
        except Ended:
            self.end()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def __call__(self, command: str, *arguments: object, seconds: float = 20.0) -> Answer:
        """Sends one command and waits for its answer."""
        self.begin(command, *arguments)
        return self.finish(seconds)

    def ok(self, command: str, *arguments: object, seconds: float = 20.0) -> Answer:
        """As a call, and it must succeed."""
        answer = self(command, *arguments, seconds=seconds)
        assert answer["status"] == "ok", (command, answer["status"], answer.get("message"))
        return answer

    def begin(self, command: str, *arguments: object) -> None:
        """Sends one command; finish() waits for its answer."""
        line = " ".join([command, *(str(argument) for argument in arguments)])
        try:
            self._in.write(line.encode() + b"\n")
            self._in.flush()
        except OSError:
            raise Ended(self.post_mortem(command)) from None

    def finish(self, seconds: float = 20.0) -> Answer:
        end = time.monotonic() + seconds
        while b"\n" not in self._data:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                raise Ended(f"no answer within {seconds:g} s\n{self.errors()}")
            piece = os.read(self._out, 65536)
            if not piece:
                raise Ended(self.post_mortem("finish"))
            self._data += piece
        line, self._data = self._data.split(b"\n", 1)
        return json.loads(line)

    def post_mortem(self, where: str) -> str:
        return f"the probe ended in {where} with {self._process.wait()}\n{self.errors()}"

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return (self.home / "stderr").read_text(errors="replace")

    # Often used

    def open(self, config: dict[str, Any], **options: object) -> Answer:
        """options: weakest_tier, fetch_timeout_ms, close_timeout_ms, nowait, service,
        audit_hook, audit_sleep_ms. The secret is not opened yet."""
        for name, value in options.items():
            self.ok("option", name, value)
        return self("open", json.dumps(config))

    def must_open(self, config: dict[str, Any], secret: str = "db", **options: object) -> None:
        answer = self.open(config, **options)
        assert answer["status"] == "ok", (answer["status"], answer.get("message"))
        self.ok("secret", secret)

    def events(self, wait_ms: int = 0) -> list[Answer]:
        """All that wait, after waiting this long for more."""
        return self.ok("events", wait_ms, seconds=wait_ms / 1000 + 20)["events"]

    def wait_event(self, kind: str, seconds: float = 20.0, **facts: object) -> Answer:
        """The first event of the kind with these facts; earlier ones are dropped."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in self.ok("next", 200)["events"]:
                if event["kind"] == kind and all(event[k] == v for k, v in facts.items()):
                    return event
        raise Ended(f"no event {kind} {facts} within {seconds:g} s")

    # Its end

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def quit(self, seconds: float = 30.0) -> int:
        """Its exit status, after it closed what is open."""
        try:
            self._in.close()
        except OSError:
            pass
        return self._process.wait(seconds)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._in, self._process.stdout, self._errors):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass
        remove(self.home)
