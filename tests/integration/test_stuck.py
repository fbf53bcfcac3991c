"""F40, F41: a resolver that hangs and a token file on a stuck file system delay no other
node. Both hang for ten seconds at a time, by a library that is preloaded."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import HERE, require
from probe import Probe
from scenario import failures
from servers import Rig

Probes = Callable[..., Probe]
HOST = "vault-that-hangs.example"
HANG_S = 10


@pytest.fixture(scope="module")
def hang(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    require(compiler, "cc: apt-get install build-essential")
    library = tmp_path_factory.mktemp("hang") / "hang.so"
    subprocess.run([str(compiler), "-shared", "-fPIC", "-O1", "-o", str(library),
                    str(HERE / "hang.c")], check=True)
    return library


def stuck(rig: Rig, role: str, scratch: Path, what: str) -> dict[str, Any]:
    """Two stores: one that works, and one whose name or token file hangs."""
    config = rig.config(role, rig.jwt_login(f"login-{role}"))
    token = scratch / "token-that-hangs"
    token.write_text("CANARY.not.read")
    auth = {"method": "jwt", "role": "app", "token_file": str(token)}
    far: dict[str, Any] = {"kind": "vault", "address": rig.bao.address, "auth": auth}
    if what == "resolver":
        far = {"kind": "vault", "address": f"https://{HOST}:8200",
               "auth": rig.jwt_login(f"far-{role}")}
    config["stores"] = {"far": far}
    config["secrets"]["far"] = {"sources": ["far://database/creds/app"]}
    return config


@pytest.mark.parametrize("what", ["resolver", "file system"])
def test_what_hangs_delays_no_other_node(rig: Rig, start_probe: Probes, hang: Path,
                                         scratch: Path, what: str) -> None:
    role = rig.role(6, 3600)
    config = stuck(rig, role, scratch, what)
    probe = start_probe(env={"LD_PRELOAD": str(hang), "HANG_HOST": HOST,
                             "HANG_PATH": str(scratch / "token-that-hangs"),
                             "HANG_SECONDS": str(HANG_S)})
    probe.must_open(config, fetch_timeout_ms=1500)
    answer = probe("read-name", "far")
    assert answer["status"] in ("unavailable", "timeout"), answer["status"]
    assert 1400 < answer["ms"] < 2500, "it hangs, and the caller is not held up longer than it asked for"

    first = probe.ok("read")
    assert first["ms"] < 1000, "a store that works answers while the other one hangs"
    loop = probe("loop", 14, 2, seconds=60)
    assert failures(loop) == {}
    assert len(loop["users"]) == 1, "its lease was renewed in time, again and again"
    assert loop["read_max_ms"] < 200

    begun = time.monotonic()
    probe.ok("close", seconds=20)
    assert time.monotonic() - begun < 5, "closing does not wait for what hangs"
