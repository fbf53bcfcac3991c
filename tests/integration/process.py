"""Server processes that a test owns: found by their port, ended by their process ID."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator, TypeVar

T = TypeVar("T")
PR_SET_PDEATHSIG = 1
TCP_LISTEN = "0A"
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """A peer that this machine does not have: the caller skips, or fails on CI."""


class NotReady(Exception):
    """A condition that did not come true in time."""


def wait_until(check: Callable[[], T], what: str, seconds: float = 10.0, every: float = 0.05) -> T:
    """Polls check() until its answer is true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise NotReady(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def private_dir(name: str) -> Path:
    """A directory of our own, mode 0700. Short: a Unix socket's path has 107 bytes."""
    return Path(tempfile.mkdtemp(prefix=f"secretrt-{name}-"))


def remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32768


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int = 1) -> int:
    """The first of `count` adjacent free loopback ports. They lie below the range that
    the kernel hands to outgoing connections, so nobody takes one by accident."""
    top = max(20000, _ephemeral_start() - count)
    for _ in range(1000):
        first = random.randrange(12000, top)
        if all(_bindable(first + i) for i in range(count)):
            return first
    raise NotReady("no free loopback ports")


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            column = line.split()
            if column[3] == TCP_LISTEN and int(column[1].rsplit(":", 1)[1], 16) == port:
                yield column[9]


def owns_port(pid: int, port: int) -> bool:
    """True if process pid itself listens on the port: a foreign server on it would
    swallow the test silently."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return False
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            if os.readlink(descriptor) in wanted:
                return True
        except OSError:
            continue
    return False


def die_with_parent(parent: int, number: int) -> Callable[[], None]:
    def preexec() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return preexec


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """No VAULT_*, BAO_*, PG* or proxy settings of the person who runs the tests."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home),
            "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **more}


class Process:
    """A started program whose output goes to a file. It ends when we end, however."""

    def __init__(self, name: str, argv: list[str], log: Path, *, env: dict[str, str],
                 death_signal: int = signal.SIGKILL, **options: Any) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                preexec_fn=die_with_parent(os.getpid(), death_signal), **options)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def running(self) -> bool:
        return self._popen.poll() is None

    def send(self, number: int) -> None:
        if self.running():
            self._popen.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 5.0) -> None:
        """Asks politely, then kills; returns when the process is gone."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def wait_listening(self, port: int, seconds: float = 20.0) -> None:
        """Waits until this very process listens on the port."""
        def listening() -> bool:
            if not self.running():
                raise NotReady(f"{self.name} ended at start:\n{self.tail()}")
            return owns_port(self.pid, port)

        wait_until(listening, f"{self.name} on port {port}", seconds)

    def tail(self, lines: int = 20) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""
