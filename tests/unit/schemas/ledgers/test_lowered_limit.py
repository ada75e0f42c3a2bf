"""A topic whose max.message.bytes is lowered while it is written to, before a broker as Kafka's are: the limit is for
the set of records that a client sends at once, and all of a refused set are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.kafka.codec import codec
from schemas.ledgers import ledger_writer
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.invoice_claims import ValidInvoices
from schemas.ledgers.invoice_record import encode_invoice
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.ledgers.pieces import Joiner
from schemas.settings import Settings
from tests.unit.rating.builders import invoice_of

LARGE = KafkaError.MSG_SIZE_TOO_LARGE


class Broker:
    """Holds the records of one topic; ``limit`` is its max.message.bytes. ``unread``: why it is not told."""

    def __init__(self, limit: int, unread: int | None = None) -> None:
        self.limit = limit
        self.unread = unread
        self.values: list[bytes] = []

    def told(self, _: Settings, topic: str) -> int:
        if self.unread is not None:
            raise KafkaException(KafkaError(self.unread))
        return self.limit

    def takes(self, batch: list[bytes]) -> bool:
        if sum(map(len, batch)) > self.limit:
            return False
        self.values += batch
        return True


class Client:
    """A producer that merges what is handed over into sets of up to ``batch.size``, as librdkafka does."""

    def __init__(self, broker: Broker, configuration: Mapping[str, Any]) -> None:
        self.fatal = None
        self._broker = broker
        self._most, self._merged = configuration["message.max.bytes"], configuration["batch.size"]
        self._queue: list[tuple[bytes, Any]] = []

    def produce(self, topic: str, value: bytes, on_delivery: Any, *, key: bytes, partition: int) -> None:
        if len(value) > self._most:
            raise KafkaException(KafkaError(LARGE))
        self._queue.append((value, on_delivery))

    def poll(self, seconds: float) -> None: ...

    def flush(self, seconds: float) -> int:
        while self._queue:
            batch = [self._queue.pop(0)]
            while self._queue and sum(len(value) for value, _ in batch) + len(self._queue[0][0]) <= self._merged:
                batch.append(self._queue.pop(0))
            first = len(self._broker.values)
            taken = self._broker.takes([value for value, _ in batch])
            for number, (_, report) in enumerate(batch):
                report(None if taken else KafkaError(LARGE), Message(first + number))
        return 0


class Message:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


def writer_of(monkeypatch: pytest.MonkeyPatch, broker: Broker, topic: str) -> LedgerWriter:
    monkeypatch.setattr(ledger_writer, "KafkaProducer", lambda _, configuration: Client(broker, configuration))
    monkeypatch.setattr(ledger_writer, "topic_limit", broker.told)
    return LedgerWriter(Settings(), topic)


def values(*sizes: int) -> list[tuple[bytes, bytes]]:
    return [(b"", number.to_bytes(4) + b"x" * (size - 4)) for number, size in enumerate(sizes)]


def test_what_fits_is_written_and_what_does_not_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(50_000)
    writer = writer_of(monkeypatch, broker, "usage.rejected")
    records = values(*[3_000] * 60, 60_000, *[3_000] * 60)
    results = writer.deliver(records, 0)
    refused = [number for number, result in enumerate(results) if isinstance(result, KafkaError)]
    assert refused == [60]
    assert sorted(broker.values) == sorted(value for _, value in records if len(value) == 3_000)
    assert writer.limit < 50_000
    assert not [result for result in writer.deliver(values(*[3_000] * 60), 0) if isinstance(result, KafkaError)]
    broker.limit = 8 * 1024 * 1024  # and once it takes as much as ever, so does the writer
    assert not [result for result in writer.deliver(values(60_000), 0) if isinstance(result, KafkaError)]


def test_a_ledgers_record_is_written_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(50_000)
    writer = writer_of(monkeypatch, broker, "usage.invoices")
    records = values(10, 200_000, 10)
    places = writer.append_all(records, 0)
    joiner = Joiner()
    seen = {offset: joiner.take(value, 0) for offset, value in enumerate(broker.values)}
    assert [seen[offset] for _, offset in places] == [value for _, value in records]
    assert sum(codec("record_piece").knows(value) for value in broker.values) == 5
    assert writer.append(b"", b"y" * 100_000, 0)


@pytest.mark.parametrize("limit", [0, 5_000])
def test_a_sealed_topic_or_one_without_room_refuses_as_before(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    writer = writer_of(monkeypatch, Broker(limit), "usage.events.1")
    [result] = writer.deliver(values(6_000), 0)
    assert isinstance(result, KafkaError)
    assert result.code() == LARGE


def test_where_the_limit_cannot_be_read_nothing_is_taken_for_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = writer_of(monkeypatch, Broker(1_000, KafkaError._TIMED_OUT), "usage.rejected")
    with pytest.raises(LedgerUnavailable):
        writer.append_all(values(3_000), 0)


DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("limit", [20_000, 300_000, 1_048_588])
def test_a_limit_that_may_not_be_read_is_halved_until_all_that_fits_is_written(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    broker = Broker(limit, DENIED)
    writer = writer_of(monkeypatch, broker, "usage.rejected")
    told: list[int] = []
    writer._on_unreadable = lambda topic, size: told.append(size)
    records = values(*[3_000] * 400, 2_000_000, *[3_000] * 400)
    results = writer.deliver(records, 0)
    assert [number for number, result in enumerate(results) if isinstance(result, KafkaError)] == [400]
    assert sorted(broker.values) == sorted(value for _, value in records if len(value) == 3_000)
    assert told[0] == 4 * 1024 * 1024
    # And a caller that shortens what it writes by the limit (a rejection) comes to one that is taken.
    for _ in range(10):
        if not isinstance(writer.deliver(values(min(2_000_000, writer.limit)), 0)[0], KafkaError):
            break
    assert limit // 3 < writer.limit < limit


def test_a_ledgers_record_is_cut_smaller_where_the_limit_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(50_000, DENIED)
    writer = writer_of(monkeypatch, broker, "usage.invoices")
    records = values(10, 200_000, 10)
    places = writer.append_all(records, 0)
    joiner = Joiner()
    seen = {offset: joiner.take(value, 0) for offset, value in enumerate(broker.values)}
    assert [seen[offset] for _, offset in places] == [value for _, value in records]
    before = writer.limit
    assert writer.append(b"", b"y" * 100_000, 0)
    assert writer.limit == before


def test_a_sealed_topic_whose_limit_may_not_be_read_refuses_after_a_bounded_number_of_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = writer_of(monkeypatch, Broker(0, DENIED), "usage.events.1")
    attempt, attempts = writer._attempt, list[int]()
    monkeypatch.setattr(
        writer, "_attempt", lambda records, *rest: attempts.append(len(records)) or attempt(records, *rest)
    )
    for _ in range(2):
        [result] = writer.deliver(values(100), 0)
        assert isinstance(result, KafkaError)
        assert result.code() == LARGE
    assert len(attempts) < 15


def test_of_a_chain_written_out_of_order_the_later_record_is_void_and_valid_once_it_is_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refused set comes after later ones: no chain takes harm, and its writer reads back what is missing."""
    broker = Broker(1_500_000)
    writer = writer_of(monkeypatch, broker, "usage.invoices")
    first, second = (
        encode_invoice(invoice_of(invoice_id=f"inv_{number}", predecessor="inv_1" if number == 2 else "", **more))
        for number, more in ((1, {"run_id": "r" * 2_000_000}), (2, {}))
    )
    writer.append_all([(b"", first), (b"", second)], 0)
    joiner, valid = Joiner(), ValidInvoices()
    stored = [whole for value in broker.values if (whole := joiner.take(value, 0)) is not None]
    assert stored == [second, first]
    assert [invoice.invoice_id for value in stored if (invoice := valid.offer_bytes(value))] == ["inv_1"]
    writer.append_all([(b"", second)], 0)
    assert valid.offer_bytes(broker.values[-1]) is not None


