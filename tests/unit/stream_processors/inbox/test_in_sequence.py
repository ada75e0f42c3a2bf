"""Admission in sequence: each record of an inbox once and in order, whatever part of the log Faust delivers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_processors import takes
from stream_processors.fetching.bounded import RefusedBatch
from stream_processors.inbox.admit import InboxRecord
from stream_processors.inbox.in_sequence import OVERDUE_SECONDS, SEEK_AGAIN_SECONDS, InSequence
from stream_processors.inbox.inbox_agent import InboxAgent
from stream_processors.takes import FaustEvent

TOPIC = "usage.inbox.shop"


@dataclass
class Message:
    offset: int
    partition: int = 0
    value: bytes | None = b"{}"
    topic: str = TOPIC
    timestamp: float = 1.0
    acked: bool = False


@dataclass
class Event:
    message: takes.Message


@dataclass
class Log:
    """Kafka: offsets that hold a record, and the group's commit."""

    offsets: Sequence[int] = range(1000)
    commit: int = 0
    end: int = 1000
    reads: int = 0
    questions: int = 0
    begin: int = 0
    asked: list[int] = field(default_factory=list)

    def committed(self, partition: tuple[str, int]) -> int:
        return max(self.commit, self.begin)

    def first_at(self, partition: tuple[str, int], offset: int) -> int:
        self.reads += 1
        self.asked.append(offset)
        return min((present for present in self.offsets if present >= offset), default=self.end)

    def standing(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int | None, int]]:
        self.questions += 1
        return dict.fromkeys(partitions, (self.commit or None, self.end))


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    """An agent with a log; keeps what was admitted, acknowledged and sought."""

    log: Log = field(default_factory=Log)
    clock: Clock = field(default_factory=Clock)
    admitted: list[int] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    seeks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.agent = InboxAgent(self._judge, InSequence(self.log, self.clock))

    def _judge(self, records: Sequence[InboxRecord]) -> Rig:
        self.admitted += [record.offset for record in records]
        return self

    def step(self) -> None:
        """As ``Admission.step``: everything is written."""

    def take(self, *offsets: int) -> list[Message]:
        messages = [Message(offset) for offset in offsets]
        self.take_messages(messages)
        return messages

    def take_messages(self, messages: Sequence[Message]) -> None:
        async def ack(event: FaustEvent) -> None:
            self.acknowledged.append(event.message.offset)

        async def seek(partition: TP, offset: int) -> None:
            self.seeks.append(offset)

        asyncio.run(self.agent.take([Event(message) for message in messages], ack, seek))


def test_a_record_that_faust_skipped_is_read_again_and_nothing_beyond_it_is_acknowledged() -> None:
    rig = Rig()
    rig.take(0)
    beyond = rig.take(2, 3)
    assert (rig.admitted, rig.acknowledged, rig.seeks) == ([0], [0], [1])
    assert all(message.acked for message in beyond), "a rebalance would wait for them"
    rig.take(1, 2, 3)
    assert rig.admitted == rig.acknowledged == [0, 1, 2, 3]


def test_the_first_record_after_an_assignment_is_the_one_that_the_group_committed() -> None:
    rig = Rig(Log(commit=7))
    rig.take(8)
    assert (rig.admitted, rig.seeks) == ([], [7])
    rig.take(7, 8)
    assert rig.admitted == [7, 8]
    rig.log.commit = 20  # another worker had the partition in between
    rig.agent.reassigned()
    rig.take(9, 20)
    assert rig.admitted == [7, 8, 20]
    assert rig.acknowledged == [7, 8, 9, 20]


def test_offsets_without_a_record_are_passed_over() -> None:
    rig = Rig(Log(offsets=[0, 1, 3, 6, 7]))
    rig.take(0, 1, 3)
    rig.take(6, 7)
    assert rig.admitted == rig.acknowledged == [0, 1, 3, 6, 7]
    assert rig.seeks == []


def test_a_log_that_ends_below_the_due_offset_was_made_anew_and_is_admitted_from_its_beginning() -> None:
    rig = Rig()
    rig.take(*range(10))
    rig.log.end = 3
    rig.take(0, 1)
    rig.take(2)
    assert rig.admitted == [*range(10), 0, 1, 2]
    rig.log.end = 1000
    rig.take(1, 2)
    assert rig.acknowledged == [*range(10), 0, 1, 2, 1, 2]
    assert rig.admitted == [*range(10), 0, 1, 2], "what comes again is not admitted again"
    assert rig.log.questions == 2, "once for all of a unit's events"


