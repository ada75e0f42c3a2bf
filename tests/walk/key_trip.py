"""The trip of an event's key: from the body of a batch request to the columns that the worker inserts."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from types import SimpleNamespace
from typing import Any, Final

from checkout import FOLDER, IS_OLD, module, publish
from figures import print_figures
from marks import Marks
from stand_ins import settings
from tracer import Tracer

KEY: Final = "key-walked-0123456789abcdef"
LEFT_OUT: Final = (
    r"^(schemas\.settings|schemas\.(kafka\.)?codec|schemas\.catalog|schemas\.values|stand_ins"
    r"|schemas\.(texts|instants|json_text|quantity|local_time|currency)(:|$))"
)
_TOPIC: Final = "usage.events.1"
_NOW_US: Final = 1_767_225_600_000_001
_EVENT: Final = {
    "event_name": "call", "account_id": "a", "idempotency_key": KEY, "timestamp": "2026-01-01T00:00:00Z",
    "properties": {"n": 1},
}  # fmt: skip


class Request:
    """A request with one event."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.headers = {"content-type": "application/json"}
        self.body = json.dumps({"events": [_EVENT]}).encode()


class Guard:
    """Lets everything in."""

    def access(self, *_: Any) -> int:
        return 1

    allow = access

    def namespace(self, *_: Any) -> str:
        return "air"

    def spend(self, *_: Any, **__: Any) -> None:
        pass

    sent = answered = spend

    async def admit(self, _request: Request) -> Any:
        return SimpleNamespace(access=1)

    async def begin(self, *_: Any) -> None:
        pass

    async def small_body(self, request: Request, _access: Any) -> bytes:
        return request.body


class Producer:
    """Takes records and reports each as delivered."""

    fatal = None

    def __init__(self) -> None:
        self.produced: list[tuple[str, int | None, bytes]] = []

    def produce(self, topic: str, value: bytes, done: Any, key: Any = None, partition: int | None = None) -> None:
        self.produced.append((topic, partition, value))
        asyncio.get_running_loop().call_soon(done, None)


class Journal:
    """Has nothing, and keeps what is inserted."""

    failing_since = None

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}

    def counted(self, _names: Any) -> dict[Any, Any]:
        return {}

    def contents(self, _positions: Any) -> dict[Any, Any]:
        return {}

    def flush_door(self, _duplicates: bool) -> str:
        return "usage_flush"

    def insert(self, table: str, rows: Any) -> None:
        self.rows[table] = rows.to_pylist()

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: {}


def events_api(catalog: Any, producer: Producer) -> Any:
    """The gateway's handler of events. Within a loop."""
    events, delivery = module("ingest.events.events_api"), module("ingest.delivery.in_flight")
    metrics_of = module("ingest.metrics" if IS_OLD else "ingest.gateway_metrics")
    metrics = metrics_of.Metrics() if IS_OLD else metrics_of.GatewayMetrics()
    sources = SimpleNamespace(now_us=lambda: _NOW_US, new_key=lambda: "k", new_id=lambda: bytes(16))
    in_flight = delivery.Delivery(producer, lambda: delivery.Route(_TOPIC, 4), metrics)
    parts: dict[str, Any] = {
        "guard": Guard(), "catalog": catalog, "delivery": in_flight, "producer": producer, "metrics": metrics,
        "sources": sources,
    }  # fmt: skip
    if not IS_OLD:
        return events.EventsApi(**parts, ready=SimpleNamespace(refusal=lambda: None))

    async def read_body(request: Request) -> bytes:
        return request.body

    events.read_body = read_body
    return events.EventsApi(*parts.values())


def metering(catalog: Any, journal: Journal) -> Any:
    """The worker's pipeline, with an empty memory of each partition."""
    flush, dedupe = module("stream_processors.metering.flush"), module("stream_processors.metering.dedupe")
    if IS_OLD:
        meter = flush.Meter(settings(), _TOPIC, 4, catalog, None, threading.Event(), lambda *_: None, lambda _: 0)
    else:
        topics = module("stream_processors.metering.metered_topic")
        topic = topics.MeteredTopic(name=_TOPIC, partitions=4, seek=lambda *_: None, log_start=lambda _: 0)
        meter = flush.UnitMeter(settings(), topic, catalog, None, threading.Event())
    meter._reading = meter._writing = journal
    filters = module("stream_processors.metering.bloom").DailyFilters
    for partition in range(4):
        meter._memories[partition] = dedupe.PartitionMemory(1, partition, 0, filters())
    pipeline = module("stream_processors.metering.pipeline").MeterPipeline
    return pipeline(meter) if IS_OLD else pipeline(meter, 0.2)


async def trip() -> Tracer:
    """Send an event, and meter the record that comes of it."""
    state = module("schemas.catalog.state").Catalog()
    profiles = [{"code": "p", "aggregation": "sum", "property": "n"}]
    entries: list[dict[str, Any]] = [
        {"kind": "namespace", "code": "air"},
        {"kind": "meter", "code": "m", "event_name": "call", "profiles": profiles},
    ]  # fmt: skip
    for offset, record in enumerate(publish(entries)):
        state.apply(record, offset, 0)
    catalog = SimpleNamespace(catalog=state, fresh=lambda *_: True, wait_for=lambda *_: True)
    producer, journal = Producer(), Journal()
    api, pipeline = events_api(catalog, producer), metering(catalog, journal)
    door = module("ingest.events.events_api").BATCH
    identity = module("schemas.events.identity").identity("air", "", KEY)
    tracer = Tracer(FOLDER, Marks([KEY, identity], closed_modules=("schemas.catalog", "schemas.settings")), LEFT_OUT)
    acknowledged = asyncio.Event()

    async def acknowledge(_event: Any) -> None:
        acknowledged.set()

    with tracer.tracing():
        response = await api.answer(Request(), door)
        ((topic, partition, value),) = producer.produced
        message = SimpleNamespace(
            topic=topic, partition=partition, offset=0, timestamp=_NOW_US / 1e6, value=value, acked=False
        )
        await pipeline.submit([SimpleNamespace(message=message)], acknowledge)
        await asyncio.wait_for(acknowledged.wait(), 20)
    if response.status_code != 202 or KEY not in str(journal.rows):
        raise SystemExit(f"the trip did not end in ClickHouse: {response.body!r} {journal.rows}")
    return tracer


if __name__ == "__main__":
    print_figures(asyncio.run(trip()), FOLDER)
    os._exit(0)  # the pipeline's threads wait for more
