"""The harness itself: the servers are real, the logins work, the proxy misbehaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable

import pytest

import setup_bao
from fakes.proxy import FaultProxy
from identity import BadToken, Issuer
from openbao import OpenBao
from process import free_ports, owns_port, wait_until
from servers import Rig

HERE = Path(__file__).resolve().parent
Proxies = Callable[..., FaultProxy]


def get(url: str, seconds: float = 5.0) -> tuple[int, bytes, dict[str, str]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=seconds) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read(), dict(refusal.headers)


# PostgreSQL and the database engine

def test_a_dynamic_credential_logs_in_and_its_revocation_removes_the_user(rig: Rig) -> None:
    role = rig.role()
    made = rig.bao.must("GET", f"database/creds/{role}")
    username, password = made.data["username"], made.data["password"]

    assert made.body["lease_duration"] == 20
    assert rig.postgres.roles(role) == [username]
    assert rig.postgres.try_login(username, password)
    assert not rig.postgres.try_login(username, "wrong")

    rig.bao.revoke_lease(made.body["lease_id"])
    assert rig.postgres.roles(role) == []
    assert not rig.postgres.try_login(username, password)


def test_the_users_of_two_roles_are_told_apart(rig: Rig) -> None:
    one, two = rig.role(), rig.role()
    rig.bao.must("GET", f"database/creds/{one}")
    assert len(rig.postgres.roles(one)) == 1
    assert rig.postgres.roles(two) == []


def test_psql_logs_in_with_a_dynamic_credential(rig: Rig) -> None:
    made = rig.bao.must("GET", f"database/creds/{rig.role()}")
    done = subprocess.run(
        [str(rig.postgres.binaries / "psql"), "-XAt", "-h", rig.postgres.host,
         "-p", str(rig.postgres.port), "-d", "app", "-U", made.data["username"],
         "-c", "select body from notes"],
        env={**os.environ, "PGPASSWORD": made.data["password"]}, text=True,
        capture_output=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "first")


def test_a_maximum_ttl_truncates_a_renewal(rig: Rig) -> None:
    made = rig.bao.must("GET", f"database/creds/{rig.role(20, 30)}")
    renewed = rig.bao.must("PUT", "sys/leases/renew",
                           {"lease_id": made.body["lease_id"], "increment": 3600})
    assert 25 <= renewed.body["lease_duration"] <= 30


def test_the_audit_log_counts_requests_by_path(rig: Rig) -> None:
    role = rig.role()
    mark = rig.bao.mark()
    for _ in range(3):
        rig.bao.must("GET", f"database/creds/{role}")
    assert rig.bao.requests(f"database/creds/{role}", mark) == 3
    assert rig.bao.requests(f"database/creds/{role}", mark, ["update"]) == 0
    seen = [record for record in rig.bao.audit_records(mark)
            if record["request"]["path"] == f"database/creds/{role}"]
    assert all(record["request"]["id"] for record in seen)


def test_the_newest_lease_is_found(rig: Rig) -> None:
    role = rig.role()
    rig.bao.must("GET", f"database/creds/{role}")
    second = rig.bao.must("GET", f"database/creds/{role}").body["lease_id"]
    assert rig.bao.newest_lease(f"database/creds/{role}") == second
    assert len(rig.bao.leases(f"database/creds/{role}")) == 2


def test_a_paused_database_comes_back_with_its_users(own_rig: Rig) -> None:
    role = own_rig.role()
    made = own_rig.bao.must("GET", f"database/creds/{role}")
    own_rig.postgres.pause()
    assert own_rig.bao.call("GET", f"database/creds/{role}").status == 500
    own_rig.postgres.resume()
    assert own_rig.postgres.try_login(made.data["username"], made.data["password"])


# OpenBao: identity of the port, TLS, seal, stop, restart

def test_the_servers_own_their_ports(rig: Rig) -> None:
    assert owns_port(rig.bao.pids()[0], rig.bao.port)
    assert owns_port(rig.postgres.pids()[0], rig.postgres.port)
    assert not owns_port(os.getpid(), rig.bao.port)
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        assert owns_port(os.getpid(), mine.getsockname()[1])


def test_tls_is_verified_with_our_authority(rig: Rig) -> None:
    assert rig.bao.call("GET", "sys/health", tls=True).status == 200


def test_seal_and_unseal(own_rig: Rig) -> None:
    role = own_rig.role()
    own_rig.bao.seal()
    refused = own_rig.bao.call("GET", f"database/creds/{role}")
    assert (refused.status, refused.errors) == (503, ["Vault is sealed"])
    own_rig.bao.unseal()
    assert own_rig.bao.call("GET", f"database/creds/{role}").status == 200


def test_pause_holds_the_port_and_resume_answers(own_rig: Rig) -> None:
    own_rig.bao.pause()
    with pytest.raises(OSError):
        own_rig.bao.call("GET", "sys/health", seconds=0.5)
    assert owns_port(own_rig.bao.pids()[0], own_rig.bao.port)
    own_rig.bao.resume()
    assert own_rig.bao.call("GET", "sys/health").status == 200


def test_a_raft_server_remembers_across_a_kill(raft_rig: Rig) -> None:
    role = raft_rig.role()
    address = raft_rig.bao.address
    raft_rig.bao.restart()
    assert raft_rig.bao.address == address
    assert raft_rig.bao.call("GET", f"database/creds/{role}").status == 200


def test_an_uninitialised_server_answers_501() -> None:
    bao = OpenBao("raft")
    try:
        bao._open_raft = lambda: None  # type: ignore[method-assign]
        with pytest.raises(Exception, match="active"):
            _start_briefly(bao)
        assert bao.call("GET", "sys/health", token="").status == 501
    finally:
        bao.stop()


def _start_briefly(bao: OpenBao) -> None:
    import openbao

    patient = openbao.wait_until
    openbao.wait_until = lambda check, what, seconds=1.0: patient(
        check, what, 0.5 if "active" in what else seconds)
    try:
        bao.start()
    finally:
        openbao.wait_until = patient


# Logins

def login(bao: OpenBao, path: str, body: dict[str, str]) -> tuple[int, str]:
    """Status and the new token."""
    reply = bao.call("POST", path, body, token="")
    return reply.status, reply.auth.get("client_token", "")


def reads(bao: OpenBao, token: str, role: str) -> int:
    return bao.call("GET", f"database/creds/{role}", token=token).status


def test_token_login_by_policy(rig: Rig) -> None:
    role = rig.role()
    assert reads(rig.bao, setup_bao.token(rig.bao), role) == 200
    assert reads(rig.bao, setup_bao.token(rig.bao, "nothing"), role) == 403


def test_revoke_of_a_lease_needs_its_own_policy(rig: Rig) -> None:
    for policy, status in (("app", 403), ("app-revoke", 204)):
        token = setup_bao.token(rig.bao, policy)
        made = rig.bao.must("GET", f"database/creds/{rig.role()}", token=token)
        assert rig.bao.call("PUT", "sys/leases/revoke", {"lease_id": made.body["lease_id"]},
                            token=token).status == status


def test_approle_login_with_a_plain_and_a_wrapped_secret_id(rig: Rig) -> None:
    made = setup_bao.approle(rig.bao, "plain")
    status, token = login(rig.bao, "auth/approle/login", {
        "role_id": made.role_id, "secret_id": setup_bao.secret_id(rig.bao, "plain")})
    assert status == 200 and reads(rig.bao, token, rig.role()) == 200

    wrapping = setup_bao.wrapped_secret_id(rig.bao, "plain")
    found = rig.bao.must("POST", "sys/wrapping/lookup", {"token": wrapping}, token="")
    assert found.data["creation_path"] == "auth/approle/role/plain/secret-id"
    unwrapped = rig.bao.must("POST", "sys/wrapping/unwrap", token=wrapping)
    assert login(rig.bao, "auth/approle/login", {
        "role_id": made.role_id, "secret_id": unwrapped.data["secret_id"]})[0] == 200
    assert rig.bao.call("POST", "sys/wrapping/unwrap", token=wrapping).status == 400

    foreign = setup_bao.wrapped_elsewhere(rig.bao)
    found = rig.bao.must("POST", "sys/wrapping/lookup", {"token": foreign}, token="")
    assert found.data["creation_path"] == "sys/wrapping/wrap"


def test_jwt_login_checks_expiry_audience_and_role(rig: Rig) -> None:
    setup_bao.jwt(rig.bao, rig.issuer.public_pem(), "jwtrole")
    good = {"role": "jwtrole", "jwt": rig.issuer.mint("app", setup_bao.AUDIENCE)}
    status, token = login(rig.bao, "auth/jwt/login", good)
    assert status == 200 and reads(rig.bao, token, rig.role()) == 200
    for bad in ({**good, "jwt": rig.issuer.mint("app", setup_bao.AUDIENCE, -60)},
                {**good, "jwt": rig.issuer.mint("app", "elsewhere")},
                {**good, "jwt": rig.issuer.mint("other", setup_bao.AUDIENCE)},
                {**good, "jwt": Issuer().mint("app", setup_bao.AUDIENCE)},
                {**good, "role": "none"}):
        assert login(rig.bao, "auth/jwt/login", bad)[0] == 400


def test_kubernetes_login_by_the_bao_command(rig: Rig) -> None:
    auth = rig.kubernetes_login("k8s")
    done = rig.bao.cli("write", "-format=json", "auth/kubernetes/login", "role=k8s",
                       f"jwt=@{auth['token_file']}", token="none")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)["auth"]
    assert answer["metadata"]["service_account_name"] == "billing"
    assert reads(rig.bao, answer["client_token"], rig.role()) == 200
    assert rig.kubernetes_api is not None and rig.kubernetes_api.reviews[-1] == "ok"


def statuses(bao: OpenBao, path: str, bodies: list[dict[str, str]]) -> list[int]:
    return [login(bao, path, body)[0] for body in bodies]


def test_kubernetes_login_refuses_what_it_should(rig: Rig) -> None:
    rig.kubernetes_login("k8s")
    mint = rig.issuer.mint_service_account
    bad = [mint("prod", "billing", "elsewhere"),
           mint("prod", "billing", setup_bao.AUDIENCE, -60),
           mint("prod", "other", setup_bao.AUDIENCE),
           mint("test", "billing", setup_bao.AUDIENCE),
           Issuer().mint_service_account("prod", "billing", setup_bao.AUDIENCE)]
    bodies = [{"role": "k8s", "jwt": token} for token in bad]
    assert statuses(rig.bao, "auth/kubernetes/login", bodies) == [403] * len(bad)
    assert rig.kubernetes_api is not None
    assert rig.kubernetes_api.reviews[-1] == "signature does not verify"
    assert login(rig.bao, "auth/kubernetes/login", {**bodies[0], "role": "none"})[0] == 400


def test_the_fake_token_review_is_strict(rig: Rig) -> None:
    rig.kubernetes_login("k8s")
    api = rig.kubernetes_api
    assert api is not None
    token = rig.issuer.mint_service_account("prod", "billing", "vault")
    review = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                         "spec": {"token": token, "audiences": ["vault"]}}).encode()
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    good = {"Authorization": f"Bearer {rig.reviewer_token}", "Content-Type": "application/json"}
    status, answer = api.answer(path, good, review)
    assert (status, answer["status"]["authenticated"]) == (201, True)
    assert api.answer(path, {**good, "Authorization": "Bearer no"}, review)[0] == 401
    assert api.answer(path, {**good, "Content-Type": "text/plain"}, review)[0] == 415
    assert api.answer(path, good, b"{}")[0] == 400
    assert api.answer(path + "/", good, review)[0] == 404
    with pytest.raises(BadToken):
        rig.issuer.verify(token + "\n", ["vault"])


def test_userpass_login(rig: Rig) -> None:
    setup_bao.userpass(rig.bao, "ann", "CANARY-ann")
    assert login(rig.bao, "auth/userpass/login/ann", {"password": "CANARY-ann"})[0] == 200


# The fault proxy

HEALTH = "/v1/sys/health"


def test_proxy_forwards_and_counts(rig: Rig, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    start = time.monotonic()
    status, body, _ = get(proxy.address + HEALTH)
    assert status == 200 and json.loads(body)["initialized"] is True
    assert proxy.count("GET /v1/sys/health", start) == 1
    assert proxy.count("PUT ") == 0 and proxy.connections == 1
    assert proxy.seen[0].status == 200 and "host" in proxy.seen[0].headers


def test_proxy_speaks_tls_on_both_sides(rig: Rig, start_proxy: Proxies) -> None:
    import ssl

    proxy = start_proxy(rig.bao.tls_address, upstream_ca=rig.authority.ca_file,
                        tls=rig.authority.issue("proxy"))
    context = ssl.create_default_context(cafile=str(rig.authority.ca_file))
    with urllib.request.urlopen(proxy.address + HEALTH, context=context, timeout=5) as answer:
        assert answer.status == 200


def test_proxy_refuses_hangs_and_recovers(rig: Rig, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.refuse()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(proxy.address + HEALTH)
    proxy.normal()
    assert get(proxy.address + HEALTH)[0] == 200
    proxy.unreachable()
    with pytest.raises((urllib.error.URLError, TimeoutError), match="timed out"):
        get(proxy.address + HEALTH, 0.5)
    assert proxy.count() == 1
    proxy.normal()
    assert get(proxy.address + HEALTH)[0] == 200


def test_proxy_black_hole_takes_the_request_and_ends_with_the_mode(
        rig: Rig, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.black_hole(match="GET .*/health")
    with pytest.raises(TimeoutError):
        get(proxy.address + HEALTH, 0.3)
    assert proxy.count("health") == 1
    assert get(proxy.address + "/v1/sys/seal-status")[0] == 200


def test_proxy_delays_and_drips(rig: Rig, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    proxy.delay(0.4, times=1)
    start = time.monotonic()
    assert get(proxy.address + HEALTH)[0] == 200
    assert time.monotonic() - start >= 0.4
    proxy.drip(1)
    with pytest.raises(TimeoutError):
        get(proxy.address + HEALTH, 0.5)


def test_proxy_cuts_at_any_byte(rig: Rig, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    whole = len(get(proxy.address + HEALTH)[1])
    proxy.cut(0, times=1)
    with pytest.raises(OSError):
        get(proxy.address + HEALTH)
    proxy.cut_body(7, times=1)
    assert len(get(proxy.address + HEALTH)[1]) == 7
    assert len(get(proxy.address + HEALTH)[1]) == whole


def test_proxy_answers_by_itself(rig: Rig, start_proxy: Proxies) -> None:
    proxy = start_proxy(rig.bao.address)
    date = "Tue, 24 Nov 2026 12:00:00 GMT"
    proxy.answer(200, b"<html>", {"Content-Type": "text/html"}, times=1)
    proxy.answer(500, b'{"errors":[]}', times=1)
    proxy.answer(429, headers={"Retry-After": date}, times=1)
    proxy.answer(429, headers={"Retry-After": "2"}, times=1)
    answers = [get(proxy.address + HEALTH) for _ in range(4)]
    assert [(status, headers.get("Retry-After")) for status, _, headers in answers] \
        == [(429, "2"), (429, date), (500, None), (200, None)]
    assert get(proxy.address + HEALTH)[0] == 200
    proxy.rewrite(lambda body: body.replace(b"true", b"false"), times=1)
    assert json.loads(get(proxy.address + HEALTH)[1])["initialized"] is False


def test_proxy_redirects_without_following(rig: Rig, start_proxy: Proxies) -> None:
    evil = start_proxy(rig.bao.address)
    proxy = start_proxy(rig.bao.address)
    proxy.answer(307, headers={"Location": evil.address + HEALTH})
    assert get(proxy.address + HEALTH)[0] == 200
    assert (proxy.count(), evil.count()) == (1, 1)


# Nothing is left behind

@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_servers_of_a_dead_shell_end(scratch: Path, number: int) -> None:
    """The supervisor ends what `start` left behind when its owner is gone; the servers
    end even when the supervisor is killed."""
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "servers.py"), "start", "--dir", str(scratch / "d"),
             "--owner", str(owner.pid)], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        pids = [int(line) for line in (scratch / "d" / "pids").read_text().split()]
        supervisor = int((scratch / "d" / "supervisor").read_text())
        directories = (scratch / "d" / "directories").read_text().splitlines()
        assert len(pids) == 2 and all(Path(f"/proc/{pid}").exists() for pid in pids)
        if number == signal.SIGKILL:
            os.kill(supervisor, signal.SIGKILL)
        else:
            owner.terminate()
        wait_until(lambda: not any(_alive(pid) for pid in [*pids, supervisor]),
                   "servers and supervisor are gone", 15)
        subprocess.run([sys.executable, str(HERE / "servers.py"), "stop", "--dir",
                        str(scratch / "d")], check=True)
        assert not any(Path(path).exists() for path in directories)
    finally:
        owner.kill()
        owner.wait()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_free_ports_are_adjacent_and_free() -> None:
    first = free_ports(3)
    for port in range(first, first + 3):
        with socket.socket() as mine:
            mine.bind(("127.0.0.1", port))