def test_what_was_fetched_before_a_seek_makes_no_further_one_until_some_time_has_passed() -> None:
    rig = Rig()
    for offset in (4, 5, 6):
        rig.take(offset)
    assert (rig.seeks, rig.log.reads) == ([0], 1)
    rig.clock.now += SEEK_AGAIN_SECONDS + 1
    rig.take(7)
    assert rig.seeks == [0, 0]
    assert rig.admitted == []


def test_partitions_do_not_wait_for_each_other() -> None:
    rig = Rig()
    rig.take_messages([Message(2), Message(0, partition=1), Message(1, partition=1)])
    assert rig.admitted == [0, 1]
    assert rig.seeks == [0]


def test_a_batch_that_was_not_read_stands_for_all_of_its_records() -> None:
    rig = Rig()
    refused = RefusedBatch.of("corrupt", 1, 5, b"")
    rig.take_messages([Message(0), Message(5, value=refused), Message(6)])
    assert rig.admitted == [0, 5, 6]
    assert (rig.seeks, rig.log.reads) == ([], 0)


def test_work_of_an_earlier_assignment_says_nothing_of_a_later_one() -> None:
    log = Log()
    in_sequence = InSequence(log, Clock())
    unit = in_sequence.sort([Event(Message(0)), Event(Message(1))])
    earlier = in_sequence.assignment
    in_sequence.reassigned()
    log.commit = 1
    in_sequence.admitted(unit, earlier)
    later = in_sequence.sort([Event(Message(1))])
    assert [event.message.offset for event in later.due] == [1]


def test_a_skipped_record_that_is_the_last_one_is_read_again_after_a_while() -> None:
    log, clock = Log(offsets=range(2), end=2), Clock()
    in_sequence = InSequence(log, clock)
    partition = (TOPIC, 0)
    in_sequence.admitted(in_sequence.sort([Event(Message(0))]), in_sequence.assignment)
    assert in_sequence.overdue([partition]) == {}
    clock.now += OVERDUE_SECONDS - 1
    assert in_sequence.overdue([partition]) == {}
    clock.now += 1
    assert in_sequence.overdue([partition]) == {partition: 1}
    clock.now += OVERDUE_SECONDS - 1
    assert in_sequence.overdue([partition]) == {}, "what is being read again is given the same time"
    in_sequence.admitted(in_sequence.sort([Event(Message(1))]), in_sequence.assignment)
    clock.now += 10 * OVERDUE_SECONDS
    assert in_sequence.overdue([partition]) == {}


def test_the_end_of_a_log_without_a_record_is_passed_over_and_nothing_is_unread() -> None:
    log, clock = Log(offsets=range(2), end=3), Clock()  # a transaction's marker
    in_sequence = InSequence(log, clock)
    partition = (TOPIC, 0)
    in_sequence.admitted(in_sequence.sort([Event(Message(0)), Event(Message(1))]), in_sequence.assignment)
    assert in_sequence.unread([partition])
    in_sequence.overdue([partition])
    clock.now += OVERDUE_SECONDS
    assert in_sequence.overdue([partition]) == {}
    assert not in_sequence.unread([partition])


def test_what_kafka_deleted_of_a_log_of_which_nothing_was_committed_is_no_record_that_did_not_come() -> None:
    log, clock = Log(offsets=(), commit=0, end=9, begin=9), Clock()
    in_sequence = InSequence(log, clock)
    in_sequence.overdue([(TOPIC, 0)])
    clock.now += OVERDUE_SECONDS
    assert in_sequence.overdue([(TOPIC, 0)]) == {}
    assert log.asked == [9], "a question about offset 0 would tell of lost records"
    assert not in_sequence.unread([(TOPIC, 0)])


@given(
    st.sets(st.integers(0, 30), min_size=1).map(sorted),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6), st.sets(st.integers(0, 30))), max_size=30),
)
def test_deliveries_with_holes_and_repetitions_admit_each_record_once_and_in_order(
    offsets: list[int], deliveries: list[tuple[int, int, set[int]]]
) -> None:
    rig = Rig(Log(offsets=offsets))
    for begin, length, skipped in deliveries:
        rig.take(*[offset for offset in offsets[begin : begin + length] if offset not in skipped])
        assert rig.admitted == offsets[: len(rig.admitted)]
        assert set(rig.acknowledged) <= set(rig.admitted)
    rig.take(*offsets[len(rig.admitted) :])
    assert rig.admitted == offsets
