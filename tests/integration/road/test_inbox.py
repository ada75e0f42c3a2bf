"""Producers that write to Kafka themselves, with a plain client: JSON and Avro, trusted no more than anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.kafka.codec import codec
from schemas.kafka.topics import events_topic, inbox_topic
from schemas.values.instants import micros, parse_rfc3339
from tests.integration.world import World

pytestmark = pytest.mark.integration

METER = {"code": "calls", "event_name": "call", "profiles": [{"code": "s", "aggregation": "sum", "property": ["s"]}]}
DAY = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}


def produce(
    world: World, values: list[bytes], codec: str = "none", *, large: bool = False, topic: str | None = None
) -> None:
    own = {
        "bootstrap.servers": world.settings.kafka_bootstrap,
        "acks": "all",
        "compression.type": codec,
        "linger.ms": 50,
    }
    producer = Producer(own | ({"message.max.bytes": 100_000_000} if large else {}))
    for value in values:
        producer.produce(topic or inbox_topic(world.namespace), value=value)
    assert producer.flush(30) == 0


def open_inbox(world: World) -> None:
    world.apply(namespace={"code": world.namespace, "max_event_age_seconds": None, "inbox": True}, meters=[METER])


def event(key: str | None, s: Any = "2.5") -> dict[str, Any]:
    made = {"event_name": "call", "account_id": "acme", "timestamp": "2026-05-04T12:00:00Z", "properties": {"s": s}}
    return made if key is None else made | {"idempotency_key": key}


def avro(key: str | None, s: str) -> bytes:
    at = micros(parse_rfc3339("2026-05-04T12:00:00Z"))
    return codec("usage_event").encode(
        {"event_name": "call", "account_id": "acme", "properties": json.dumps({"s": s}), "idempotency_key": key,
         "timestamp": at, "source": ""}
    )  # fmt: skip


def test_json_and_avro_of_the_inbox_meet_the_gateways_events(world: World) -> None:
    open_inbox(world)
    world.send([event("by-http")])
    produce(
        world,
        [
            json.dumps(event("one")).encode(),
            json.dumps({"events": [event("two"), event("three")]}).encode(),
            json.dumps([event("four"), event("by-http")]).encode(),  # the last is a copy by another door
            avro("five", "2.5"),
            avro("one", "2.5"),
            avro(None, "0.125"),
            json.dumps(event(None, "0.125")).encode(),
        ],
    )
    world.wait(lambda: world.books()["metered"] == 8 and world.books()["duplicates"] >= 2 and world.books()["balanced"])
    [row] = world.usage("calls", **DAY)
    assert row == {"account_id": "acme", "quantity": "15.25", "events": 8}
    # A rebalance may make `admit` read a record twice: its events then count as duplicates, never twice.
    books = world.books()
    assert (books["refused"], books["unmatched"], books["conflicts"]) == (0, 0, 0)
    assert books["accepted"] - books["duplicates"] == books["metered"] == 8


def test_what_is_wrong_in_the_inbox_is_kept_with_its_reason_and_bytes_and_holds_nobody_up(world: World) -> None:
    open_inbox(world)
    broken = [
        b"{",
        b"\xc3\x01 not ours",
        json.dumps([event("a"), event("b") | {"timestamp": "2199-01-01T00:00:00Z"}]).encode(),
        b"",
    ]
    produce(world, [*broken, json.dumps(event("good")).encode()])
    world.wait(lambda: world.books()["refused"] == 5 and world.books()["metered"] == 1 and world.books()["balanced"])
    rows = world.rows(
        "SELECT original, detail FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'admit'"
    )
    kept = {one if isinstance(one, bytes) else one.encode("utf-8", "surrogateescape") for one, _ in rows}
    assert {value for value in broken if value.isascii()} <= kept
    assert all(detail for _, detail in rows)
    assert [row["events"] for row in world.usage("calls", **DAY)] == [1]


def test_every_compression_codec_of_a_plain_producer_is_read(world: World) -> None:
    open_inbox(world)
    padding = {"note": "the same again and again, " * 40}  # what does not shrink, the client sends as it is
    broken = []
    for name in ("none", "gzip", "snappy", "lz4", "zstd"):
        own = {"properties": {"s": "0.5"} | padding}
        records = [
            {"event_name": "call", "account_id": "acme", "idempotency_key": f"{name}-{key}", "source": "",
             "timestamp": micros(parse_rfc3339("2026-05-04T12:00:00Z")), "properties": json.dumps(own["properties"])}
            for key in ("avro", "batch-1", "batch-2")
        ]  # fmt: skip
        broken.append(
            json.dumps([event(f"{name}-bad-{index}") | own | {"event_name": ""} for index in range(2)]).encode()
        )
        values = [
            json.dumps(event(f"{name}-json") | own).encode(),
            json.dumps({"events": [event(f"{name}-{key}") | own for key in ("a", "b")]}).encode(),
            codec("usage_event").encode(records[0]),
            codec("usage_events").encode({"events": records[1:]}),
            broken[-1],
        ]
        produce(world, values, name)
    world.wait(lambda: world.books()["metered"] == 30 and world.books()["refused"] == 10 and world.books()["balanced"])
    assert world.usage("calls", **DAY) == [{"account_id": "acme", "quantity": "15", "events": 30}]
    rows = world.rows(
        "SELECT reason, original FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'admit'"
    )
    kept = {(reason, one if isinstance(one, bytes) else one.encode("utf-8", "surrogateescape")) for reason, one in rows}
    assert kept == {("invalid", value) for value in broken}


def test_records_beyond_a_megabyte_are_taken_in_or_rejected_and_stop_nobody(world: World) -> None:
    """6 MB of events in one record; 2 MB that are no JSON; one that would take 40 MB in memory; 2 MB of junk on
    usage.events."""
    open_inbox(world)
    large = [event(f"l-{number}", "1") | {"properties": {"s": "1", "t": "x" * 60_000}} for number in range(100)]
    produce(world, [json.dumps({"events": large}).encode(), b"junk" * 500_000], large=True)
    produce(world, [b" " * 40_000_000], "zstd", large=True)
    produce(world, [b"junk" * 500_000], large=True, topic=events_topic(1))
    produce(world, [json.dumps(event("after", "1")).encode()])
    world.wait(lambda: world.books()["metered"] == 101 and world.books()["refused"] == 2 and world.books()["balanced"])
    assert world.books()["duplicates"] == 0
    rows = world.rows(
        "SELECT reason, length(original) FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'admit'"
    )
    assert sorted(rows) == [("malformed", 2_000_000), ("not_read", 64 * 1024)]
    assert world.rows(
        "SELECT count() FROM rejected_events FINAL WHERE {n:String} != '' AND length(original) = "
        "2000000 AND reason = 'undecodable'"
    ) == [(1,)]
