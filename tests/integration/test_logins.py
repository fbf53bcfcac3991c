"""Each way to log in, against the real server; what each refuses, and what it says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable

import pytest

import setup_bao
from identity import Authority, Issuer
from probe import Probe
from scenario import answered, wait_no_users
from servers import Rig

Probes = Callable[..., Probe]


def first_read(rig: Rig, probe: Probe, role: str, auth: dict, address: str | None = None) -> dict:
    probe.must_open(rig.config(role, auth, address))
    return probe("read")


@pytest.mark.parametrize("method", ["token", "jwt", "kubernetes", "approle", "wrapped"])
@pytest.mark.parametrize("tls", [False, True])
def test_each_login_over_http_and_tls(rig: Rig, start_probe: Probes, method: str,
                                      tls: bool) -> None:
    role = rig.role()
    login = f"{method[:4]}-{role}"
    auth = {"token": lambda: rig.token_login(),
            "jwt": lambda: rig.jwt_login(login),
            "kubernetes": lambda: rig.kubernetes_login(login),
            "approle": lambda: rig.approle_login(login),
            "wrapped": lambda: rig.approle_login(login, wrapped=True)}[method]()
    probe = start_probe()
    answer = first_read(rig, probe, role, auth, rig.bao.tls_address if tls else None)
    assert answer["status"] == "ok", answer.get("message")
    assert answer["value"]["tier"] == 2
    assert probe.ok("login") | {"ms": 0} == {
        "cmd": "login", "status": "ok", "login": "ok", "ms": 0,
        "text": answer["value"]["username"]}
    probe.ok("close")
    wait_no_users(rig.postgres, role)


def test_weakest_tier_of_a_token_from_the_environment_is_four(
        rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe(env={"BAO_TOKEN": setup_bao.token(rig.bao), "BAO_ADDR": rig.bao.address})
    assert probe("open")["status"] == "ok"
    value = probe.ok("read-name", f"vault://database/creds/{role}")["value"]
    assert (value["tier"], value["weakest_tier"]) == (2, 4)
    probe.ok("close")
    wait_no_users(rig.postgres, role)


def test_the_home_token_file_is_a_convention(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe(env={"VAULT_ADDR": rig.bao.address})
    (probe.home / ".vault-token").write_text(setup_bao.token(rig.bao) + "\n")
    assert probe("open")["status"] == "ok"
    assert probe("read-name", f"vault://database/creds/{role}")["status"] == "ok"


def test_logins_use_the_role_and_leave_no_token(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    before = set(rig.bao.must("LIST", "auth/token/accessors").data["keys"])
    probe = start_probe()
    assert first_read(rig, probe, role, rig.jwt_login(f"login-{role}"))["status"] == "ok"
    during = set(rig.bao.must("LIST", "auth/token/accessors").data["keys"])
    assert len(during - before) == 1
    probe.ok("close")
    after = set(rig.bao.must("LIST", "auth/token/accessors").data["keys"])
    assert not (during - before) & after, "the login was revoked at close"


REFUSED = {
    "expired": lambda rig, auth: Path(auth["token_file"]).write_text(
        rig.issuer.mint("app", setup_bao.AUDIENCE, -60)),
    "audience": lambda rig, auth: Path(auth["token_file"]).write_text(
        rig.issuer.mint("app", "elsewhere")),
    "signature": lambda rig, auth: Path(auth["token_file"]).write_text(
        Issuer().mint("app", setup_bao.AUDIENCE)),
    "role": lambda rig, auth: auth.update(role="no-such-role"),
}


@pytest.mark.parametrize("why", sorted(REFUSED))
def test_a_refused_jwt_is_a_login_error_with_a_next_step(rig: Rig, start_probe: Probes,
                                                         why: str) -> None:
    role = rig.role()
    auth = rig.jwt_login(f"login-{role}")
    REFUSED[why](rig, auth)
    mark = rig.bao.mark()
    probe = start_probe()
    answer = first_read(rig, probe, role, auth)
    assert answer["status"] == "login"
    # What is wrong by its own account is not even sent.
    assert answer["http_status"] == (0 if why == "expired" else 400)
    assert answer["ms"] < 5000, "a refusal is known at once"
    assert "\n" not in answer["message"] and len(answer["message"]) > 20
    time.sleep(3)
    assert rig.bao.requests("auth/jwt/login", mark) <= 2, "no hot loop"
    assert rig.postgres.roles(role) == []


def test_a_fresh_token_in_the_file_heals_an_expired_one(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    auth = rig.jwt_login(f"login-{role}")
    good = Path(auth["token_file"]).read_text()
    REFUSED["expired"](rig, auth)
    probe = start_probe()
    assert first_read(rig, probe, role, auth)["status"] == "login"
    Path(auth["token_file"]).write_text(good)
    deadline = time.monotonic() + 60
    while (answer := probe("read", "fresh"))["status"] != "ok":
        assert time.monotonic() < deadline, answer["message"]
        time.sleep(0.5)


@pytest.mark.parametrize("method", ["jwt", "token"])
@pytest.mark.parametrize("content, good", [("{}\n", True), ("{}\r\n", True), ("a\n{}", False),
                                           (" {}", False), ("", False), ("\0{}", False)])
def test_white_space_around_a_token(rig: Rig, start_probe: Probes, method: str, content: str,
                                    good: bool) -> None:
    role = rig.role()
    auth = rig.jwt_login(f"login-{role}") if method == "jwt" else rig.token_login()
    path = Path(auth["token_file"])
    path.write_text(content.format(path.read_text()))
    probe = start_probe()
    answer = first_read(rig, probe, role, auth)
    if good:
        assert answer["status"] == "ok", answer["message"]
    else:
        assert answer["status"] in ("config", "login", "protocol"), answer
        assert path.name in answer["message"] or str(path.parent)[:20] in answer["message"]
        assert answer["ms"] < 5000


def test_a_token_file_that_everybody_may_write_is_refused(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    auth = rig.jwt_login(f"login-{role}")
    Path(auth["token_file"]).chmod(0o666)
    answer = first_read(rig, start_probe(), role, auth)
    assert answer["status"] in ("config", "login")
    assert "write" in answer["message"]


def test_a_token_file_that_is_not_there(rig: Rig, start_probe: Probes, scratch: Path) -> None:
    role = rig.role()
    auth = rig.jwt_login(f"login-{role}")
    auth["token_file"] = str(scratch / "none")
    answer = first_read(rig, start_probe(), role, auth)
    assert answer["status"] in ("config", "login", "unavailable")
    assert "none" in answer["message"]


def test_a_wrapping_token_from_elsewhere_is_not_unwrapped(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    auth = rig.approle_login(f"ar-{role}", wrapped=True)
    Path(auth["secret_id_file"]).write_text(setup_bao.wrapped_elsewhere(rig.bao))
    mark = rig.bao.mark()
    answer = first_read(rig, start_probe(), role, auth)
    assert answer["status"] in ("login", "integrity", "denied")
    assert rig.bao.requests("sys/wrapping/lookup", mark) == 1
    assert rig.bao.requests("sys/wrapping/unwrap", mark) == 0


def test_a_wrapping_token_that_was_used_is_a_security_event(
        rig: Rig, start_probe: Probes, scratch: Path) -> None:
    role = rig.role()
    auth = rig.approle_login(f"ar-{role}", wrapped=True)
    rig.bao.must("POST", "sys/wrapping/unwrap",
                 token=Path(auth["secret_id_file"]).read_text())
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(rig.config(role, auth, audit={"file": str(scratch / "audit")}))
    answer = probe("read")
    assert answer["status"] in ("login", "integrity", "denied")
    time.sleep(3)
    assert rig.bao.requests("sys/wrapping/.*", mark) <= 2, "no retry"
    assert "auth.fail" in (scratch / "audit").read_text()


def test_a_secret_id_that_is_used_once_survives_a_new_login(
        rig: Rig, start_probe: Probes) -> None:
    """One wrapped secret ID serves the later logins of the process too."""
    role = rig.role(300, 600)
    auth = rig.approle_login(f"ar-{role}", wrapped=True, ttl_s=8, token_explicit_max_ttl="12s")
    mark = rig.bao.mark()
    probe = start_probe()
    assert first_read(rig, probe, role, auth)["status"] == "ok"
    probe.wait_event("reload", 20)
    assert len(answered(rig.bao, "auth/approle/login", mark)) >= 2
    assert len(answered(rig.bao, "sys/wrapping/unwrap", mark)) == 1


def test_the_wrong_authority_is_an_integrity_error(rig: Rig, start_probe: Probes,
                                                   scratch: Path) -> None:
    role = rig.role()
    config = rig.config(role, rig.jwt_login(f"login-{role}"), rig.bao.tls_address)
    config["vault"]["ca_file"] = str(Authority(scratch, "another authority").ca_file)
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(config)
    answer = probe("read")
    assert answer["status"] == "integrity", answer["message"]
    assert not answer["retryable"] and "ca_file" in answer["message"]
    assert rig.bao.requests(".*", mark) == 0, "nothing was sent"


def test_namespaces_keep_logins_and_leases_apart(rig: Rig, start_probe: Probes) -> None:
    """A namespace that does not exist: the request carries it, the login is refused."""
    role = rig.role()
    config = rig.config(role, rig.jwt_login(f"login-{role}"))
    config["vault"]["namespace"] = "team-none"
    probe = start_probe()
    probe.must_open(config)
    assert probe("read")["status"] in ("login", "denied", "not_found", "config")
