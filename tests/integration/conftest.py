"""Fixtures of the integration tests.

Servers are started once a session and shared; a test tells its own users in PostgreSQL
by a role name of its own. Tests that hurt their server (seal, kill) take `own_rig`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Callable, Iterator, NoReturn

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from fakes.proxy import FaultProxy  # noqa: E402
from postgres import Postgres  # noqa: E402
from probe import Probe, find_probe  # noqa: E402
from process import Unavailable, private_dir, remove  # noqa: E402
from servers import Rig  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="minutes instead of seconds")


def pytest_configure(config: pytest.Config) -> None:
    # Asked to end: end as by Ctrl-C, so that servers and directories go too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "long: only with --long")
    config.addinivalue_line("markers", "slow: left out by --quick: more than about 20 s")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="only with --long"))


def missing(reason: str) -> NoReturn:
    """A peer that is not here: listed as skipped, but a failure on CI."""
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(f"required on CI: {reason}", pytrace=False)
    pytest.skip(reason)


def require(present: object, reason: str) -> None:
    if not present:
        missing(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    try:
        server = Postgres()
    except Unavailable as reason:
        missing(str(reason))
    try:
        yield server.start()
    finally:
        server.stop()


def _started(rig: Rig) -> Rig:
    try:
        return rig.start()
    except Unavailable as reason:
        missing(str(reason))


@pytest.fixture(scope="session")
def rig(postgres: Postgres) -> Iterator[Rig]:
    """Both servers, with a TLS listener too; shared, so leave them well."""
    rig = _started(Rig(tls=True, shared_postgres=postgres))
    yield rig
    rig.stop()


@pytest.fixture
def own_rig(postgres: Postgres) -> Iterator[Rig]:
    """An OpenBao of the test's own, to seal, stop or kill."""
    rig = _started(Rig(shared_postgres=postgres))
    yield rig
    rig.stop()


@pytest.fixture
def raft_rig(postgres: Postgres) -> Iterator[Rig]:
    """As own_rig, but it remembers across restarts."""
    rig = _started(Rig(storage="raft", shared_postgres=postgres))
    yield rig
    rig.stop()


@pytest.fixture
def start_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """start_proxy(upstream, …): a fault proxy that ends with the test."""
    proxies: list[FaultProxy] = []

    def start(upstream: str, **options: object) -> FaultProxy:
        proxy = FaultProxy(upstream, **options).start()  # type: ignore[arg-type]
        proxies.append(proxy)
        return proxy

    yield start
    for proxy in proxies:
        proxy.stop()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory of the test's own."""
    directory = private_dir("test")
    yield directory
    remove(directory)


@pytest.fixture
def start_probe(postgres: Postgres) -> Iterator[Callable[..., Probe]]:
    """start_probe(env=…, wrapper=…): a C program over the library that speaks its line protocol."""
    program = find_probe(ROOT)
    require(program.exists(), f"{program.name}: build preset plain first")
    probes: list[Probe] = []

    def start(**options: object) -> Probe:
        probe = Probe(program, postgres, **options)  # type: ignore[arg-type]
        probes.append(probe)
        return probe

    yield start
    for probe in probes:
        probe.end()


@pytest.fixture
def long_run(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))
