"""Several sources of one secret: when the next one serves, and when it must not."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest

from fakes.proxy import FaultProxy
from probe import Probe, sha256
from scenario import audit_lines
from servers import Rig

Probes = Callable[..., Probe]
Proxies = Callable[..., FaultProxy]
ENV = {"DB_USER": "old-app", "DB_PASSWORD": "CANARY-from-the-environment"}
FALLBACK = "env://?username=DB_USER&password=DB_PASSWORD"


def config(rig: Rig, role: str, address: str, **more: Any) -> dict[str, Any]:
    return rig.config(role, rig.jwt_login(f"login-{role}"), address,
                      [f"vault://database/creds/{role}", FALLBACK], **more)


def test_env_serves_while_the_store_is_away_and_is_left_again(
        rig: Rig, start_probe: Probes, start_proxy: Proxies, scratch: Any) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.refuse()
    role = rig.role()
    audit = scratch / "audit.jsonl"
    probe = start_probe(env=ENV)
    probe.must_open(config(rig, role, proxy.address, audit={"file": str(audit)}))
    value = probe.ok("read")["value"]
    assert (value["tier"], value["weakest_tier"], value["deprecated"], value["fallback"]) == \
        (4, 4, True, True)
    assert value["username"] == ENV["DB_USER"]
    assert value["fields"]["password"]["sha256"] == sha256(ENV["DB_PASSWORD"])
    for _ in range(50):
        probe.ok("read")
    lines = [line["message"] for line in probe.ok("logs")["lines"]]
    assert len([line for line in lines if "deprecated" in line]) == 1, lines
    tier = probe.wait_event("tier", 5)
    assert tier["tier"] == 4

    proxy.normal()
    tier = probe.wait_event("tier", 60, tier=2)
    value = probe.ok("read")["value"]
    assert (value["tier"], value["deprecated"], value["fallback"]) == (2, False, False)
    assert probe.ok("login")["login"] == "ok"
    probe.ok("close")
    events = [line["event"] for line in audit_lines(audit)]
    assert "tier.fallback" in events and "tier.climb" in events
    assert ENV["DB_PASSWORD"] not in audit.read_text()


def test_a_store_that_goes_away_keeps_the_lease_before_it_falls_back(
        rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    role = rig.role(6, 3600)
    probe = start_probe(env=ENV)
    probe.must_open(config(rig, role, proxy.address))
    user = probe.ok("read")["value"]["username"]
    proxy.refuse()
    time.sleep(2)
    assert probe.ok("read")["value"]["username"] == user, "the lease is still good"
    deadline = time.monotonic() + 12
    while probe.ok("read")["value"]["tier"] != 4:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("what", ["policy", "login", "404", "integrity"])
def test_no_fallback_because_of_a_refusal(rig: Rig, start_probe: Probes, what: str,
                                          scratch: Any) -> None:
    from identity import Authority

    role = rig.role()
    made = config(rig, role, rig.bao.tls_address if what == "integrity" else rig.bao.address)
    if what == "policy":
        made["vault"]["auth"] = rig.jwt_login(f"no-{role}", policy="nothing")
    elif what == "login":
        made["vault"]["auth"]["role"] = "no-such-role"
    elif what == "404":
        made["secrets"]["db"]["sources"][0] = "vault://kv/data/no-such-secret"
    else:
        made["vault"]["ca_file"] = str(Authority(scratch).ca_file)
    probe = start_probe(env=ENV)
    probe.must_open(made)
    answer = probe("read")
    assert answer["status"] == {"policy": "denied", "login": "login", "404": "not_found",
                                "integrity": "integrity"}[what]
    time.sleep(1)
    assert probe("read")["value"] is None


def test_a_missing_secret_falls_back_only_if_asked(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    made = config(rig, role, rig.bao.address)
    made["secrets"]["db"]["sources"][0] = "vault://kv/data/no-such-secret"
    made["secrets"]["db"]["fallback_on_not_found"] = True
    probe = start_probe(env=ENV)
    probe.must_open(made)
    assert probe.ok("read")["value"]["tier"] == 4


@pytest.mark.parametrize("policy", [{"weakest_tier": 3}, {"tier4_until": "2020-01-31"},
                                    {"weakest_tier": 2, "tier4_until": "2099-01-31"}])
def test_policy_refuses_tier_4(rig: Rig, start_probe: Probes, start_proxy: Proxies,
                               policy: dict) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.refuse()
    role = rig.role()
    probe = start_probe(env=ENV)
    probe.must_open(config(rig, role, proxy.address, policy=policy), fetch_timeout_ms=4000)
    answer = probe("read")
    assert answer["status"] in ("policy", "unavailable"), answer
    assert answer["value"] is None


def test_policy_refuses_an_only_source_of_tier_4(rig: Rig, start_probe: Probes) -> None:
    for policy, word in (({"weakest_tier": 3}, "tier"),
                         ({"tier4_until": "2020-01-31"}, "tier4_until")):
        probe = start_probe(env=ENV)
        made = rig.config("none", {"method": "token"}, sources=[FALLBACK], policy=policy)
        opened = probe.open(made)
        answer = probe("secret", "db") if opened["status"] == "ok" else opened
        answer = probe("read") if answer["status"] == "ok" else answer
        assert answer["status"] == "policy", answer
        assert word in answer["message"]


def test_the_stricter_of_options_and_configuration_holds(rig: Rig, start_probe: Probes) -> None:
    probe = start_probe(env=ENV)
    made = rig.config("none", {"method": "token"}, sources=[FALLBACK], policy={"weakest_tier": 4})
    opened = probe.open(made, weakest_tier=3)
    answer = probe("secret", "db") if opened["status"] == "ok" else opened
    answer = probe("read") if answer["status"] == "ok" else answer
    assert answer["status"] == "policy"


def test_tier_4_alone_works_and_is_flagged(rig: Rig, start_probe: Probes) -> None:
    probe = start_probe(env=ENV)
    made = rig.config("none", {"method": "token"}, sources=[FALLBACK],
                      policy={"tier4_until": "2099-12-31"})
    probe.must_open(made, audit_hook=1)
    value = probe.ok("read")["value"]
    assert (value["tier"], value["deprecated"], value["fallback"]) == (4, True, False)
    assert value["source"].startswith("env://")
    probe.ok("close")
    records = probe.ok("audits")["records"]
    assert all(record["tier"] == 4 for record in records if record["name"] == "db")
    assert any(record["name"] == "db" for record in records)


def test_an_env_variable_that_is_not_set(rig: Rig, start_probe: Probes) -> None:
    probe = start_probe(env={"DB_USER": "old-app"})
    probe.must_open(rig.config("none", {"method": "token"}, sources=[FALLBACK]))
    answer = probe("read")
    assert answer["status"] in ("no_field", "not_found", "unavailable", "config"), answer
    assert "DB_PASSWORD" in answer["message"]
