"""Admission: packed by bytes, what Kafka has is not written again, and one record that it never takes stops nobody
else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.errors import CannotGoOn
from schemas.events.batch import decode_batch
from schemas.kafka.codec import codec
from schemas.kafka.limits import PACKED_BYTES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged
from stream_processors.fetching.bounded import RefusedBatch
from stream_processors.inbox import admission, open_inboxes
from stream_processors.inbox.admission import Admission
from stream_processors.inbox.admit import InboxRecord
from stream_processors.inbox.open_inboxes import OpenGeneration

NOW_US = 1_790_000_000_000_000
Decide = Callable[[bytes], KafkaError | None]


class Topic:
    """Takes what ``decide`` lets in, in memory."""

    def __init__(self, topic: str, decide: Decide = lambda value: None) -> None:
        self.topic, self.decide, self.limit = topic, decide, 8_000_000
        self.values: list[bytes] = []

    def deliver(self, records: Any, partition: int | None = None) -> list[Any]:
        results: list[Any] = []
        for _, value in records:
            error = self.decide(value)
            if error is None:
                self.values.append(value)
            results.append(error or (partition or 0, len(self.values)))
        return results

    def events(self) -> list[str]:
        return sorted(key for value in self.values for key in decode_batch(value).idempotency_keys)


def catalog() -> Catalog:
    item = Catalog()
    for offset, name in enumerate(("shop", "small")):
        item.apply(
            record_of(name, Namespace(code=name), kind="namespace", version=1, author="", claim_id="a"), offset, 0
        )
    return item


def record(offset: int, *events: tuple[str, int], namespace: str = "shop") -> InboxRecord:
    body = [
        {"event_name": "call", "account_id": "acme", "idempotency_key": key, "properties": {"t": "x" * size}}
        for key, size in events
    ]
    return InboxRecord(f"usage.inbox.{namespace}", namespace, 0, offset, NOW_US, json.dumps(body).encode())


def admission_of(records: list[InboxRecord], events: Any, rejected: Any, partitions: int = 2) -> Admission:
    return Admission(Settings(), catalog(), records, lambda: (events, partitions), rejected)


def rejections(topic: Topic) -> list[dict[str, Any]]:
    return [codec("rejected_event").decode(value) for value in topic.values]


def test_batches_are_packed_by_bytes_too() -> None:
    """6 MB in one record, and 60 records of 100 events of 3 KB: each was one produce of up to 12 MB."""
    for records in (
        [record(0, *((f"k{number}", 60_000) for number in range(100)))],
        [record(row, *((f"k{row}-{number}", 3_000) for number in range(100))) for row in range(60)],
    ):
        events, rejected = Topic("usage.events.1"), Topic("usage.rejected")
        admission_of(records, events, rejected).step()
        assert max(map(len, events.values)) < PACKED_BYTES + 1000
        assert len(events.events()) == sum(len(json.loads(item.value)) for item in records)
        assert rejected.values == []


def test_a_repetition_writes_only_what_is_not_in_kafka_yet() -> None:
    down = {"now": True}
    lost = KafkaError(KafkaError._TIMED_OUT)
    events = Topic("usage.events.1", lambda value: lost if down["now"] and b"bad" in value else None)
    rejected = Topic("usage.rejected", lambda value: lost if down["now"] else None)
    junk = InboxRecord("usage.inbox.shop", "shop", 0, 9, NOW_US, b"junk")
    step = admission_of(
        [record(0, *((key, 10) for key in ("good", "bad", "worse", "other"))), junk], events, rejected, 4
    )
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            step.step()
    written = events.events()
    assert "bad" not in written
    assert written
    down["now"] = False
    step.step()
    assert events.events() == ["bad", "good", "other", "worse"]
    assert [rejection["reason"] for rejection in rejections(rejected)] == ["malformed"]


def test_an_event_that_the_topic_never_takes_is_rejected_alone_and_nothing_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "topic_limit", lambda settings, topic: 20_000)
    large = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    events = Topic("usage.events.1", lambda value: large if len(value) > 20_000 else None)
    rejected = Topic("usage.rejected")
    records = [record(0, ("a", 9_000), ("b", 30_000), ("c", 9_000)), record(3, ("d", 10), namespace="small")]
    admission_of(records, events, rejected, 1).step()
    assert events.events() == ["a", "c", "d"]
    [result] = rejections(rejected)
    assert (result["reason"], result["events"], result["idempotency_key"], result["origin_index"]) == (
        "too_large",
        1,
        "b",
        1,
    )
    assert result["original"] == records[0].value
    assert "20000" in result["detail"]


def test_a_topic_that_is_being_sealed_refuses_in_the_same_words_and_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "topic_limit", lambda settings, topic: 0)
    events = Topic("usage.events.1", lambda value: KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    step = admission_of([record(0, ("a", 10))], events, Topic("usage.rejected"))
    with pytest.raises(LedgerUnavailable, match="sealed"):
        step.step()


def test_the_limit_is_asked_for_once_however_many_batches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    topics_read: list[str] = []

    def limit_of(settings: Settings, topic: str) -> int:
        topics_read.append(topic)
        return 20_000

    monkeypatch.setattr(admission, "topic_limit", limit_of)
    events = Topic("usage.events.1", lambda value: LARGE if len(value) > 20_000 else None)
    rejected = Topic("usage.rejected")
    records = [record(0, ("a", 30_000)), record(1, ("b", 30_000), namespace="small")]
    admission_of(records, events, rejected, 1).step()
    assert [result["idempotency_key"] for result in rejections(rejected)] == ["a", "b"]
    assert topics_read == ["usage.events.1"]


DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


@pytest.mark.parametrize("unknown", [KafkaError(KafkaError._TIMED_OUT), DENIED])
def test_what_was_acknowledged_beside_a_refused_batch_is_not_written_again_while_the_limit_is_not_known(
    monkeypatch: pytest.MonkeyPatch, unknown: KafkaError
) -> None:
    """Each repetition would have added copies of it to the books."""

    def not_told(settings: Settings, topic: str) -> int:
        raise KafkaException(unknown)

    monkeypatch.setattr(admission, "topic_limit", not_told)
    sealed = {"now": False}
    events = Topic("usage.events.1", lambda value: LARGE if sealed["now"] or b"large" in value else None)
    step = admission_of(
        [record(0, *((f"{number}", 10) for number in range(9)), ("large", 30_000))], events, Topic("usage.rejected"), 4
    )
    deliver = events.deliver

    def then_sealed(records: Any, partition: int | None = None) -> list[Any]:
        results = deliver(records, partition)
        sealed["now"] = any(isinstance(result, KafkaError) for result in results)
        return results

    monkeypatch.setattr(events, "deliver", then_sealed)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            step.step()
    sealed["now"] = False
    monkeypatch.setattr(events, "deliver", deliver)
    monkeypatch.setattr(admission, "topic_limit", lambda settings, topic: 250_000)
    step.step()
    assert events.events() == [f"{number}" for number in range(9)]


def test_what_one_partition_took_is_not_written_again_where_the_next_one_cannot_be_written_to() -> None:
    events = Topic("usage.events.1")
    step = admission_of([record(0, *((f"{number}", 10) for number in range(9)))], events, Topic("usage.rejected"), 4)
    deliver, partitions = events.deliver, set[int | None]()

    def failing(records: Any, partition: int | None = None) -> list[Any]:
        if partitions and partition not in partitions:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        partitions.add(partition)
        return deliver(records, partition)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "deliver", failing)
        for _ in range(3):
            with pytest.raises(KafkaException):
                step.step()
    step.step()
    assert events.events() == [f"{number}" for number in range(9)]


def test_without_the_right_to_read_the_limit_an_event_is_rejected_once_the_topic_takes_a_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(settings: Settings, topic: str) -> int:
        raise KafkaException(DENIED)

    monkeypatch.setattr(admission, "topic_limit", denied)
    events = Topic("usage.events.1", lambda value: LARGE if len(value) > 20_000 else None)
    rejected = Topic("usage.rejected")
    admission_of([record(0, ("a", 9_000), ("b", 30_000), ("c", 9_000))], events, rejected, 1).step()
    assert [value for value in events.values if not value] == [b""]
    events.values.remove(b"")
    assert events.events() == ["a", "c"]
    assert [result["idempotency_key"] for result in rejections(rejected)] == ["b"]
    sealed = Topic("usage.events.1", lambda value: LARGE)
    with pytest.raises(LedgerUnavailable, match="sealed"):
        admission_of([record(0, ("a", 10), ("b", 10))], sealed, rejected, 1).step()
    assert len(rejected.values) == 1


def test_a_rejection_keeps_less_where_its_topic_takes_less_than_the_settings_say() -> None:
    """The writer adopts the topic's limit at its first refusal."""
    large = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)

    def decide(value: bytes) -> KafkaError | None:
        if len(value) <= 100_000:
            return None
        rejected.limit = 100_000
        return large

    rejected = Topic("usage.rejected", decide)
    junk = InboxRecord("usage.inbox.shop", "shop", 0, 9, NOW_US, b"junk" * 100_000)
    admission_of([junk], Topic("usage.events.1"), rejected).step()
    [result] = rejections(rejected)
    assert (result["reason"], len(result["original"]), result["original_size"]) == ("malformed", 64 * 1024, 400_000)


