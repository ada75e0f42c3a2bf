"""A reader that is held for long outlives a consumer that lost its topic, and gives up where nothing comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition

from schemas.ledgers import ledger_reader
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_follower import Follower
from schemas.ledgers.ledger_reader import FAILURES, LedgerReader, LogRecord
from schemas.ledgers.log_place import LogPlace, RecordMark
from schemas.settings import Settings

TOPIC = "usage.rejected"


class Message:
    """A record of a partition, at an offset."""

    def __init__(self, partition: int, offset: int) -> None:
        self._position = partition, offset

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._position[0]

    def offset(self) -> int:
        return self._position[1]

    def timestamp(self) -> tuple[int, int]:
        return 2, 1

    def value(self) -> bytes:
        return b"x"


class Kafka:
    """Makes consumers; ``forgetful``: how many of the first ones lose sight of the topic's partitions."""

    def __init__(self, forgetful: int) -> None:
        self.forgetful = forgetful
        self.away = False
        self.electing: list[int] = []
        self.consumers: list[Any] = []

    def consumer(self, settings: dict[str, Any]) -> Any:
        kafka, number = self, len(self.consumers)

        class Consumer:
            closed = fetches = False
            assigned: list[TopicPartition]

            def list_topics(self, topic: str, timeout: float) -> Any:
                if kafka.away:
                    raise KafkaException(KafkaError(KafkaError._TRANSPORT))
                return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None, 1: None})})

            def assign(self, partitions: list[TopicPartition]) -> None:
                self.assigned, self.fetches = partitions, True

            def unassign(self) -> None:
                self.fetches = False

            def poll(self, timeout: float) -> Any:
                assert self.fetches
                return Message(0, 0)

            def consume(self, most: int, timeout: float) -> list[Any]:
                return [Message(1, 7)]

            def offsets_for_times(self, questions: list[TopicPartition], timeout: float) -> list[Any]:
                if kafka.electing:
                    raise KafkaException(KafkaError(kafka.electing.pop()))
                if number < kafka.forgetful:
                    raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
                return [TopicPartition(TOPIC, question.partition, 9) for question in questions]

            def close(self) -> None:
                self.closed = True

        self.consumers.append(Consumer())
        return self.consumers[-1]


@pytest.fixture
def reader_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def reader(kafka: Kafka, clock: Callable[[], float] = time.monotonic) -> LedgerReader:
        monkeypatch.setattr(ledger_reader, "Consumer", kafka.consumer)
        return LedgerReader(Settings(), TOPIC, clock=clock)

    return reader


def fail(reader: LedgerReader, times: int) -> None:
    for _ in range(times):
        with pytest.raises(LedgerUnavailable):
            reader.end_offsets()


def test_a_reader_connects_anew_where_it_was_after_some_failures(reader_of: Any) -> None:
    kafka = Kafka(forgetful=1)
    reader = reader_of(kafka)
    reader.positions[1] = 7
    fail(reader, FAILURES)
    assert reader.end_offsets() == {0: 9, 1: 9}
    assert [consumer.closed for consumer in kafka.consumers] == [True, False]
    assert [record.partition for record in reader.read_to({0: 1, 1: 8})] == [0, 1]
    assert {position.partition: position.offset for position in kafka.consumers[1].assigned}[1] == 7


def test_what_the_caller_has_written_is_passed_over_and_the_next_record_read(reader_of: Any) -> None:
    kafka = Kafka(forgetful=0)
    reader = reader_of(kafka)
    assert [record.partition for record in reader.read_to({0: 1, 1: 8})] == [0, 1]
    before, mark = reader.places()[0], RecordMark.of(19, 7000, b"ours")
    reader.pass_over({0: 1, 1: 20}, {1: LogRecord(1, 19, 7000, b"ours")})
    assert (reader.positions, reader.places()) == ({0: 1, 1: 20}, {0: before, 1: LogPlace(20, 20, mark)})
    next(reader.read_to({0: 1, 1: 21}))
    assert {position.partition: position.offset for position in kafka.consumers[0].assigned} == {0: 1, 1: 20}


