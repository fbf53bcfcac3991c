"""What an attacker finds in the process: nothing, once the arena has the secret."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Callable

import pytest

from conftest import require
from fakes.proxy import FaultProxy
from memory import core_of, count_in, count_in_memory
from probe import Probe
from process import wait_until
from servers import Rig

Probes = Callable[..., Probe]
Proxies = Callable[..., FaultProxy]


def passwords(proxy: FaultProxy) -> list[bytes]:
    """What the server sent through a proxy that keeps replies, oldest first."""
    found = []
    for seen in proxy.seen:
        if "/creds/" in seen.path and seen.status == 200:
            body = json.loads(seen.reply.partition(b"\r\n\r\n")[2])
            found.append(body["data"]["password"].encode())
    return found


def watched(rig: Rig, start_proxy: Proxies) -> FaultProxy:
    """TLS to the client, as in life."""
    return start_proxy(rig.bao.tls_address, upstream_ca=rig.authority.ca_file,
                       tls=rig.authority.issue("watched"), keep_replies=True)


def test_a_core_dump_has_no_password(rig: Rig, start_probe: Probes, start_proxy: Proxies,
                                     scratch: Path) -> None:
    require(shutil.which("gcore"), "gcore: apt-get install gdb")
    proxy = watched(rig, start_proxy)
    role = rig.role(300, 3600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    probe.ok("read")
    [password] = passwords(proxy)
    # The thread that fetched it may still be wiping what it worked with.
    wait_until(lambda: count_in(core_of(probe.pid, scratch), password) == 0,
               "a core dump without the password", 3, 0.2)
    probe.ok("plant")
    planted = count_in(core_of(probe.pid, scratch), password)
    assert planted >= 1, "the scanner sees a copy where there is one"


def scan(probe: Probe, secrets: list[bytes]) -> dict[str, int]:
    copies: dict[str, int] = {}
    for secret in secrets:
        for name, count in count_in_memory(probe.pid, secret).items():
            copies[name] = copies.get(name, 0) + count
    return copies


def test_no_copy_is_left_outside_the_arena(rig: Rig, start_probe: Probes,
                                           start_proxy: Proxies) -> None:
    """A hundred answers over TLS; then those that are still live, and those that are not."""
    proxy = watched(rig, start_proxy)
    role = rig.role(300, 3600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    for number in range(100):
        probe.ok("read-name", f"vault://database/creds/{role}?_unique={number}")
    probe.ok("read")
    found = passwords(proxy)
    assert len(found) == 101
    assert scan(probe, found) == {}
    probe.ok("plant")
    assert sum(scan(probe, found[:1] + found[-1:]).values()) >= 1
    probe.ok("close")
    probe.ok("forget")
    assert sum(scan(probe, found).values()) <= 2, "only what was planted"


@pytest.mark.long
def test_no_copy_is_left_after_a_hundred_rotations(rig: Rig, start_probe: Probes,
                                                   start_proxy: Proxies) -> None:
    proxy = watched(rig, start_proxy)
    role = rig.role(3, 4)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    probe.ok("loop", 330, 2, seconds=400)
    found = passwords(proxy)
    assert len(found) >= 100
    assert scan(probe, found) == {}


def test_what_we_send_is_bounded(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    """libcurl keeps copies of the token header and of a login's body: counted, stated."""
    proxy = watched(rig, start_proxy)
    role = rig.role(300, 3600)
    auth = rig.jwt_login(f"login-{role}")
    probe = start_probe()
    probe.must_open(rig.config(role, auth, proxy.address))
    probe.ok("read")
    token = next(json.loads(seen.reply.partition(b"\r\n\r\n")[2])["auth"]["client_token"]
                 for seen in proxy.seen if seen.path.endswith("/login")).encode()
    assert sum(count_in_memory(probe.pid, token).values()) <= 4
    jwt = Path(auth["token_file"]).read_bytes().strip()
    assert sum(count_in_memory(probe.pid, jwt).values()) <= 4


def test_redaction_hides_the_live_password(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    probe.ok("read")
    answer = probe.ok("redact")
    assert answer["hidden"] and answer["text"] == "login with *** ended"


def test_nothing_secret_is_said(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    """Log lines, events, reports and error texts of a life with faults."""
    proxy = watched(rig, start_proxy)
    role = rig.role(6, 3600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    probe.ok("read")
    proxy.answer(500, json.dumps({"errors": ["echo CANARY-echoed-by-the-server"]}).encode())
    said = json.dumps([probe.events(5000), probe("reject"), probe("report", 1),
                       probe("report", 3), probe("report", 4), probe.ok("logs")])
    said += probe.errors()
    for secret in [*passwords(proxy), b"CANARY-echoed-by-the-server"]:
        assert secret[-12:].decode() not in said, "a secret was said"