def test_a_log_that_puts_records_below_what_was_taken_is_written_to_again_until_they_lie_above_it() -> None:
    """It lost its end: no worker would read them there."""
    events, counted = Topic("usage.events.1"), Acknowledged("worker")
    counted.metered(1, {0: 3})
    rejected = cast(Any, Topic("usage.rejected"))
    records = [record(0, ("a", 10))]
    step = Admission(Settings(), catalog(), records, lambda: (cast(Any, events), 1), rejected, counted)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match=r"put a record at offset [12], although all below 3 is"):
            step.step()
    step.step()
    assert events.events() == ["a", "a", "a"]  # those below the cursor are nobody's, and the third counts
    assert counted.taken(1, 0).placed == 4


def test_nothing_is_written_to_a_log_that_is_not_the_metered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_inboxes, "LedgerWriter", lambda _, topic, told: Topic(topic))
    monkeypatch.setattr(open_inboxes, "partition_count", lambda *_: 4)
    why = {1: ""}
    opened = OpenGeneration(Settings(), catalog(), 1, lambda generation: why[generation])
    assert opened()[1] == 4
    why[1] = "usage.events.1 is another topic"
    with pytest.raises(LedgerUnavailable, match="another topic"):
        opened()


def test_without_rights_admission_says_what_to_do() -> None:
    denied = Topic("usage.events.1", lambda value: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(CannotGoOn, match="give WEIR_KAFKA_SASL_USERNAME the rights"):
        admission_of([record(0, ("a", 10))], denied, Topic("usage.rejected")).step()


def test_a_batch_that_was_not_read_is_rejected_with_its_place_and_its_records_counted() -> None:
    rejected = Topic("usage.rejected")
    value = RefusedBatch.of("it expands to more than 9 bytes", 5, 3, b"{")
    admission_of(
        [InboxRecord("usage.inbox.shop", "shop", 0, 7, NOW_US, value)], Topic("usage.events.1"), rejected
    ).step()
    [result] = rejections(rejected)
    assert (result["reason"], result["events"], result["origin_offset"], result["original"]) == ("not_read", 3, 7, b"{")
    assert "offsets 5 to 7" in result["detail"]
