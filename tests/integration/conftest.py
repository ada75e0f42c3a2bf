"""One stack a run, on free ports in a folder of its own, so that runs can go side by side.

Where a Docker engine answers and the images are there, Kafka and ClickHouse come from containers; the end of the run's
output says so.
"""

from __future__ import annotations

import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.cli.connection import services_of
from deploy.local.stack import ALL, Stack
from schemas.settings import Settings
from tests.integration.world import World, declare, gateway_client
from tests.openapi_check import held_to_the_document

KAFKA_IMAGE = os.environ.get("WEIR_TEST_KAFKA_IMAGE", "confluentinc/cp-kafka:8.1.0")
CLICKHOUSE_IMAGE = os.environ.get("WEIR_TEST_CLICKHOUSE_IMAGE", "clickhouse/clickhouse-server:25.8")


# Kafka's JVMs here live for minutes at most: the second compiler, and a collector with threads of its own, cost each of
# them more processor time than they save.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
# Certificates are looked up where one is shown. Without it each client of httpx, here and in every process that a test
# starts, reads a file of all of them first, which takes longer than its requests.
if not os.environ.get("SSL_CERT_FILE"):
    os.environ.setdefault("SSL_CERT_DIR", ssl.get_default_verify_paths().openssl_capath)


def _docker() -> bool:
    """Whether an engine answers and has both images."""
    try:
        import docker

        client = docker.from_env(timeout=3)
        try:
            client.ping()
            for image in (KAFKA_IMAGE, CLICKHOUSE_IMAGE):
                client.images.get(image)
        finally:
            client.close()
    except Exception:
        return False
    return True


_CONTAINERS = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CONTAINERS] = _docker()


def infrastructure(config: pytest.Config) -> str:
    """Where this run's Kafka and ClickHouse come from."""
    if config.stash[_CONTAINERS]:
        return f"{KAFKA_IMAGE} and {CLICKHOUSE_IMAGE} by testcontainers"
    return "the local stack's own Kafka and ClickHouse engine (no Docker engine with the images answers)"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The two longest files stand side by side, and would take both cores from each other.
    items.sort(key=lambda item: item.path.name != "test_chaos.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"infrastructure: {infrastructure(config)}")


@pytest.fixture(autouse=True)
def _answers_are_as_documented() -> Iterator[None]:
    """Every answer that a test's client reads is held against the services' OpenAPI documents. For each test alone:
    unit tests that the same process runs later have doors of their own, which answer what no service does."""
    with held_to_the_document():
        yield


@pytest.fixture(scope="package")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, all ready. Test namespaces keep tests apart; whoever kills a process waits until it is back. It
    ends with this folder's last test: an idle one would take a tenth of a processor from the unit tests that follow."""
    folder = tmp_path_factory.mktemp("stack")
    overrides: dict[str, Any] = {
        "checkpoint_seconds": 5, "flush_seconds": 0.1, "close_schedule_seconds": 0, "backfill_automatic": False,
        "webhook_reach": "loopback",  # receivers of tests take any free port
    }  # fmt: skip
    with ExitStack() as containers:
        kinds = tuple(kind for kind in ALL if kind != "webhooks")  # tests of webhooks run, and kill, one of their own
        if request.config.stash[_CONTAINERS]:
            overrides |= _containers(containers)
            kinds = tuple(kind for kind in kinds if kind not in ("kafka", "clickhouse"))
        with Stack(folder, ports="free", processes=kinds, overrides=overrides) as running:
            yield running


def _containers(keep: ExitStack) -> dict[str, Any]:
    from testcontainers.community.clickhouse import ClickHouseContainer
    from testcontainers.community.kafka import KafkaContainer

    kafka = keep.enter_context(KafkaContainer(KAFKA_IMAGE).with_kraft())
    clickhouse = keep.enter_context(ClickHouseContainer(CLICKHOUSE_IMAGE))
    return {
        "kafka_bootstrap": kafka.get_bootstrap_server(),
        "clickhouse_host": clickhouse.get_container_host_ip(),
        "clickhouse_port": int(clickhouse.get_exposed_port(8123)),
        "clickhouse_user": clickhouse.username,
        "clickhouse_password": SecretStr(clickhouse.password),
    }


@pytest.fixture(scope="package")
def settings(stack: Stack) -> Settings:
    """How to reach the run's stack; topics and tables are there."""
    return stack.settings


@pytest.fixture(scope="package")
def kafka_settings(settings: Settings) -> Settings:
    """As ``settings``, for tests that only need Kafka."""
    return settings


@pytest.fixture
def namespace(settings: Settings) -> str:
    """A namespace of its own for the test, declared, which takes events of any age."""
    code = f"t{uuid.uuid4().hex[:12]}"
    declare(settings, {"namespace": {"code": code, "max_event_age_seconds": None}})
    return code


@pytest.fixture
def world(settings: Settings, namespace: str, wait_until: Waiting) -> Iterator[World]:
    """The test's namespace and what can be done to it."""
    result = World(settings, namespace, wait_until)
    yield result
    result.disconnect()


@pytest.fixture
def gateway(settings: Settings, namespace: str) -> Iterator[httpx.Client]:
    """A client of the gateway in the test's namespace."""
    with gateway_client(settings, namespace) as client:
        yield client


@pytest.fixture
def rating(settings: Settings, namespace: str) -> Iterator[httpx.Client]:
    """A client of the rating service in the test's namespace."""
    own = settings.model_copy(update={"namespace": namespace})
    with services_of(own).http("rating", timeout=60) as client:
        yield client


Waiting = Callable[..., Any]


@pytest.fixture(scope="session")
def wait_until() -> Waiting:
    """``wait_until(condition, timeout=60)``: its first true value. An error of the condition counts as not yet. Asked
    less and less often, since each question takes the processor from what it waits for."""

    def wait(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
        deadline, pause = time.monotonic() + timeout, 0.05
        while True:
            trouble: Exception | None = None
            try:
                value = condition()
                if value:
                    return value
            except Exception as error:
                value, trouble = None, error
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s; last seen: {value!r}") from trouble
            time.sleep(pause)
            pause = min(pause * 1.2, 0.3)

    return wait


@pytest.fixture(scope="session")
def demo_package() -> Path:
    """The demo's data, which ``make setup`` has fetched."""
    from deploy.demo.data import package

    return package()
