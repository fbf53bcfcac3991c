"""Logins that end before the leases that they made: those are replaced in time."""

from __future__ import annotations

import time
from typing import Callable

import pytest

import setup_bao
from probe import Probe
from scenario import answered, check_loop, gaps, kinds, wait_no_users
from servers import Rig

Probes = Callable[..., Probe]


def test_a_login_that_ends_first_is_told(rig: Rig, start_probe: Probes) -> None:
    """A token that can't be renewed, in a file that somebody renews: the lease of five
    minutes ends with it after 20 s."""
    role = rig.role(300, 600)
    auth = rig.token_login(ttl_s=20, renewable=False)
    token_file = auth["token_file"]
    probe = start_probe()
    probe.must_open(rig.config(role, auth))
    first = probe.ok("read")["value"]
    started = time.monotonic()
    assert first["limited_by"] == "login"
    assert 0 < first["left_ms"] <= 20_000
    assert first["expires_in_ms"] <= 20_000
    with open(token_file, "w", encoding="ascii") as out:
        out.write(setup_bao.token(rig.bao, ttl_s=20, renewable=False))
    probe.wait_event("reload", 19, generation=2)
    assert time.monotonic() - started < 20
    second = probe.ok("read")["value"]
    assert second["username"] != first["username"]
    assert probe.ok("login")["login"] == "ok"


@pytest.mark.slow
def test_logins_shorter_than_leases_are_replaced_before_their_end(
        rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 600)
    auth = rig.jwt_login(f"login-{role}", ttl_s=12, token_explicit_max_ttl="20s")
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(rig.config(role, auth))
    loop = probe("loop", 45, 3, seconds=75)
    check_loop(loop, 300)
    logins = answered(rig.bao, "auth/jwt/login", mark)
    fetched = answered(rig.bao, f"database/creds/{role}", mark)
    assert len(logins) >= 3 and all(gap < 20 for gap in gaps(logins))
    # A lease dies with the login that made it: each login made its own in time.
    for ended, successor in zip(logins, fetched[1:]):
        assert successor < ended + 20
    assert "expired" not in kinds(loop["events"])
    probe.ok("close")
    wait_no_users(rig.postgres, role)


@pytest.mark.slow
def test_a_batch_login_is_replaced_before_its_end(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 600)
    auth = rig.jwt_login(f"login-{role}", ttl_s=15, token_type="batch")
    probe = start_probe()
    probe.must_open(rig.config(role, auth))
    assert probe.ok("read")["value"]["left_ms"] <= 15_000
    loop = probe("loop", 30, 2, seconds=60)
    check_loop(loop, 200)
    assert len(loop["users"]) >= 3
