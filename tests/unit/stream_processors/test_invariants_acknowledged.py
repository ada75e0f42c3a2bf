"""DESIGN section 4, invariants 1 and 2, on the way into the log: acknowledged is in Kafka, one identity is in one
partition."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.delivery.in_flight import Delivery, NotDelivered, Route
from ingest.delivery.packing import Packer
from ingest.gateway_metrics import GatewayMetrics
from schemas.events.batch import decode_batch
from schemas.events.identity import hash_range, partition_of
from stream_processors.inbox.admit import AdmittedRecord, InboxRecord, entries_of, pack_entries
from tests.unit.ingest.delivery.packed_events import events_of
from tests.unit.stream_processors.metering.builders import event

# --- 1: acknowledged = in Kafka --------------------------------------------------------------------------------------


class Log:
    """Where the gateway's records go: what Kafka keeps and what it reports is the test's to choose."""

    fatal = None

    def __init__(self) -> None:
        self.handed: list[tuple[bytes, Any]] = []
        self.kept: list[bytes] = []

    def produce(self, topic: str, value: bytes, done: Any, *, partition: int = -1, key: bytes | None = None) -> None:
        self.handed.append((value, done))


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True), min_size=1, max_size=6), st.data())
def test_invariant_1_a_request_is_acknowledged_once_every_event_of_it_is_in_kafka_and_never_before(
    requests: list[list[int]], data: st.DataObject
) -> None:
    async def run() -> None:
        log = Log()
        producer: Any = log
        delivery = Delivery(producer, lambda: Route("usage.events.1", 3), GatewayMetrics(), clock=lambda: 0.0)
        answers = [delivery.send("default", 2, [event(key, 0) for key in keys]) for keys in requests]
        await delivery.close()
        refused: set[str] = set()
        while log.handed:
            value, done = log.handed.pop(data.draw(st.integers(0, len(log.handed) - 1)))
            keys = set(decode_batch(value).idempotency_keys)
            outcome = data.draw(st.sampled_from(["delivered", "lost", "kept, and the report lost"]))
            if outcome != "lost":
                log.kept.append(value)
            if outcome != "delivered":
                refused |= keys
            done(None if outcome == "delivered" else outcome)
            durable = {key for item in log.kept for key in decode_batch(item).idempotency_keys}
            on_its_way = {key for item, _ in log.handed for key in decode_batch(item).idempotency_keys}
            for request, answer in zip(requests, answers, strict=True):
                expected_strs = {str(key) for key in request}
                if answer.done() and answer.exception() is None:
                    assert expected_strs <= durable
                # Two requests may hold one key, in different records: then either record's fate may decide.
                if not expected_strs & on_its_way:
                    assert answer.done()
        for request, answer in zip(requests, answers, strict=True):
            failed = answer.exception()
            assert failed is None or isinstance(failed, NotDelivered)
            assert failed is None or {str(key) for key in request} & refused

    asyncio.run(run())


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["old", "sealing", "new"])), min_size=1, max_size=12))
def test_invariant_1_holds_while_the_generation_changes(sends: list[tuple[int, str]]) -> None:
    """The sealed topic refuses what comes late; nobody is told that such an event was taken, and a retry finds the new
    one."""
    order = ["old", "sealing", "new"]
    sends = sorted(sends, key=lambda item: order.index(item[1]))

    async def run() -> None:
        topics: dict[str, set[str]] = {"usage.events.1": set(), "usage.events.2": set()}
        routes: dict[str, Route | None] = {
            "old": Route("usage.events.1", 2),
            "sealing": None,
            "new": Route("usage.events.2", 3),
        }
        phase = "old"
        handed: list[tuple[str, bytes, Any]] = []
        producer: Any = SimpleNamespace(
            fatal=None,
            produce=lambda topic, value, done, *, partition: handed.append((topic, value, done)),
        )
        delivery = Delivery(producer, lambda: routes[phase], GatewayMetrics(), clock=lambda: 0.0)
        answers = []
        for key, expected_send in sends:
            if expected_send == "sealing" and phase == "old":
                for topic, value, done in handed:
                    topics[topic] |= set(decode_batch(value).idempotency_keys)
                    done(None)
                handed.clear()
            phase = expected_send
            try:
                answers.append((key, delivery.send("default", 2, [event(key, 0)])))
            except NotDelivered:
                assert phase == "sealing"
        await delivery.close()
        sealed = phase != "old"
        for topic, value, done in handed:
            batch = decode_batch(value)
            if topic == "usage.events.1" and sealed:
                done("Broker: Message size too large")
                continue
            assert {partition_of(batch.identity(index), 3 if topic.endswith("2") else 2) for index in range(batch.size)}
            topics[topic] |= set(batch.idempotency_keys)
            done(None)
        for key, answer in answers:
            accepted_any = any(str(key) in keys for keys in topics.values())
            assert answer.done()
            failure = answer.exception()  # asked for also where it does not matter: asyncio logs what nobody asks for
            assert accepted_any or isinstance(failure, NotDelivered)

    asyncio.run(run())


# --- 2: one identity, one partition ---------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 9), st.data())
def test_invariant_2_all_copies_meet_in_one_partition_in_one_order_by_whichever_door(
    keys: list[int], partitions: int, data: st.DataObject
) -> None:
    packer: Packer[int] = Packer(partitions, max_events=3)
    placed: dict[bytes, set[int]] = {}
    order: list[tuple[int, int]] = []
    for number, key in enumerate(keys):
        result = event(key, 0, at_us=number)
        if data.draw(st.booleans()):
            closed = packer.add("default", 2, [result], number, 0.0)[1]
        else:
            record = InboxRecord("usage.inbox.default", "default", 0, number, 0, b"")
            for packed in pack_entries(entries_of([AdmittedRecord(record, [result], None)]), partitions, 2):
                placed.setdefault(decode_batch(packed.value).identity(0), set()).add(packed.partition)
            continue
        order += [(batch.partition, item.timestamp_us) for batch in closed for item in events_of(batch)]
        for batch in closed:
            for item in events_of(batch):
                placed.setdefault(item.identity, set()).add(batch.partition)
    for batch in packer.close_all():
        order += [(batch.partition, item.timestamp_us) for item in events_of(batch)]
        for item in events_of(batch):
            placed.setdefault(item.identity, set()).add(batch.partition)
    assert all(len(element) == 1 for element in placed.values())
    for partition in range(partitions):
        own_items = [stamp for where, stamp in order if where == partition]
        assert own_items == sorted(own_items)
    # Whoever reads the identities of a range of the hash space finds every copy of what its partition holds, also under
    # another number of partitions (another generation).
    second_draw = data.draw(st.integers(1, 9))
    for name in placed:
        low, high = hash_range(partition_of(name, second_draw), second_draw)
        assert low <= name[:4]
        assert high is None or name[:4] < high
    assert placed.keys() == {event(key, 0).identity for key in keys}