@pytest.mark.parametrize("code", [KafkaError.FENCED_LEADER_EPOCH, KafkaError._DESTROY_BROKER])
def test_the_end_is_asked_for_again_while_a_partition_gets_a_leader(
    reader_of: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(ledger_reader.time, "sleep", pauses.append)
    kafka = Kafka(forgetful=0)
    kafka.electing = [code, code]
    assert reader_of(kafka).end_offsets() == {0: 9, 1: 9}
    assert (len(pauses), len(kafka.consumers)) == (2, 1)


def test_an_election_without_an_end_is_told(reader_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(ledger_reader.time, "sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
    kafka = Kafka(forgetful=0)
    kafka.electing = [KafkaError.FENCED_LEADER_EPOCH] * 1000
    fail(reader_of(kafka, clock), 1)
    assert 5 < clock.now < 6


def test_records_since_a_time_begin_at_the_end_only_where_kafka_says_that_there_are_none(reader_of: Any) -> None:
    kafka = Kafka(forgetful=0)
    reader = reader_of(kafka)
    late = SimpleNamespace(partition=0, offset=-1, error=None)
    unknown = SimpleNamespace(partition=1, offset=-1, error=None)
    asked: list[int] = []

    def answers(questions: list[TopicPartition], timeout: float) -> list[Any]:
        asked.append(questions[0].offset)
        ends = [TopicPartition(TOPIC, number, 9) for number in (0, 1)]
        return ends if questions[0].offset == OFFSET_END else [late, unknown]

    kafka.consumers[0].offsets_for_times = answers
    assert reader.offsets_since(5_000) == {0: 9, 1: 9}
    assert asked == [OFFSET_END, 5]
    unknown.offset, unknown.error = -1001, KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)
    with pytest.raises(LedgerUnavailable, match="of partition 1 is not known"):
        reader.offsets_since(5_000)


def test_a_reader_keeps_its_consumer_while_kafka_is_away(reader_of: Any) -> None:
    kafka = Kafka(forgetful=2)
    reader = reader_of(kafka)
    kafka.away = True
    fail(reader, FAILURES)
    assert [consumer.closed for consumer in kafka.consumers] == [False, True]
    kafka.away = False
    fail(reader, FAILURES)
    assert reader.end_offsets() == {0: 9, 1: 9}


def test_a_reader_fetches_only_while_it_reads(reader_of: Any) -> None:
    kafka = Kafka(forgetful=0)
    reader = reader_of(kafka)
    (consumer,) = kafka.consumers
    assert not consumer.fetches
    assert list(reader.read_to({0: 0, 1: 0})) == []
    for record in reader.read_to({0: 1, 1: 8}):
        assert (record.partition, consumer.fetches) == (record.partition, True)
    assert not consumer.fetches
    reading = reader.read_to({0: 9, 1: 9})
    next(reading)
    reading.close()  # whoever reads may stop early
    assert not consumer.fetches


class Clock:
    """Seconds, as a test lets them pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowReader(LedgerReader):
    """Each poll takes ``seconds`` and brings the next offsets of partition 0, or nothing."""

    def __init__(self, clock: Clock, seconds: float, polls: list[list[int]]) -> None:
        super().__init__(Settings(), TOPIC, clock=clock)
        self.clock, self.seconds, self.polls = clock, seconds, polls

    def poll(self, timeout: float, limit: int = 1000) -> list[LogRecord]:
        self.clock.now += self.seconds
        offsets = self.polls.pop(0)
        for offset in offsets:
            self.positions[0] = offset + 1
        return [LogRecord(0, offset, 0, b"") for offset in offsets]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers find a Kafka that is well."""
    monkeypatch.setattr(ledger_reader, "Consumer", Kafka(forgetful=0).consumer)


@pytest.mark.usefixtures("connected")
def test_reading_may_take_as_long_as_it_brings_something() -> None:
    clock = Clock()
    reader = SlowReader(clock, 100.0, [[number] for number in range(200)])
    assert len(list(reader.read_to({0: 200}, stalled=120.0))) == 200
    assert clock.now == 20_000


@pytest.mark.usefixtures("connected")
def test_what_the_caller_does_with_a_record_is_no_waiting() -> None:
    clock = Clock()
    reader = SlowReader(clock, 1.0, [[0], [], [1]])
    for _ in reader.read_to({0: 2}, stalled=120.0):
        clock.now += 1000


@pytest.mark.usefixtures("connected")
def test_reading_ends_where_nothing_comes_and_says_how_far_it_came() -> None:
    clock = Clock()
    reader = SlowReader(clock, 50.0, [[0], [1], [], [], [], []])
    with pytest.raises(LedgerUnavailable, match=r"nothing came for 120 s before its end .* partition 0 offset 2 of 9"):
        list(reader.read_to({0: 9, 1: 0}, stalled=120.0))
    assert clock.now == 250


def test_a_piece_of_a_large_record_is_progress(reader_of: Any) -> None:
    clock = Clock()
    reader = reader_of(Kafka(forgetful=0), clock)

    def poll(timeout: float) -> list[LogRecord]:
        clock.now += 100.0
        reader.positions[0] += 1
        return []

    reader.poll = poll
    assert list(reader.read_to({0: 50}, stalled=120.0)) == []


class Condition:
    """In place of a follower's condition: each wait takes up to its seconds, in which ``happens`` does something."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens
        self.seconds = 0.0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        self.seconds += timeout - 1
        self._happens()
        return predicate()


def follower_that(monkeypatch: pytest.MonkeyPatch, happens: Callable[[Follower], None]) -> tuple[Follower, Condition]:
    follower = Follower(Settings(), TOPIC, lambda record: None)
    condition = Condition(lambda: happens(follower))
    monkeypatch.setattr(follower, "_changed", condition)
    monkeypatch.setattr(follower, "_thread", SimpleNamespace(start=lambda: None))
    return follower, condition


def test_a_follower_starts_as_long_as_it_applies_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def happens(follower: Follower) -> None:
        follower._positions[0] = follower._positions.get(0, 0) + 1
        if follower._positions[0] == 100:
            follower.caught_up_at = 5.0

    follower, condition = follower_that(monkeypatch, happens)
    follower.start(60.0)
    assert condition.seconds == 5900


def test_a_follower_that_only_reads_again_what_it_had_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, condition = follower_that(monkeypatch, lambda follower: follower._positions.update({0: 7}))
    with pytest.raises(LedgerUnavailable, match="nothing came for 60 s: no answer"):
        follower.start(60.0)
    assert condition.seconds == 118
