"""The end of a process, its children, and what they leave at the servers."""

from __future__ import annotations

import time
from typing import Callable

import pytest

from probe import Probe
from process import wait_until
from scenario import answered, failures, overlap_s, wait_no_users
from servers import Rig

Probes = Callable[..., Probe]


def opened(rig: Rig, probe: Probe, role: str) -> str:
    """The user name of the first value."""
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    return probe.ok("read")["value"]["username"]


@pytest.mark.slow
def test_kill_9_after_a_replacement_leaves_the_old_user_for_the_overlap_only(
        rig: Rig, start_probe: Probes) -> None:
    """The old lease was shortened at the server as it was replaced."""
    role = rig.role(40, 60)
    probe = start_probe()
    old = opened(rig, probe, role)
    probe.wait_event("reload", 60)
    assert old in rig.postgres.roles(role)
    time.sleep(1)  # the request that shortens the old lease follows the event
    probe.kill()
    wait_until(lambda: old not in rig.postgres.roles(role), "the old user is gone",
               overlap_s(40) + 5, 0.2)


def test_kill_9_leaves_the_current_user_for_its_ttl_only(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(6, 60)
    probe = start_probe()
    opened(rig, probe, role)
    probe.kill()
    wait_no_users(rig.postgres, role, 12)


@pytest.mark.parametrize("policy", ["app", "app-revoke"])
@pytest.mark.parametrize("login", ["jwt", "token"])
def test_close_gives_everything_back(rig: Rig, start_probe: Probes, login: str,
                                     policy: str) -> None:
    """By revoke-self of a login of ours; lease by lease under a token that was given,
    with or without the right to revoke."""
    role = rig.role(300, 3600)
    auth = (rig.jwt_login(f"login-{role}", policy=policy) if login == "jwt"
            else rig.token_login(policy))
    probe = start_probe()
    probe.must_open(rig.config(role, auth))
    for number in range(3):
        probe.ok("read-name", f"vault://database/creds/{role}?_unique={number}")
    probe.ok("read")
    assert len(rig.postgres.roles(role)) == 4
    assert probe.ok("close")["ms"] <= 2500
    wait_no_users(rig.postgres, role)


def test_shutdown_tells_what_could_not_be_given_back(rig: Rig, start_probe: Probes,
                                                     start_proxy: Callable) -> None:
    proxy = start_proxy(rig.bao.address)
    role = rig.role(6, 3600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    probe.ok("read")
    proxy.black_hole()
    answer = probe("shutdown", 1000)
    assert answer["status"] in ("timeout", "unavailable")
    assert answer["ms"] <= 1500
    assert probe("read")["status"] == "closed"
    assert probe.ok("close")["ms"] <= 3500


def test_shutdown_wakes_everybody_who_waits(rig: Rig, start_probe: Probes,
                                            start_proxy: Callable) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.black_hole()
    role = rig.role()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    crowd = probe.ok("threads", 20, "read", seconds=30)
    assert crowd["failed"] == 20 and crowd["longest_ms"] <= 11_000
    assert probe.ok("close")["ms"] <= 3500


def test_closing_the_last_handle_gives_the_lease_back(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role)
    probe.ok("close-secret")
    wait_no_users(rig.postgres, role)


@pytest.mark.parametrize("how", ["quit", "exit"])
def test_the_end_of_the_program(rig: Rig, start_probe: Probes, how: str) -> None:
    """With close: nothing is left. Without: no crash, and the TTL is the backstop."""
    role = rig.role(8, 60)
    probe = start_probe()
    opened(rig, probe, role)
    probe.begin(how)
    assert probe.quit() == 0, probe.errors()
    assert probe.errors() == ""
    wait_no_users(rig.postgres, role, 5 if how == "quit" else 14)


def test_a_value_is_readable_after_close_but_not_current(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe()
    user = opened(rig, probe, role)
    probe.ok("close")
    value = probe.ok("value")["value"]
    assert (value["username"], value["current"]) == (user, False)


def test_a_client_can_be_opened_again(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe()
    users = set()
    for _ in range(3):
        users.add(opened(rig, probe, role))
        probe.ok("close")
    assert len(users) == 3
    wait_no_users(rig.postgres, role)


# Fork

def test_a_child_reads_with_its_own_lease(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    mine = opened(rig, probe, role)
    probe.ok("keep", 0)
    children = probe.ok("fork", 4, "close", seconds=60)
    assert (children["ok"], children["logins"], children["bad_exits"]) == (4, 4, 0), \
        children["error"]
    assert children["hidden"] == 4, "values do not cross a fork"
    assert len(set(children["users"])) == 4 and mine not in children["users"]
    value = probe.ok("read")["value"]
    assert (value["username"], value["generation"]) == (mine, 1)
    assert probe.ok("login")["login"] == "ok"
    wait_until(lambda: rig.postgres.roles(role) == [mine], "only the parent's is left", 5)


def test_a_child_that_just_exits_takes_nothing_from_the_parent(
        rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    mine = opened(rig, probe, role)
    children = probe.ok("fork", 4, "exit", seconds=60)
    assert (children["ok"], children["bad_exits"]) == (4, 0), children["error"]
    assert mine in rig.postgres.roles(role)
    assert probe.ok("login")["login"] == "ok"


@pytest.mark.slow
def test_two_hundred_forks_during_renewals(rig: Rig, start_probe: Probes) -> None:
    """Short leases and many forks; each child drops the parent's values, every fourth
    batch reads too. The parent notices nothing."""
    role = rig.role(4, 12)
    mark = rig.bao.mark()
    probe = start_probe()
    opened(rig, probe, role)
    start = time.monotonic()
    for batch in range(20):
        how = "close" if batch % 4 == 0 else "drop"
        children = probe.ok("fork", 10, how, 5, seconds=90)
        assert (children["ok"], children["bad_exits"]) == (10, 0), children["error"]
        probe.ok("read")
        assert probe.ok("login")["login"] == "ok"
        time.sleep(0.5)
    loop = probe("loop", max(1.0, 14 - (time.monotonic() - start)), 2, seconds=60)
    assert failures(loop) == {}
    assert len(answered(rig.bao, "sys/leases/renew", mark)) >= 2
    probe.ok("close")
    wait_no_users(rig.postgres, role, 10)


def test_a_lazy_master_holds_no_lease(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    assert probe.open(rig.config(role, rig.jwt_login(f"login-{role}")))["status"] == "ok"
    probe.ok("secret", "db", "lazy")
    children = probe.ok("fork", 3, "close", seconds=60)
    assert (children["ok"], children["bad_exits"]) == (3, 0), children["error"]
    assert len(set(children["users"])) == 3
    wait_no_users(rig.postgres, role)
