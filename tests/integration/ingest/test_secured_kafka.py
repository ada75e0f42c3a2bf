"""A broker of its own on SASL_SSL: every client of ours gets in, and the gateway outlives what happens to the
broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic
from pydantic import SecretStr
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.stack import Stack, settings_environment
from schemas.kafka.limits import MAX_BYTES
from schemas.kafka.topics import (
    CATALOG,
    CLOCK,
    EVENTS_PREFIX,
    INVOICES,
    LEDGERS,
    REJECTED,
    RESERVATIONS,
    TOPUPS,
    events_topic,
    inbox_topic,
)
from schemas.settings import Settings
from tests.integration.ingest.gateway_process import GatewayProcess, free_port, keys_in
from tests.integration.secured_broker import SecuredBroker
from tests.integration.world import World, declare

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def broker(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    made = SecuredBroker(stack, tmp_path_factory.mktemp("secured"))
    made.start()
    yield made
    made.signal(signal.SIGCONT)
    made.signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def secured(settings: Settings, broker: SecuredBroker) -> Settings:
    """The run's ClickHouse with a database of its own, and the secured broker with its topics."""
    changes = broker.connection | {
        "clickhouse_database": "secured",
        "partitions": 2,
        "delivery_seconds": 3,
        "events_in_flight": 200,
    }
    own = Settings(**(settings.model_dump() | changes | {"data_dir": str(broker.folder / "worker")}))
    missing = weir_init(own, "--check", code=1)
    assert {change["action"] for change in missing["changes"]} == {"create", "apply"}
    assert weir_init(own)["changes"] == missing["changes"]
    return own


def weir_init(settings: Settings, *arguments: str, code: int = 0) -> Any:
    """The report of `weir init --json` with these settings."""
    done = CliRunner().invoke(app, ["init", "--json", *arguments], env=settings_environment(settings))
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def processes(secured: Settings, broker: SecuredBroker) -> dict[str, Settings]:
    """By role: a user of its own, with the rights that `weir init` gives to its role and no other."""
    rights = broker.folder / "rights.yaml"
    roles = ("gateway", "worker", "init")
    principals = [{"name": f"User:weir-{role}", "role": role} for role in roles]
    rights.write_text(json.dumps({"kafka": {"principals": principals}}))
    users = {role: secured.model_copy(update=broker.add_user(f"weir-{role}")) for role in roles}
    planned = weir_init(secured, "--rights", str(rights), "--plan", code=1)
    assert {change["subject"] for change in planned["changes"]} == {f"User:weir-{role}" for role in roles}
    assert weir_init(secured, "--rights", str(rights))["changes"] == planned["changes"]
    assert weir_init(secured, "--rights", str(rights), "--plan")["changes"] == []
    return users


@pytest.fixture(scope="module")
def gateway(processes: dict[str, Settings], broker: SecuredBroker) -> Iterator[GatewayProcess]:
    with GatewayProcess(processes["gateway"], broker.folder / "gateway.log") as running:
        declare(running.settings, {
            "namespace": {"code": "s", "max_event_age_seconds": None},
            "meters": [{"code": "m", "event_name": "e", "profiles": [{"code": "n", "aggregation": "count"}]}],
        })  # fmt: skip
        yield running


def post(gateway: GatewayProcess, name: str, count: int = 1) -> httpx.Response:
    key = gateway.settings.admin_key.get_secret_value()
    events = [
        {"event_name": "e", "account_id": "a", "idempotency_key": f"{name}-{n}", "timestamp": "2026-05-04T00:00:00Z"}
        for n in range(count)
    ]
    headers = {"authorization": f"Bearer {key}", "weir-namespace": "s"}
    return httpx.post(f"{gateway.url}/v1/events/batch", json={"events": events}, headers=headers, timeout=30)


def test_events_go_the_whole_road_over_tls_with_a_password_and_no_right_too_many(
    secured: Settings, gateway: GatewayProcess, processes: dict[str, Settings], wait_until: Any
) -> None:
    assert post(gateway, "road", 50).status_code == 202
    port = free_port()
    own = {"WEIR_WORKER_INDEX": "0", "WEIR_WORKER_WEB_PORT": str(port)}
    with (Path(secured.data_dir).with_name("worker.log")).open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "stream_processors.worker"], stdout=log, stderr=log,
            env=os.environ | settings_environment(processes["worker"]) | own,
        )  # fmt: skip
        try:
            World(secured, "s", wait_until).metered(timeout=120)
        finally:
            worker.kill()
            worker.wait(10)
    assert World(secured, "s", wait_until).rows(
        "SELECT count() FROM usage_records FINAL WHERE namespace = {n:String}"
    ) == [(50,)]


def _keep_error(refusals: list[Any], error: Any, _: Any) -> None:
    refusals.append(error)


def test_who_has_no_right_is_refused_and_init_needs_only_its_own(
    processes: dict[str, Settings], gateway: GatewayProcess
) -> None:
    assert weir_init(processes["init"], "--check")["changes"] == []
    for role, name in (("gateway", INVOICES), ("worker", TOPUPS), ("init", CATALOG)):
        producer = Producer(processes[role].librdkafka() | {"log_level": 0})
        refusals: list[Any] = []
        producer.produce(name, b"x", on_delivery=partial(_keep_error, refusals))
        assert producer.flush(30) == 0
        assert [error.code() for error in refusals] == [KafkaError.TOPIC_AUTHORIZATION_FAILED], (role, name)