def test_a_second_thread_that_was_refused_meanwhile_writes_by_the_limit_that_the_first_adopted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker(50_000)
    writer = writer_of(monkeypatch, broker, "usage.rejected")
    attempt = writer._attempt

    def beside(*arguments: Any) -> Any:
        results = attempt(*arguments)
        monkeypatch.setattr(writer, "_attempt", attempt)
        writer.append_all(values(*[3_000] * 60), 0)  # another thread's
        return results

    monkeypatch.setattr(writer, "_attempt", beside)
    assert len(writer.append_all(values(*[3_000] * 60), 0)) == 60


def test_a_limit_is_told_only_when_the_producer_that_keeps_to_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another thread would write by the new limit with the old producer, and take its refusal for the topic's."""
    writer = writer_of(monkeypatch, Broker(50_000), "usage.rejected")
    before, make, limits = writer.limit, writer._new_producer, []

    def observed(record_bytes: int) -> Any:
        limits.append(writer.limit)
        return make(record_bytes)

    monkeypatch.setattr(writer, "_new_producer", observed)
    writer.append_all(values(*[3_000] * 60), 0)
    assert limits == [before]
    assert writer.limit < before


def test_a_record_that_was_confirmed_without_its_offset_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is its caller's to read back, as after any answer that did not come."""
    writer = writer_of(monkeypatch, Broker(50_000), "usage.rejected")
    monkeypatch.setattr(Message, "offset", lambda _: None)
    with pytest.raises(LedgerUnavailable):
        writer.append(b"", b"value", 0)
