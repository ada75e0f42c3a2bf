"""A reader goes on where another one stood: nothing is given twice, incomplete records come whole, and a log that has
another record at that place is told."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from schemas.kafka.topics import INVOICES
from schemas.ledgers import ledger_reader
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.log_place import LogPlace, LogReplaced, RecordMark
from schemas.ledgers.pieces import cut
from schemas.settings import Settings


class Message:
    """A record of partition 0."""

    def __init__(self, offset: int, value: bytes, append_ms: int) -> None:
        self._offset, self._value, self._append_ms = offset, value, append_ms

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 2, self._append_ms

    def value(self) -> bytes:
        return self._value


class Topic:
    """One partition with values and their append times; stands for confluent_kafka.Consumer."""

    def __init__(self, *values: bytes) -> None:
        self.log = [(value, 1_000 + offset) for offset, value in enumerate(values)]
        self._at = 0

    def __call__(self, _: Any) -> Topic:
        return self

    def list_topics(self, topic: str, timeout: float) -> Any:
        metadata = type("Metadata", (), {"error": None, "partitions": {0: None}})
        return type("Cluster", (), {"topics": {topic: metadata}})

    def assign(self, partitions: list[TopicPartition]) -> None:
        [part] = partitions
        self._at = max(part.offset, 0)

    def unassign(self) -> None: ...

    def poll(self, timeout: float) -> Message | None:
        return next(iter(self.consume(1, 0)), None)

    def consume(self, most: int, timeout: float) -> list[Message]:
        first, self._at = self._at, min(self._at + most, len(self.log))
        return [Message(offset, *self.log[offset]) for offset in range(first, self._at)]

    def close(self) -> None: ...


@pytest.fixture
def reader_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def reader(topic: Topic) -> LedgerReader:
        monkeypatch.setattr(ledger_reader, "Consumer", topic)
        return LedgerReader(Settings(), INVOICES)

    return reader


def read(reader: LedgerReader, end: int) -> list[tuple[int, bytes]]:
    return [(record.offset, record.value) for record in reader.read_to({0: end})]


WHOLE = b"whole" * 100
PIECES = list(cut(WHOLE, 200, b"w" * 16))
VALUES = [b"a", PIECES[0], b"b", *PIECES[1:], b"c", b"d"]
GIVEN = [(0, b"a"), (2, b"b"), (1 + len(PIECES), WHOLE), (2 + len(PIECES), b"c"), (3 + len(PIECES), b"d")]


@pytest.mark.parametrize("until", range(len(VALUES) + 1))
def test_another_reader_goes_on_where_one_stood(reader_of: Any, until: int) -> None:
    first = reader_of(Topic(*VALUES[:until]))
    before, second = read(first, until), reader_of(Topic(*VALUES))
    second.resume(first.places())
    assert before + read(second, len(VALUES)) == GIVEN
    assert second.places()[0] == LogPlace(
        len(VALUES), len(VALUES), RecordMark.of(len(VALUES) - 1, (1_000 + len(VALUES) - 1) * 1_000, b"d")
    )


def test_while_a_record_is_incomplete_it_is_read_again_from_its_first_piece(reader_of: Any) -> None:
    reader = reader_of(Topic(*VALUES[:3]))
    assert read(reader, 3) == [(0, b"a"), (2, b"b")]
    place = reader.places()[0]
    assert (place.next_offset, place.begin, place.reading_from) == (3, 1, 1)
    reader.resume({0: place})
    assert read(reader, 3) == []


@pytest.mark.parametrize("other", [(b"x", 1_002), (b"b", 9_999)])
def test_another_record_at_the_place_is_another_log(reader_of: Any, other: tuple[bytes, int]) -> None:
    reader = reader_of(Topic(*VALUES[:3]))
    read(reader, 3)
    topic = Topic(*VALUES)
    topic.log[2] = other
    another = reader_of(topic)
    assert not another.knows(reader.places())
    assert reader_of(Topic(*VALUES)).knows(reader.places())
    another.resume(reader.places())
    with pytest.raises(LogReplaced, match="another record at offset 2"):
        read(another, len(VALUES))
    another.seek({0: 0})
    assert len(read(another, len(VALUES))) == len(GIVEN)
