"""The store or the database is away: the last good value serves, and nobody hammers."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest

from fakes.proxy import FaultProxy
from probe import Probe
from scenario import failures, gaps, kinds, wait_no_users
from servers import Rig

Probes = Callable[..., Probe]
Proxies = Callable[..., FaultProxy]
OUTAGE_S = 15
SHORT_OUTAGE_S = 9  # for a lease of 20 s


def outage(rig: Rig, probe: Probe, proxy: FaultProxy, begin: Callable[[], None],
           end: Callable[[], None]) -> tuple[dict[str, Any], list[float]]:
    """A loop of 40 s over a lease of 20 s, with an outage from the 6th second on: the first
    renewal falls into it. The loop's report, and when requests came during the outage."""
    role = rig.role(20, 3600)
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), proxy.address))
    probe.ok("read")
    probe.ok("events", 0)
    probe.begin("loop", 40, 2)
    time.sleep(6)
    begin()
    away = time.monotonic()
    time.sleep(SHORT_OUTAGE_S)
    end()
    back = time.monotonic()
    loop = probe.finish(60)
    probe.ok("close")
    wait_no_users(rig.postgres, role)
    return loop, [seen.at for seen in proxy.seen if away <= seen.at <= back]


def check(loop: dict[str, Any], during: list[float]) -> None:
    assert failures(loop) == {}, "reads and logins go on"
    # Near its end the lease may be replaced rather than renewed, but only once.
    assert len(loop["users"]) <= 2
    events = kinds(loop["events"])
    assert events.count("failed") == 1, events
    failed = next(event for event in loop["events"] if event["kind"] == "failed")
    assert failed["status"] == "unavailable" and failed["left_ms"] > 0
    assert "expired" not in events
    # Back-off slots of a 20 s lease: 1 s, 2 s, 4 s … each by half at least.
    assert 2 <= len(during) <= 14, len(during)
    assert sorted(gaps(during))[0] >= 0.3 or len(during) < 8


@pytest.mark.slow
def test_a_sealed_server(own_rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    proxy = start_proxy(own_rig.bao.address)
    loop, during = outage(own_rig, start_probe(), proxy, own_rig.bao.seal, own_rig.bao.unseal)
    check(loop, during)


@pytest.mark.slow
def test_a_refused_connection(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    loop, during = outage(rig, start_probe(), proxy, proxy.refuse, proxy.normal)
    assert failures(loop) == {}
    assert kinds(loop["events"]).count("failed") == 1
    assert len(loop["users"]) <= 2


@pytest.mark.slow
def test_a_storm_of_500(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    loop, during = outage(rig, start_probe(), proxy,
                          lambda: proxy.answer(500, b'{"errors":["internal error"]}'),
                          proxy.normal)
    assert failures(loop) == {}
    assert kinds(loop["events"]).count("failed") == 1
    assert 2 <= len(during) <= 14


@pytest.mark.slow
def test_a_black_hole(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    loop, during = outage(rig, start_probe(), proxy, proxy.unreachable, proxy.normal)
    assert failures(loop) == {}
    assert kinds(loop["events"]).count("failed") == 1


@pytest.mark.slow
def test_sealed_for_15_s_with_a_lease_of_60_s(own_rig: Rig, start_probe: Probes,
                                              start_proxy: Proxies) -> None:
    proxy = start_proxy(own_rig.bao.address)
    role = own_rig.role(60, 3600)
    probe = start_probe()
    probe.must_open(own_rig.config(role, own_rig.jwt_login(f"login-{role}"), proxy.address))
    probe.ok("read")
    probe.ok("events", 0)
    probe.begin("loop", 65, 2)
    time.sleep(31)  # the first renewal comes after 36 to 42 s
    own_rig.bao.seal()
    away = time.monotonic()
    time.sleep(OUTAGE_S)
    own_rig.bao.unseal()
    back = time.monotonic()
    loop = probe.finish(60)
    assert failures(loop) == {}
    assert len(loop["users"]) == 1
    assert kinds(loop["events"]).count("failed") == 1
    assert "expired" not in kinds(loop["events"])
    during = [seen.at for seen in proxy.seen if away <= seen.at <= back]
    assert 1 <= len(during) <= 12
    probe.ok("close")
    wait_no_users(own_rig.postgres, role)
