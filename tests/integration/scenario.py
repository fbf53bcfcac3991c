"""What several scenarios need: formulas of the lease machine, what the servers saw."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from openbao import OpenBao
from postgres import Postgres
from process import wait_until

GONE_WITHIN_S = 5.0  # the server revokes from a queue


def overlap_s(ttl_s: float) -> float:
    """How long a replaced lease may drain, by default."""
    return min(30.0, 0.20 * ttl_s)


def margin_s(ttl_s: float) -> float:
    """P: how long before its end a lease is replaced: overlap and fetch budget."""
    return overlap_s(ttl_s) + min(min(max(0.05 * ttl_s, 5.0), 60.0), 0.20 * ttl_s)


def stamp(text: str) -> float:
    """A time of the audit log (nanoseconds, UTC) as a Unix time."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return at.timestamp() + float(f"0.{fraction or 0}")


def answered(bao: OpenBao, path: str, mark: int = 0) -> list[float]:
    """When the server answered requests at exactly this path without an error."""
    return [stamp(record["time"]) for record in bao.audit_records(mark)
            if record["request"]["path"] == path and not record.get("error")]


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in zip(times, times[1:])]


def wait_no_users(postgres: Postgres, role: str, seconds: float = GONE_WITHIN_S) -> None:
    """PostgreSQL has no user of the role left."""
    wait_until(lambda: not postgres.roles(role), f"no user of {role} is left", seconds, 0.1)


def audit_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


def failures(loop: dict[str, Any]) -> dict[str, Any]:
    """What went wrong in a loop; compare it with {} so that a failure shows the reasons."""
    bad = {name: loop[name] for name in ("logins_failed", "queries_failed", "reads_failed")
           if loop[name]}
    return {**bad, "errors": loop["errors"]} if bad or loop["errors"] else {}


def check_loop(loop: dict[str, Any], least_logins: int) -> None:
    """Busy, and nothing failed or had to be repeated."""
    assert failures(loop) == {}
    assert loop["logins"] >= least_logins
    assert loop["queries"] >= loop["logins"]
    assert loop["logins_rescued"] == 0, "a login was refused and had to be repeated"
