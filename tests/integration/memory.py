"""Looks for bytes in a process's memory and in a core dump, as an attacker would."""

from __future__ import annotations

import base64
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TAIL = 12  # glibc overwrites the head of a freed chunk: search for the tail


@dataclass
class Region:
    start: int
    end: int
    name: str
    flags: frozenset[str]  # VmFlags of smaps: lo locked, dd not in core dumps

    @property
    def protected(self) -> bool:
        """The library's arena where memfd_secret is missing: locked, never dumped."""
        return {"lo", "dd"} <= self.flags


def regions(pid: int) -> list[Region]:
    found: list[Region] = []
    head = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$")
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        match = head.match(line)
        if match:
            found.append(Region(int(match[1], 16), int(match[2], 16), match[4], frozenset()))
            readable = match[3].startswith("r")
        elif line.startswith("VmFlags:"):
            found[-1].flags = frozenset(line.split()[1:])
            if not readable:
                found.pop()
    return found


def needles(secret: bytes) -> list[bytes]:
    """Forms in which the tail of a secret may lie around."""
    tail = secret[-TAIL:]
    return [tail, tail.hex().encode(), tail.decode().encode("utf-16-le"),
            base64.b64encode(secret)[-TAIL:].rstrip(b"=")]


def count_in_memory(pid: int, secret: bytes) -> dict[str, int]:
    """Copies by the name of their region, outside the protected arena."""
    copies: dict[str, int] = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for region in regions(pid):
            if region.protected or region.name.startswith(("[vvar", "[vsyscall")):
                continue
            try:
                memory.seek(region.start)
                data = memory.read(region.end - region.start)
            except (OSError, ValueError):
                continue  # memfd_secret, device memory
            hits = sum(data.count(needle) for needle in set(needles(secret)))
            if hits:
                name = region.name or "anonymous"
                copies[name] = copies.get(name, 0) + hits
    return copies


def core_of(pid: int, directory: Path) -> bytes:
    """A core dump of the running process."""
    subprocess.run(["gcore", "-o", str(directory / "core"), str(pid)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    core = directory / f"core.{pid}"
    data = core.read_bytes()
    core.unlink()
    return data


def count_in(data: bytes, secret: bytes) -> int:
    return sum(data.count(needle) for needle in set(needles(secret)))