def test_init_sets_what_an_operator_got_wrong_and_is_safe_to_repeat(secured: Settings) -> None:
    day = 86_400_000
    kept: dict[str, int | None] = dict.fromkeys((*LEDGERS, REJECTED))
    kept |= {events_topic(1): 90 * day, inbox_topic("default"): 7 * day, RESERVATIONS: 7 * day, CLOCK: day // 24}
    expected = {"applied": False, "changes": [], "left": 0, "retention_ms": kept}
    assert weir_init(secured, "--check") == expected
    admin, following = AdminClient(secured.librdkafka()), f"{EVENTS_PREFIX}7"
    wrong = ConfigEntry("retention.ms", "86400000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, CATALOG, incremental_configs=[wrong])
    [set_] = admin.incremental_alter_configs([resource]).values()
    set_.result(30)
    # As a cluster makes a topic that is compacted by default.
    [made] = admin.create_topics([NewTopic(following, 3, 1, config={"cleanup.policy": "compact"})]).values()
    made.result(30)

    report = weir_init(secured, "--check", code=1)
    assert {(change["subject"], change["action"]): change["config"] for change in report["changes"]} == {
        (CATALOG, "set"): {"retention.ms": "-1"},
        (following, "set"): {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            MAX_BYTES: str(secured.kafka_record_bytes),
        },
    }
    assert weir_init(secured)["left"] == 0
    assert weir_init(secured, "--check")["changes"] == []
    more = secured.model_copy(update={"kafka_replication": 3})
    by_hand = weir_init(more, code=1)
    assert {change["action"] for change in by_hand["changes"]} == {"by_hand"}
    assert "kafka-reassign-partitions.sh" in by_hand["changes"][0]["text"]


def test_without_tls_password_or_certificate_nobody_gets_in(secured: Settings) -> None:
    for change in (
        {"kafka_security_protocol": "PLAINTEXT"},
        {"kafka_sasl_password": SecretStr("wrong")},
        {"kafka_ssl_ca": ""},
        {"kafka_ssl_certificate": "", "kafka_ssl_key_file": ""},
    ):
        own = secured.model_copy(update=change)
        with pytest.raises(KafkaException):
            AdminClient(own.librdkafka() | {"log_level": 0}).list_topics(timeout=0.7)


def test_a_frozen_broker_bounds_what_waits_and_what_was_taken_is_finished(
    broker: SecuredBroker, secured: Settings, gateway: GatewayProcess
) -> None:
    answers: dict[str, httpx.Response] = {}
    broker.signal(signal.SIGSTOP)
    threads = [
        threading.Thread(target=lambda n=n: answers.update({f"ice{n}": post(gateway, f"ice{n}", 100)}))
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    page = ""
    deadline = time.monotonic() + 20
    while "events_in_flight 200.0" not in page and time.monotonic() < deadline:
        page = httpx.get(f"{gateway.url}/metrics").text
    refused = post(gateway, "too-much")
    broker.signal(signal.SIGCONT)
    for thread in threads:
        thread.join(30)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "wait for Kafka already" in refused.json()["detail"]
    assert refused.json()["idempotency_keys"] == ["too-much-0"]
    assert 202 in {answer.status_code for answer in answers.values()} <= {202, 503}
    taken = [f"{name}-{n}" for name, answer in answers.items() if answer.status_code == 202 for n in range(100)]
    assert set(taken) <= set(keys_in(secured, "s"))
    assert "too-much-0" not in keys_in(secured, "s")


def test_a_dead_broker_is_503_in_time_and_its_return_needs_no_restart(
    broker: SecuredBroker, secured: Settings, gateway: GatewayProcess, wait_until: Any
) -> None:
    assert gateway.process is not None
    wait_until(lambda: post(gateway, "before").status_code == 202)
    pid = gateway.process.pid
    broker.signal(signal.SIGKILL)
    answer = post(gateway, "meanwhile", 3)  # within its timeout, which is longer only for a busy machine's sake
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["idempotency_keys"] == [f"meanwhile-{n}" for n in range(3)]
    assert httpx.get(f"{gateway.url}/readyz").status_code == 503
    assert httpx.get(f"{gateway.url}/healthz").status_code == 200
    broker.start()
    wait_until(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
    wait_until(lambda: post(gateway, "meanwhile", 3).status_code == 202)
    assert (gateway.process.pid, gateway.process.poll()) == (pid, None)
    assert {"before-0", "meanwhile-0", "meanwhile-1", "meanwhile-2"} <= set(keys_in(secured, "s"))


def test_sigterm_ends_no_request_that_has_begun(gateway: GatewayProcess, secured: Settings) -> None:
    """Heads and half a body are there when the signal comes; the rest follows, and all are answered and kept."""
    key = gateway.settings.admin_key.get_secret_value()
    texts = [
        b'{"event_name":"e","account_id":"a","idempotency_key":"last-%d","timestamp":"2026-05-04T00:00:00Z"}' % n
        for n in range(8)
    ]
    open_ones = []
    for text in texts:
        connection = socket.create_connection(("127.0.0.1", gateway.settings.gateway_port), timeout=20)
        head = (
            f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nweir-namespace: "
            f"s\r\ncontent-length: {len(text)}\r\n\r\n"
        )
        connection.sendall(head.encode() + text[:30])
        open_ones.append(connection)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    for connection, text in zip(open_ones, texts, strict=True):
        connection.sendall(text[30:])
    for connection in open_ones:
        answer = b""
        while more := connection.recv(65536):
            answer += more
        assert answer.startswith(b"HTTP/1.1 202"), answer
        assert b"connection: close" in answer.lower()
        connection.close()
    assert gateway.process.wait(20) == 0
    assert {f"last-{n}" for n in range(8)} <= set(keys_in(secured, "s"))
