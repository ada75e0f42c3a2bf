"""For all tests: infrastructure is denied to whatever is not marked ``integration``, and hypothesis is repeatable in
CI."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from schemas.garbage_collection import freeze_startup_objects

# Other examples each time, so that few of them come to many; WEIR_TEST_EXAMPLES=1000 for a longer look at what has no
# number of its own. Examples that failed once are in hypothesis' database and come first.
_EXAMPLES = int(os.environ.get("WEIR_TEST_EXAMPLES", "50"))
settings.register_profile("weir", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=_EXAMPLES)
settings.register_profile("ci", settings.get_profile("weir"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "weir")

_PACKAGES = ("schemas", "ingest", "stream_processors", "rating", "deploy")
_PROGRAMS = frozenset({"java", "mvn", "docker", "clickhouse", "kafka-server-start.sh"})


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests are there until the end: the garbage collector neither walks over them while they come nor
    later, between the examples of a property."""
    gc.disable()
    try:
        return (yield)
    finally:
        freeze_startup_objects()
        gc.enable()


class InfrastructureDenied(AssertionError):
    """A unit test reached for the network, Kafka, ClickHouse or one of their programs."""


class _Guard:
    """Python's audit events see every socket and program, whichever library opens them. A hook cannot be removed, so
    it is put in place once and switched."""

    def __init__(self) -> None:
        self.test: str | None = None
        sys.addaudithook(self._hook)

    def deny(self, what: str) -> None:
        raise InfrastructureDenied(
            f"{self.test} {what}; a unit test touches no infrastructure: give it values, or mark it integration"
        )

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.test is None:
            return
        if event in ("socket.connect", "socket.bind", "socket.sendto"):
            address = args[1]
            if isinstance(address, tuple):  # a Unix socket's address is text: asyncio's own wake-up pair
                self.deny(f"called {event} on {address[:2]}")
        elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn"):
            program = PurePath(os.fsdecode(args[0] or "")).name
            if program in _PROGRAMS:
                self.deny(f"started {program}")


_guard = _Guard()


@pytest.fixture(autouse=True)
def _infrastructure_denied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets and programs by audit events; librdkafka and the engine, which open theirs in C, by their names."""
    if request.node.get_closest_marker("integration") is not None:
        yield
        return
    for module, name, value in _native_clients():
        monkeypatch.setattr(module, name, _refusing(value))
    _guard.test = request.node.nodeid
    try:
        yield
    finally:
        _guard.test = None


def _native_clients() -> list[tuple[Any, str, Any]]:
    """(module, name, class) of every place in the packages that holds a client which opens its sockets in C. Looked
    for again only when a module was imported since: it takes 9 ms, and there are thousands of tests."""
    return _native_clients_among(len(sys.modules))


@lru_cache(maxsize=1)
def _native_clients_among(_modules: int) -> list[tuple[Any, str, Any]]:
    kafka, admin, chdb = (sys.modules.get(name) for name in ("confluent_kafka", "confluent_kafka.admin", "chdb"))
    wanted = [getattr(kafka, "Producer", None), getattr(kafka, "Consumer", None), getattr(admin, "AdminClient", None)]
    wanted.append(getattr(chdb, "connect", None))
    named = [value for value in wanted if value is not None]
    return [
        (module, name, value)
        for path, module in list(sys.modules.items())
        if path.partition(".")[0] in _PACKAGES
        for name, value in list(vars(module).items())
        if any(value is one for one in named)
    ]


def _refusing(value: Any) -> Any:
    def refuse(*_: object, **__: object) -> None:
        _guard.deny(f"made a {getattr(value, '__name__', value)}")

    return refuse
