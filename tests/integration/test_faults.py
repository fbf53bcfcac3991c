"""Faults at a store or a database, one at a time: down, slow, throttled, forgetful."""

from __future__ import annotations

import os
import signal
import time
from typing import Callable

import pytest

from fakes.proxy import FaultProxy
from probe import Probe
from scenario import answered, failures, wait_no_users
from servers import Rig

Probes = Callable[..., Probe]
Proxies = Callable[..., FaultProxy]


def test_down_past_the_end_is_expired_and_heals(rig: Rig, start_probe: Probes,
                                                start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    role = rig.role(5, 3600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    first = probe.ok("read")["value"]
    proxy.refuse()
    expired = probe.wait_event("expired", 10)
    assert expired["name"] == "db"
    answer = probe("read", "timeout 500")
    assert answer["status"] in ("expired", "unavailable", "timeout")
    assert answer["value"] is None, "never one past its end"
    assert probe.ok("use", 0)["value"] is None
    proxy.normal()
    probe.wait_event("ready", 20)
    second = probe.ok("read")["value"]
    assert second["generation"] > first["generation"]
    assert probe.ok("login")["login"] == "ok"


def test_down_at_the_start(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.refuse()
    role = rig.role()
    probe = start_probe()
    config = rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address)
    opened = probe.open(config, fetch_timeout_ms=1500)
    assert opened["status"] == "ok" and opened["ms"] < 200, "open touches no network"
    probe.ok("secret", "db")
    answer = probe("read")
    assert answer["status"] == "unavailable" and answer["retryable"]
    assert str(proxy.port) in answer["message"] and answer["ms"] <= 2500
    proxy.normal()
    probe.wait_event("ready", 20)
    assert probe.ok("read")["ms"] < 100


def test_an_address_that_swallows_packets_costs_two_seconds(
        rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    """Of two addresses the first is behind a firewall that drops."""
    hole = start_proxy(rig.bao.address)
    hole.unreachable()
    role = rig.role()
    config = rig.config(role, rig.jwt_login(f"login-{role}"))
    config["vault"]["address"] = [hole.address, rig.bao.address]
    probe = start_probe()
    probe.must_open(config)
    answer = probe.ok("read")
    assert answer["ms"] <= 6000


def test_a_slow_answer_does_not_delay_other_secrets(rig: Rig, start_probe: Probes,
                                                    start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    slow, fast = rig.role(), rig.role()
    proxy.drip(1, match=f"database/creds/{slow}")
    config = rig.config(fast, rig.jwt_login(f"login-{fast}"), proxy.address)
    config["secrets"]["slow"] = {"sources": [f"vault://database/creds/{slow}"]}
    probe = start_probe()
    assert probe.open(config)["status"] == "ok"
    probe.ok("secret", "slow")  # starts to fetch
    probe.ok("secret", "db")
    assert probe.ok("read")["ms"] < 3000
    answer = probe("read-name", "slow", seconds=40)
    assert answer["status"] in ("unavailable", "timeout")
    assert answer["ms"] <= 12_000


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(rig: Rig, start_probe: Probes, start_proxy: Proxies,
                                 form: str) -> None:
    proxy = start_proxy(rig.bao.address)
    role = rig.role()
    creds = f"database/creds/{role}"
    value = "3" if form == "seconds" else time.strftime(
        "%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 4))
    proxy.answer(429, b'{"errors":["request path rate limit quota exceeded"]}',
                 {"Retry-After": value}, match=creds, times=1)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    answer = probe("read", "timeout 1000")
    assert answer["status"] in ("throttled", "timeout")
    probe.wait_event("ready", 15)
    times = [seen.at for seen in proxy.seen if creds in seen.path]
    assert len(times) == 2 and 2.5 <= times[1] - times[0] <= 9


def test_the_database_is_down_while_the_store_is_well(own_rig: Rig, start_probe: Probes) -> None:
    """A renewal that fails with 400 says nothing about the lease."""
    role = own_rig.role(12, 3600)
    mark = own_rig.bao.mark()
    probe = start_probe()
    probe.must_open(own_rig.config(role, own_rig.jwt_login(f"login-{role}")))
    first = probe.ok("read")["value"]
    own_rig.postgres.pause()
    try:
        probe.wait_event("failed", 12)
        assert probe.ok("read")["value"]["username"] == first["username"]
    finally:
        own_rig.postgres.resume()
    time.sleep(6)
    assert probe.ok("read")["value"]["username"] == first["username"]
    assert probe.ok("login")["login"] == "ok"
    assert len(answered(own_rig.bao, f"database/creds/{role}", mark)) == 1


def test_a_bad_renewal_statement_makes_no_storm_of_users(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(6, 3600, renew_statements="this is no SQL;")
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    loop = probe("loop", 24, 2, "rescue", seconds=60)
    assert (loop["logins_failed"], loop["reads_failed"]) == (0, 0), loop["errors"]
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) <= 2 + 24 // 4


def test_a_stopped_process_never_serves_an_expired_value(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(4, 3600)
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    old = probe.ok("read")["value"]["username"]
    os.kill(probe.pid, signal.SIGSTOP)
    time.sleep(8)
    os.kill(probe.pid, signal.SIGCONT)
    value = probe.ok("read")["value"]
    assert value["username"] != old and value["left_ms"] > 0
    assert probe.ok("login")["login"] == "ok"


def test_a_server_that_forgot_everything(raft_rig: Rig, start_probe: Probes) -> None:
    """kill -9 of the server and a restart: the lease goes on."""
    role = raft_rig.role(20, 3600)
    probe = start_probe()
    probe.must_open(raft_rig.config(role, raft_rig.jwt_login(f"login-{role}")))
    first = probe.ok("read")["value"]["username"]
    probe.begin("loop", 25, 2)
    time.sleep(8)
    raft_rig.bao.restart()
    loop = probe.finish(60)
    assert failures(loop) == {}
    assert loop["users"] == [first]
    probe.ok("close")
    wait_no_users(raft_rig.postgres, role)
