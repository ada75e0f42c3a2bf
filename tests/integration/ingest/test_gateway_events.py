"""Events through the gateway into Kafka: acknowledged = in Kafka, all or none, refused = recorded."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import settings_environment
from ingest.client import BatchResult, Client, Refusal
from schemas.events.identity import identity, partition_of
from schemas.kafka.topics import events_topic, partition_count
from schemas.settings import Settings
from tests.integration.ingest.gateway_process import GatewayProcess, keys_in, packed, rejected

pytestmark = pytest.mark.integration


def event(key: str | None = None, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"event_name": "call", "account_id": "a", "properties": {"n": 1}, **fields}
    return made if key is None else {**made, "idempotency_key": key}


def producer(settings: Settings, namespace: str, url: str | None = None, deadline: float = 60.0) -> Client:
    address = url or f"http://{settings.gateway_host}:{settings.gateway_port}"
    return Client(address, settings.admin_key.get_secret_value(), namespace, deadline=deadline)


def test_what_is_acknowledged_is_in_kafka_in_its_partition_exactly_as_sent(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client
) -> None:
    body = (
        b'{"event_name":"call","account_id":"a","properties":{"n" : '
        b'1.10,"\xc3\xa9":[1E400]},"source":"web","timestamp":"2013-03-10T02:30:00.000001-05:00","idempotency_key":"k"}'
    )
    answer = gateway.post("/v1/events", content=body)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "idempotency_key": "k"})
    ((partition, batch),) = packed(kafka_settings, namespace)
    count = partition_count(kafka_settings, events_topic(kafka_settings.generation))
    assert partition == partition_of(identity(namespace, "web", "k"), count)
    assert (batch.size, [*batch.properties], [*batch.sources]) == (1, ['{"n" : 1.10,"é":[1E400]}'], ["web"])
    assert batch.timestamps_us[0] == 1_362_900_600_000_001
    assert batch.catalog_offset > 0


def test_a_batch_answers_with_all_keys_in_order_also_those_the_server_made(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client
) -> None:
    answer = gateway.post("/v1/events/batch", json={"events": [event("x"), event(), event("y"), event()]}).json()
    keys = answer["idempotency_keys"]
    assert answer["accepted"] == 4
    assert (keys[0], keys[2]) == ("x", "y")
    assert len(set(keys)) == 4
    assert sorted(keys_in(kafka_settings, namespace)) == sorted(keys)


def test_one_bad_event_refuses_all_with_its_index_and_is_recorded(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client
) -> None:
    events = [event("ok"), event("bad", timestamp="2013-02-30T00:00:00Z"), event("ok2")]
    answer = gateway.post("/v1/events/batch", json={"events": events})
    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["index"], problem["path"], problem["reason"]) == (1, "$.events[1].timestamp", "invalid")
    assert keys_in(kafka_settings, namespace) == []
    (record,) = rejected(kafka_settings, namespace)
    assert (record["stage"], record["reason"], record["events"]) == ("gateway", "invalid", 3)
    assert (record["account_id"], record["idempotency_key"]) == ("a", "bad")
    assert json.loads(record["original"])["events"] == events


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b'{"events": [', {}, 400, "malformed"),
        (b'{"events": []}', {}, 422, "batch_size"),
        (json.dumps({"events": [event()] * 101}).encode(), {}, 422, "batch_size"),
        (b'{"events": [{"event_name": "e"}]}', {}, 422, "no_account"),
        (b" " * (8 * 1024 * 1024 + 1), {}, 413, "body_too_large"),
        (gzip.compress(b" " * (9 * 1024 * 1024)), {"Content-Encoding": "gzip"}, 413, "body_too_large"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "malformed"),
        (b"{}", {"Content-Encoding": "br"}, 415, "encoding"),
    ],
)
def test_what_is_refused_says_why_and_is_counted(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client, body: bytes, headers: dict[str, str], status: int,
    reason: str,
) -> None:  # fmt: skip
    answer = gateway.post("/v1/events/batch", content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert [record["reason"] for record in rejected(kafka_settings, namespace)] == [reason]
    assert gateway.post("/v1/events", json=event()).status_code == 202, "the connection and the gateway go on"


def test_gzip_is_taken(kafka_settings: Settings, namespace: str, gateway: httpx.Client) -> None:
    body = gzip.compress(json.dumps({"events": [event("a"), event("b")]}).encode())
    answer = gateway.post("/v1/events/batch", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 202
    assert sorted(keys_in(kafka_settings, namespace)) == ["a", "b"]


def test_who_has_no_key_or_no_namespace_is_told_so(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client
) -> None:
    wrong = gateway.post("/v1/events", json=event(), headers={"Authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, "Bearer")
    assert gateway.get("/v1/plans", headers={"Authorization": "Bearer wrong"}).status_code == 401
    unknown = gateway.post("/v1/events", json=event(), headers={"Weir-Namespace": "nowhere"})
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "unknown_namespace")
    assert rejected(kafka_settings, namespace) == []


def test_two_namespaces_never_meet(kafka_settings: Settings, namespace: str, gateway: httpx.Client) -> None:
    assert gateway.post("/v1/events", json=event("same")).status_code == 202
    other = gateway.post("/v1/events", json=event("same"), headers={"Weir-Namespace": "default"})
    assert other.status_code == 202
    assert keys_in(kafka_settings, namespace) == ["same"]


def test_operations_need_no_key(gateway: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/metrics"):
        assert gateway.get(path, headers={"Authorization": ""}).status_code == 200, path
    assert "weir_gateway_events_accepted_total" in gateway.get("/metrics").text
    assert "/v1/events/batch" in gateway.get("/openapi.json").json()["paths"]


def test_the_client_writes_decimals_exactly_and_raises_refusals(kafka_settings: Settings, namespace: str) -> None:
    with producer(kafka_settings, namespace) as client:
        result = client.send([event(properties={"amount": Decimal("0.1000000000000000000001")})])
        assert result.accepted == 1
        ((_, batch),) = packed(kafka_settings, namespace)
        assert [*batch.properties] == ['{"amount":0.1000000000000000000001}']
        assert [*batch.idempotency_keys] == list(result.keys)
        with pytest.raises(Refusal, match=r"\$\.events\[0\]\.account_id"):
            client.send([event(account_id="")])


def test_kill_9_while_a_client_sends_loses_nothing_that_was_acknowledged(
    kafka_settings: Settings, namespace: str, tmp_path: Path
) -> None:
    total = 300
    acknowledged: set[str] = set()
    third, two_thirds = threading.Event(), threading.Event()

    def batches() -> Iterator[list[dict[str, Any]]]:
        for number in range(total):
            yield [event(f"{number}-{step}") for step in range(20)]

    def took(result: BatchResult) -> None:
        acknowledged.update(result.keys)
        if len(acknowledged) > total * 20 // 3:
            third.set()
        if len(acknowledged) > total * 40 // 3:
            two_thirds.set()

    with GatewayProcess(kafka_settings, tmp_path / "gateway.log") as gateway:

        def kill_twice() -> None:
            for moment in (third, two_thirds):
                assert moment.wait(60)
                gateway.kill()
                gateway.start()

        killer = threading.Thread(target=kill_twice)
        killer.start()
        with producer(kafka_settings, namespace, gateway.url) as client:
            summary = client.send_batches(batches(), concurrency=4, on_result=took)
        killer.join(60)
        assert not killer.is_alive()
    assert (summary.accepted, summary.refused) == (total * 20, 0)
    assert summary.retries > 0
    assert (
        set(keys_in(kafka_settings, namespace)) == acknowledged == {f"{n}-{s}" for n in range(total) for s in range(20)}
    )


def test_sigterm_answers_what_was_taken_and_ends_in_time(
    kafka_settings: Settings, namespace: str, tmp_path: Path
) -> None:
    acknowledged: set[str] = set()
    started, over = threading.Event(), threading.Event()

    with GatewayProcess(kafka_settings, tmp_path / "gateway.log") as gateway:

        def send(worker: int) -> None:
            with httpx.Client(base_url=gateway.url, timeout=15) as client:
                key = kafka_settings.admin_key.get_secret_value()
                headers = {"Authorization": f"Bearer {key}", "Weir-Namespace": namespace}
                number = 0
                while not over.is_set():
                    number += 1
                    keys = [f"{worker}-{number}-{step}" for step in range(10)]
                    try:
                        body = {"events": [event(key) for key in keys]}
                        answer = client.post("/v1/events/batch", json=body, headers=headers)
                    except httpx.TransportError:
                        return
                    if answer.status_code == 202:
                        acknowledged.update(keys)
                        started.set()

        workers = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        assert started.wait(30)
        assert gateway.terminate(within=10) == 0
        over.set()
        for worker in workers:
            worker.join(20)
    assert acknowledged
    assert acknowledged <= set(keys_in(kafka_settings, namespace))


def test_without_a_key_the_gateway_refuses_to_start(kafka_settings: Settings) -> None:
    environment = os.environ | dict(settings_environment(kafka_settings)) | {"WEIR_ADMIN_KEY": ""}
    done = subprocess.run(
        [sys.executable, "-m", "ingest.gateway"], env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert b"WEIR_ADMIN_KEY" in done.stderr
    assert b"Traceback" not in done.stderr
