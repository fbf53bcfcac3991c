"""Values that the other side refuses: revoked leases, revoked logins, wrong grants."""

from __future__ import annotations

import time
from typing import Callable

import setup_bao
from fakes.proxy import FaultProxy
from probe import Probe, sha256
from process import wait_until
from scenario import answered
from servers import Rig

Probes = Callable[..., Probe]
Proxies = Callable[..., FaultProxy]


def opened(rig: Rig, probe: Probe, role: str, **login: object) -> str:
    """The user name of the first value."""
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}", **login)))
    return probe.ok("read")["value"]["username"]


def revoke_login(rig: Rig, role: str) -> None:
    """Revokes every login token of the role's own policy holder, as an operator would."""
    for accessor in rig.bao.must("LIST", "auth/token/accessors").data["keys"]:
        found = rig.bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})
        if found.data.get("path") == "auth/jwt/login" and \
                found.data.get("meta", {}).get("role") == f"login-{role}":
            rig.bao.must("POST", "auth/token/revoke-accessor", {"accessor": accessor})


def test_a_revoked_lease_is_replaced_within_two_seconds(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    old = opened(rig, probe, role)
    assert probe.ok("login")["login"] == "ok"
    rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
    assert probe.ok("login")["login"] == "auth"

    answer = probe.ok("reject", 401)
    assert answer["ms"] <= 2000
    assert answer["value"]["username"] != old
    assert probe.ok("login")["login"] == "ok"
    assert rig.postgres.roles(role) == [answer["value"]["username"]]


def test_a_revoked_login_is_replaced_within_two_seconds(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    old = opened(rig, probe, role)
    mark = rig.bao.mark()
    revoke_login(rig, role)
    wait_until(lambda: probe.ok("login")["login"] == "auth", "the lease died with its login",
               10, 0.1)

    answer = probe.ok("reject", 401)
    assert answer["ms"] <= 2000
    assert answer["value"]["username"] != old
    assert probe.ok("login")["login"] == "ok"
    assert len(answered(rig.bao, "auth/jwt/login", mark)) == 1
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) == 1


def test_a_hundred_threads_that_report_one_value_cause_one_fetch(
        rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role)
    rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
    mark = rig.bao.mark()
    crowd = probe.ok("threads", 100, "reject")
    assert (crowd["ok"], crowd["failed"], crowd["error"]) == (100, 0, "")
    assert (crowd["generations"], crowd["generation"]) == (1, 2)
    assert crowd["longest_ms"] <= 2000
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) == 1
    assert probe.ok("login")["login"] == "ok"


def test_late_reports_of_an_old_value_cost_nothing(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role)
    probe.ok("keep", 1)
    rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
    probe.ok("reject")
    mark = rig.bao.mark()
    probe.ok("use", 1)
    answer = probe.ok("reject")
    assert answer["value"]["generation"] == 2 and answer["ms"] < 100
    assert rig.bao.requests(".*", mark) == 0


def test_a_hundred_first_readers_cause_one_fetch(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    mark = rig.bao.mark()
    probe = start_probe()
    assert probe.open(rig.config(role, rig.jwt_login(f"login-{role}")))["status"] == "ok"
    probe.ok("secret", "db", "lazy")
    crowd = probe.ok("threads", 100, "read")
    assert (crowd["ok"], crowd["generations"]) == (100, 1)
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) == 1
    assert len(answered(rig.bao, "auth/jwt/login", mark)) == 1


def test_steady_logins_live_through_a_revoked_lease(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role)
    mark = rig.bao.mark()
    probe.begin("loop", 6, 4, "rescue")
    time.sleep(2)
    rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
    loop = probe.finish(30)
    assert (loop["logins_failed"], loop["reads_failed"]) == (0, 0), loop["errors"]
    assert 1 <= loop["logins_rescued"] <= 4
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) == 1


def test_a_working_value_that_is_refused_for_ever_does_not_hammer(
        rig: Rig, start_probe: Probes) -> None:
    """An application that reports what is not the value's fault."""
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role)
    mark = rig.bao.mark()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        probe("reject", 403)
        time.sleep(0.02)
    assert len(answered(rig.bao, f"database/creds/{role}", mark)) <= 6
    assert len(answered(rig.bao, "auth/jwt/login", mark)) <= 1


def test_a_refused_static_value_is_unchanged(rig: Rig, start_probe: Probes) -> None:
    rig.bao.must("POST", "kv/data/refused", {"data": {"key": "CANARY-one"}})
    probe = start_probe()
    config = rig.config("none", rig.jwt_login("static"), sources=["vault://kv/data/refused#key"])
    config["secrets"]["db"].pop("fields")
    probe.must_open(config)
    value = probe.ok("read")["value"]
    assert value["fields"]["key"]["sha256"] == sha256("CANARY-one")
    assert probe("reject", 401)["status"] == "unchanged"
    assert probe.ok("read")["value"]["generation"] == value["generation"]
    rig.bao.must("POST", "kv/data/refused", {"data": {"key": "CANARY-two"}})
    # Reports of one value have a minimum interval.
    answer = wait_until(lambda: (again := probe("reject", 401))["status"] == "ok" and again,
                        "the new value is the answer", 30, 0.5)
    assert answer["value"]["fields"]["key"]["sha256"] == sha256("CANARY-two")


def test_denied_says_what_to_do_and_keeps_nothing(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}", policy="nothing")))
    answer = probe("read")
    assert (answer["status"], answer["http_status"]) == ("denied", 403)
    assert role in answer["message"] and "policy" in answer["message"]
    assert rig.postgres.roles(role) == []


def test_a_policy_that_is_given_later_heals(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    name = f"late-{role}"
    rig.bao.must("PUT", f"sys/policies/acl/{name}",
                 {"policy": 'path "nothing" { capabilities = ["read"] }'})
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}", policy=name)))
    assert probe("read")["status"] == "denied"
    rig.bao.must("PUT", f"sys/policies/acl/{name}", {
        "policy": f'path "database/creds/{role}" {{ capabilities = ["read"] }}'})
    assert probe("read", "fresh", seconds=90)["status"] in ("ok", "throttled")


def test_a_token_that_was_given_is_never_revoked(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    token = setup_bao.token(rig.bao)
    probe = start_probe()
    probe.must_open(rig.config(role, {"method": "token", "token_file": str(rig.file(token))}))
    value = probe.ok("read")["value"]
    assert (value["tier"], value["limited_by"]) == (2, "lease")
    probe.ok("close")
    assert rig.bao.call("GET", "auth/token/lookup-self", token=token).status == 200
