"""The audit log: complete, joined with the server's own, fail closed where asked."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

from conftest import require
from probe import Probe
from process import wait_until
from scenario import audit_lines, wait_no_users
from servers import Rig

Probes = Callable[..., Probe]


def check_chain(path: Path, torn: int = 0) -> None:
    """Sequence and hashes; `torn` lines may have been cut by a full disk."""
    last: dict[str, tuple[int, str]] = {}
    for line in path.read_bytes().splitlines():
        assert len(line) < 4096
        try:
            record = json.loads(line)
        except ValueError:
            assert torn > 0, "a line that is not JSON"
            torn -= 1  # the next one began on a line of its own
            continue
        before = last.get(record["client"], (0, "sha256:" + 64 * "0"))
        assert (record["seq"] - 1, record["prev"]) == before
        last[record["client"]] = record["seq"], "sha256:" + hashlib.sha256(line).hexdigest()


def opened(rig: Rig, probe: Probe, role: str, audit: dict[str, Any], **options: object) -> None:
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}"), audit=audit), **options)


def test_the_life_of_a_lease_is_in_the_file(rig: Rig, start_probe: Probes, scratch: Path) -> None:
    audit = scratch / "audit.jsonl"
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role, {"file": str(audit)}, service="billing")
    for _ in range(40):
        probe.ok("read")
    probe.ok("read", "actor ann purpose invoice")
    rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
    probe.ok("reject")
    probe.ok("close")

    check_chain(audit)
    lines = audit_lines(audit)
    events = [line["event"] for line in lines]
    assert events[0] == "client.open" and events[-1] == "client.close"
    for expected in ("auth.login", "lease.acquire", "secret.read", "secret.reject"):
        assert expected in events, events
    generations = {line["secret"].get("generation") for line in lines
                   if line["event"] in ("lease.acquire", "secret.replace")}
    assert {1, 2} <= generations
    assert "lease.revoke" in events or "auth.revoke" in events
    assert all(line["schema"] == "secretrt.audit/1" for line in lines)
    assert all(line["service"]["name"] == "billing" for line in lines)
    assert all(line["proc"]["pid"] == probe.pid for line in lines)
    reads = [line for line in lines if line["event"] == "secret.read"]
    assert sum(line["count"] for line in reads) >= 41
    assert [line["caller"]["actor"] for line in reads if "caller" in line] == ["ann"]
    leases = [line["lease"]["id"] for line in lines if "lease" in line and "id" in line["lease"]]
    assert leases and all(one.startswith("hmac-sha256:") for one in leases)
    text = audit.read_text()
    assert "CANARY-" not in text and f"database/creds/{role}/" not in text


def test_records_join_with_the_servers_log_by_request_id(
        rig: Rig, start_probe: Probes, scratch: Path) -> None:
    audit = scratch / "audit.jsonl"
    role = rig.role(300, 3600)
    mark = rig.bao.mark()
    probe = start_probe()
    opened(rig, probe, role, {"file": str(audit)})
    probe.ok("read")
    probe.ok("close")
    servers = {record["request"]["id"]: record["request"]["path"]
               for record in rig.bao.audit_records(mark)}
    joined = {(line["event"], servers[line["request_id"]])
              for line in audit_lines(audit) if line.get("request_id") in servers}
    assert ("lease.acquire", f"database/creds/{role}") in joined
    assert ("auth.login", "auth/jwt/login") in joined
    missing = [line["request_id"] for line in audit_lines(audit)
               if line.get("request_id") and line["request_id"] not in servers]
    assert missing == []


def test_the_value_names_the_request_that_made_it(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    mark = rig.bao.mark()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")))
    value = probe.ok("read")["value"]
    made = [record["request"]["id"] for record in rig.bao.audit_records(mark)
            if record["request"]["path"] == f"database/creds/{role}"]
    assert made == [value["request_id"]]


@pytest.mark.parametrize("path", ["/dev/full", "/proc/none/audit"])
def test_required_audit_that_cannot_be_written_publishes_nothing(
        rig: Rig, start_probe: Probes, path: str) -> None:
    role = rig.role(300, 3600)
    probe = start_probe()
    config = rig.config(role, rig.jwt_login(f"login-{role}"),
                        audit={"file": path, "required": True})
    answer = probe.open(config, fetch_timeout_ms=3000)
    if answer["status"] == "ok":
        probe.ok("secret", "db")
        answer = probe("read")
    assert answer["status"] == "audit", answer
    assert path in answer["message"] or "audit" in answer["message"]
    probe.ok("close")
    wait_no_users(rig.postgres, role)


def test_a_disk_that_fills_up_stops_new_values_and_heals(
        rig: Rig, start_probe: Probes, scratch: Path) -> None:
    """Renewals go on; a value that is out stays; the next one waits for room."""
    disk = scratch / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)],
                             capture_output=True, check=False)
    require(mounted.returncode == 0, "a tmpfs of its own: run as root")
    try:
        role = rig.role(300, 3600)
        probe = start_probe()
        opened(rig, probe, role, {"file": str(disk / "audit.jsonl"), "required": True})
        first = probe.ok("read")["value"]
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(4096))
            except OSError:
                pass
        used = (disk / "audit.jsonl").stat().st_size
        room = -used % 4096  # left in the file's last page
        for _ in range(room // 200 + 1):
            probe("read", "actor fill")
        rig.bao.revoke_lease(rig.bao.newest_lease(f"database/creds/{role}"))
        answer = probe("reject", seconds=40)
        assert answer["status"] == "audit", answer["status"]
        ballast.unlink()
        wait_until(lambda: probe("read", "fresh")["status"] == "ok"
                   and probe.ok("read")["value"]["username"] != first["username"],
                   "a new value is published", 40, 0.5)
        probe.ok("close")
        check_chain(disk / "audit.jsonl", torn=1)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_without_required_a_full_disk_only_loses_records(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe()
    opened(rig, probe, role, {"file": "/dev/full"})
    assert probe("read")["status"] == "ok"
    assert probe.ok("login")["login"] == "ok"
    warning = probe.wait_event("warning", 10)
    assert "audit" in warning["message"]


def test_a_hook_that_sleeps_delays_no_renewal(rig: Rig, start_probe: Probes) -> None:
    role = rig.role(6, 3600)
    probe = start_probe()
    probe.ok("option", "audit_sleep_ms", 2500)
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")), audit_hook=1)
    loop = probe("loop", 14, 2, seconds=60)
    assert loop["logins_failed"] == 0 and len(loop["users"]) == 1
    assert "expired" not in [event["kind"] for event in loop["events"]]


def test_a_hook_sees_each_generation_before_it_is_served(rig: Rig, start_probe: Probes) -> None:
    role = rig.role()
    probe = start_probe()
    probe.must_open(rig.config(role, rig.jwt_login(f"login-{role}")), audit_hook=1)
    probe.ok("read")
    records = probe.ok("audits")["records"]
    acquired = [r for r in records if r["event"] == "lease.acquire" and r["name"] == "db"]
    assert [(r["outcome"], r["generation"]) for r in acquired] == [("success", 1)]
    assert acquired[0]["request_id"]
    seqs = [record["seq"] for record in records]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_children_of_fork_write_chains_of_their_own(rig: Rig, start_probe: Probes,
                                                    scratch: Path) -> None:
    audit = scratch / "audit.jsonl"
    role = rig.role(300, 3600)
    probe = start_probe()
    opened(rig, probe, role, {"file": str(audit)})
    probe.ok("read")
    children = probe.ok("fork", 3, "close", seconds=60)
    assert children["ok"] == 3, children["error"]
    probe.ok("close")
    check_chain(audit)
    pids = {line["proc"]["pid"] for line in audit_lines(audit)}
    assert len(pids) == 4
