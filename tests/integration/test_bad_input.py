"""Whatever the configuration or the server says: a typed error with one line that says
what to do, nothing published, nothing lost, no crash."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from fakes.proxy import FaultProxy
from probe import Answer, Probe
from scenario import wait_no_users
from servers import Rig

Probes = Callable[..., Probe]
Proxies = Callable[..., FaultProxy]

# Configuration

CONFIGS = {
    "unknown key": ('{"vault": {"adress": "https://v:8200"}}', "config", '"address"'),
    "unknown key of a secret": ('{"secrets": {"db": {"source": []}}}', "config", '"sources"'),
    "unknown top key": ('{"secret": {}}', "config", '"secrets"'),
    "unknown scheme": ('{"secrets": {"db": {"sources": ["valt://a"]}}}', "config", '"vault"'),
    "unknown method": ('{"vault": {"auth": {"method": "kubernets"}}}', "config", "kubernetes"),
    "not JSON": ('{"vault": ', "config", "line 1"),
    "a list": ("[]", "config", "line 1"),
    "duplicate key": ('{"vault": {}, "vault": {}}', "config", "line 1"),
    "plain HTTP": ('{"vault": {"address": "http://vault.example:8200"}}', "config", "http"),
    "bad tier": ('{"policy": {"weakest_tier": 7}}', "config", "weakest_tier"),
    "bad date": ('{"policy": {"tier4_until": "soon"}}', "config", "tier4_until"),
    "bad duration": ('{"secrets": {"db": {"sources": ["env://A"], "overlap": "30x"}}}', "config",
                     "overlap"),
    "climbing path": ('{"secrets": {"db": {"sources": ["vault://a/../b"]}}}', "config", ".."),
    "no scheme": ('{"secrets": {"db": {"sources": ["database/creds/app"]}}}', "config", "://"),
}


@pytest.mark.parametrize("what", sorted(CONFIGS))
def test_a_bad_configuration(start_probe: Probes, what: str) -> None:
    text, status, says = CONFIGS[what]
    probe = start_probe()
    answer = probe("open", text)
    if answer["status"] == "ok":
        answer = probe("secret", "db")
    assert answer["status"] in (status, "invalid"), answer
    assert says in answer["message"]
    assert "\n" not in answer["message"]


def test_a_bad_configuration_names_line_and_column(start_probe: Probes, scratch: Any) -> None:
    path = scratch / "config.json"
    path.write_text('{\n  "vault": {\n    "adress": "https://v:8200"\n  }\n}\n')
    answer = start_probe()("open-file", path)
    assert answer["status"] == "config"
    assert "line 3" in answer["message"] and "adress" in answer["message"]


@pytest.mark.parametrize("name", ["nothing", "vault://", "vault://a/%zz", "vault://a?x=1&x=2",
                                  "vault://a/%00", "://", "vault://" + "a" * 4000])
def test_a_bad_name_or_reference(rig: Rig, start_probe: Probes, name: str) -> None:
    probe = start_probe()
    assert probe.open(rig.config("none", {"method": "token"}))["status"] == "ok"
    answer = probe("read-name", name)
    assert answer["status"] in ("invalid", "config", "not_found"), answer
    assert answer["message"] and answer["value"] is None


# Addresses

@pytest.mark.parametrize("address, says", [("http://127.0.0.1:1", "127.0.0.1:1"),
                                           ("https://no-such-host.invalid:8200", "no-such-host")])
def test_an_unreachable_address(rig: Rig, start_probe: Probes, address: str, says: str) -> None:
    probe = start_probe()
    config = rig.config("none", rig.jwt_login("unreachable"), address)
    config["vault"].pop("ca_file", None)
    probe.must_open(config, fetch_timeout_ms=3000)
    answer = probe("read")
    assert answer["status"] == "unavailable" and answer["retryable"]
    assert says in answer["message"] and answer["ms"] <= 4500


def test_an_unknown_role_of_the_database(rig: Rig, start_probe: Probes) -> None:
    probe = start_probe()
    probe.must_open(rig.config("no-such", rig.jwt_login("unknownrole")))
    answer = probe("read")
    assert answer["status"] in ("config", "not_found") and answer["http_status"] == 400
    assert "no-such" in answer["message"]
    assert answer["ms"] < 5000


# Answers

class Through:
    """A client whose creds go through the proxy."""

    def __init__(self, rig: Rig, start_probe: Probes, start_proxy: Proxies) -> None:
        self.rig = rig
        self.role = rig.role(300, 3600)
        self.proxy = start_proxy(rig.bao.address)
        self.creds = f"GET .*/database/creds/{self.role}"
        self.probe = start_probe()
        self.config = rig.config(self.role, rig.jwt_login(f"login-{self.role}"),
                                 self.proxy.address)

    def read(self, timeout_ms: int = 2500) -> Answer:
        self.probe.must_open(self.config, fetch_timeout_ms=timeout_ms)
        return self.probe("read")

    def end(self) -> None:
        """It still works, and it leaves nothing that it knows of."""
        self.proxy.normal()
        self.probe.ok("close")


@pytest.fixture
def through(rig: Rig, start_probe: Probes, start_proxy: Proxies) -> Through:
    return Through(rig, start_probe, start_proxy)


def envelope(data: Any, **more: Any) -> bytes:
    return json.dumps({"request_id": "11111111-2222-3333-4444-555555555555",
                       "lease_id": "database/creds/x/CANARYlease", "renewable": True,
                       "lease_duration": 300, "data": data, **more}).encode()


GOOD = {"username": "v-x", "password": "CANARY-password"}
BODIES = {
    "empty": b"",
    "HTML": b"<html><body>Welcome to the hotel network</body></html>",
    "a number": b"42",
    "a list": b"[]",
    "no envelope": b"{}",
    "null data": envelope(None),
    "data is a list": envelope([1, 2]),
    "data is text": envelope("CANARY-text"),
    "password is a list": envelope({"username": "v-x", "password": ["CANARY-a"]},
                                   lease_duration="x"),
    "lease_duration is text": envelope(GOOD, lease_duration="300"),
    "lease_duration is negative": envelope(GOOD, lease_duration=-1),
    "lease_duration is huge": envelope(GOOD).replace(b": 300", b": 99999999999999999999999"),
    "lease_id is a number": envelope(GOOD, lease_id=7),
    "renewable is text": envelope(GOOD, renewable="yes"),
    "duplicate keys": envelope(GOOD)[:-1] + b', "data": {"username": "w", "password": "CANARY-w"}}',
    "duplicate field": envelope({}).replace(
        b"{}", b'{"username": "a", "password": "CANARY-a", "password": "CANARY-b"}'),
    "trailing junk": envelope(GOOD) + b" x",
    "two documents": envelope(GOOD) * 2,
    "bad UTF-8": envelope({"username": "v-x", "password": "CANARY-@"}).replace(b"@", b"\xff\xfe"),
    "lone surrogate": envelope(GOOD).replace(b"CANARY-password", b"CANARY-\\ud800"),
    "nested 1,000 deep": envelope({}).replace(b"{}", b'{"a":' * 1000 + b"1" + b"}" * 1000),
    "nested a million deep": b"[" * 1_000_000,
    "1 MiB and a byte": envelope({**GOOD, "more": "A" * (1024 * 1024 + 1)}),
    "8 MiB": envelope({**GOOD, "more": "A" * (8 * 1024 * 1024)}),
}


@pytest.mark.parametrize("what", sorted(BODIES))
def test_a_senseless_answer_publishes_nothing(through: Through, what: str) -> None:
    through.proxy.answer(200, BODIES[what], match=through.creds)
    answer = through.read()
    assert answer["status"] in ("protocol", "unavailable", "timeout", "throttled"), answer
    assert answer["value"] is None
    assert answer["message"] and "CANARY" not in answer["message"]
    through.end()


def test_a_nul_in_a_secret_is_kept_whole(rig: Rig, start_probe: Probes) -> None:
    rig.bao.must("POST", "kv/data/nul", {"data": {"key": "CANARY\0nul"}})
    probe = start_probe()
    config = rig.config("none", rig.jwt_login("nul"), sources=["vault://kv/data/nul"])
    config["secrets"]["db"].pop("fields")
    probe.must_open(config)
    assert probe.ok("read")["value"]["fields"]["key"]["len"] == len("CANARY\0nul")


def test_a_missing_field_is_named(through: Through) -> None:
    through.proxy.answer(200, envelope({"username": "v-x"}), match=through.creds)
    answer = through.read()
    assert answer["status"] == "no_field" and "password" in answer["message"]
    through.end()


def test_header_bombs_and_compressed_answers(through: Through) -> None:
    through.proxy.answer(200, envelope(GOOD), {f"X-Filler-{i}": "a" * 1000 for i in range(2000)},
                         match=through.creds)
    assert through.read()["status"] in ("protocol", "unavailable", "timeout", "throttled")
    through.end()


def test_a_redirect_leaks_no_token(through: Through, start_proxy: Proxies) -> None:
    evil = start_proxy(through.rig.bao.address)
    evil.answer(200, envelope(GOOD))
    for status in (301, 302, 307, 308):
        through.proxy.answer(status, headers={
            "Location": f"{evil.address}/v1/database/creds/{through.role}"},
            match=through.creds, times=1)
    answer = through.read()
    assert answer["value"] is None or answer["value"]["username"] != GOOD["username"]
    assert evil.count() == 0
    through.end()


def test_a_truncated_answer_at_every_byte(through: Through) -> None:
    """A good lease is held; each renewal, then each new fetch, is cut somewhere. The
    value that is out stays, and the library is well afterwards."""
    proxy, probe = through.proxy, through.probe
    first = through.read(10_000)
    assert first["status"] == "ok", first["message"]
    whole = envelope(GOOD)
    names = []
    for count in range(0, len(whole), 5):
        proxy.answer(200, whole[:count], match=f"database/creds/cut{count}$", times=1)
        names.append(f"vault://database/creds/cut{count}")
    for name in names:
        answer = probe("read-name", name, seconds=30)
        assert answer["status"] != "ok" and answer["value"] is None, name
        assert "CANARY" not in answer["message"]
    assert probe.ok("read")["value"]["username"] == first["value"]["username"]
    assert probe.ok("login")["login"] == "ok"
    through.end()
    wait_no_users(through.rig.postgres, through.role)


@pytest.mark.parametrize("count", [0, 1, 12, 20, 60, 200, 400])
def test_a_connection_that_ends_early(through: Through, count: int) -> None:
    """The answer of a fetch is lost: the server may have made a user that nobody knows."""
    through.proxy.cut(count, match=through.creds, times=1)
    probe = through.probe
    probe.must_open(through.config, fetch_timeout_ms=8000, audit_hook=1)
    answer = probe("read", seconds=30)
    assert answer["status"] in ("ok", "unavailable", "timeout", "protocol", "throttled"), answer
    events = [record["event"] for record in probe.ok("audits")["records"]]
    assert "lease.leak_possible" in events
    probe.wait_event("ready", 30)
    assert probe.ok("read")["value"] is not None
    assert probe.ok("login")["login"] == "ok"
    through.end()


@pytest.mark.parametrize("status", [400, 404, 405, 412, 418, 429, 472, 473, 500, 501, 502, 503])
def test_any_status_is_typed_and_heals(through: Through, status: int) -> None:
    through.proxy.answer(status, b'{"errors":["CANARY-echo"]}', match=through.creds)
    answer = through.read(1500)
    assert answer["status"] not in ("ok", "unknown"), answer
    assert answer["value"] is None and "CANARY" not in answer["message"]
    if status in (400, 404):
        assert not answer["retryable"] or answer["status"] == "unavailable"
    through.proxy.normal()
    # What needs a human backs off for half a minute: a look at the rest is enough.
    if status in (412, 429, 500, 502, 503):
        through.probe.wait_event("ready", 30)
        assert through.probe.ok("read")["value"]["generation"] == 1
    through.end()
