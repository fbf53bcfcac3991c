"""Leases that end under a busy application: nothing fails, each is replaced in time."""

from __future__ import annotations

import time
from typing import Callable

import pytest

from probe import Probe
from process import wait_until
from scenario import (GONE_WITHIN_S, answered, check_loop, gaps, kinds, margin_s, overlap_s,
                      wait_no_users)
from servers import Rig

Probes = Callable[..., Probe]


@pytest.mark.slow
@pytest.mark.parametrize("ttl_s, max_ttl_s", [(20, 60), (6, 15)])
def test_minutes_of_logins_and_queries(rig: Rig, start_probe: Probes, long_run: bool,
                                       ttl_s: int, max_ttl_s: int) -> None:
    seconds = 180 if long_run else 75 if ttl_s == 20 else 40
    role = rig.role(ttl_s, max_ttl_s)
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), rig.bao.tls_address))
    loop = probe("loop", seconds, 4, seconds=seconds + 30)

    check_loop(loop, seconds * 10)
    fetched = answered(rig.bao, f"database/creds/{role}", mark)
    assert len(fetched) == len(loop["users"]), "each user that was made was served"
    assert len(fetched) >= 1 + seconds // max_ttl_s
    # Each was replaced at least P/2 before its end, and not much sooner than needed.
    for gap in gaps(fetched):
        assert max_ttl_s / 2 < gap <= max_ttl_s - margin_s(ttl_s) / 2
    reloads = [event for event in loop["events"] if event["kind"] == "reload"]
    assert [event["generation"] for event in reloads] == list(range(2, len(fetched) + 1))
    for event in reloads:
        assert event["old_generation"] == event["generation"] - 1
        assert 0 < event["left_ms"] <= overlap_s(ttl_s) * 1000
    assert not {"failed", "expired", "expiring"} & set(kinds(loop["events"]))

    probe.ok("close")
    wait_no_users(rig.postgres, role)


def test_a_replaced_user_is_gone_after_the_overlap(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(6, 15)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    old = probe.ok("read")["value"]["username"]
    reload = probe.wait_event("reload", 20)
    replaced = time.monotonic()
    assert old in rig.postgres.roles(role), "the old user lives through the overlap"
    drained = probe.wait_event("drained", 10, old_generation=1)
    assert drained["old_generation"] == reload["old_generation"]
    assert time.monotonic() - replaced <= overlap_s(6) + 3
    wait_until(lambda: old not in rig.postgres.roles(role), "the old user is gone",
               GONE_WITHIN_S)
    assert len(rig.postgres.roles(role)) == 1


def test_drained_gives_the_old_lease_back_at_once(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(60, 600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}", policy="app-revoke")))
    old = probe.ok("read")["value"]["username"]
    rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
    probe.ok("reject")
    second = probe.ok("read")["value"]
    assert second["username"] != old and second["generation"] == 2
    probe.ok("drained", 1)
    wait_until(lambda: rig.postgres.roles(role) == [second["username"]],
               "only the new user is left", GONE_WITHIN_S)


def test_a_callback_that_sleeps_delays_no_renewal(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(10, 3600)
    mark = rig.bao.mark()
    probe = start_probe()
    probe.ok("option", "event_sleep_ms", 30_000)
    config = rig.config(role, rig.jwt_login(f"login-{role}"))
    assert probe.open(config)["status"] == "ok"
    probe.ok("secret", "db", "callback")
    probe.ok("read")  # the callback of "ready" sleeps from about now on
    loop = probe("loop", 25, 2, seconds=45)
    check_loop(loop, 100)
    assert len(loop["users"]) == 1
    assert len(probe.ok("callbacks")["events"]) == 1, "it still sleeps"
    renewals = answered(rig.bao, "sys/leases/renew", mark)
    assert len(renewals) >= 4 and all(gap <= 7 for gap in gaps(renewals))


def test_a_crowd_of_leases_is_not_renewed_at_once(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(30, 3600)
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    names = [f"vault://database/creds/{role}?_unique={i}" for i in range(12)]
    users = {probe.ok("read-name", name)["value"]["username"] for name in names}
    again = {probe.ok("read-name", name)["value"]["username"] for name in names}
    assert again == users and len(users) == 12, "a second read is a look-up"
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) == 13
    time.sleep(22)
    times = answered(rig.bao, "sys/leases/renew", mark)
    assert len(times) >= 13
    assert max(times) - min(times) > 1.0
    probe.ok("close")
    wait_no_users(rig.postgres, role)
