"""Where a log stands against its cursors, what of it was given up, and what is carried over from one that is
another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.events.identity import content_hash, identity
from schemas.events.voids import EventVoid, encode_void
from schemas.ledgers.generations import Generations, open_record, sealing_record
from schemas.ledgers.given_up import GivenUp, OffsetRange, record_of, uncovered
from schemas.ledgers.ledger_reader import LogRecord
from schemas.settings import Settings
from schemas.usage_log import continuity
from schemas.usage_log.acknowledged import KEPT, Acknowledged, TakenBefore
from schemas.usage_log.continuity import REST_LOOKS, ConfirmedFaults, GenerationStanding, LogWatch
from schemas.usage_log.generation_recovery import _digest, carried_rows, never_metered, not_carried
from schemas.values.instants import instant


@pytest.mark.parametrize(
    ("bounds", "cursor", "same", "expected"),
    [
        ((0, 30), 30, True, []),
        ((0, 40), 30, True, []),
        ((30, 30), 30, True, []),
        ((0, 5), 30, True, [("log_ends_below_cursor", True)]),
        ((35, 40), 30, True, [("log_begins_above_cursor", False)]),
        ((35, 35), 30, True, [("log_begins_above_cursor", False)]),
        ((0, 40), 30, False, [("log_replaced", True)]),
    ],
)
def test_a_log_that_cannot_have_been_metered_refuses_and_one_that_has_lost_its_beginning_waits(
    bounds: tuple[int, int], cursor: int, same: bool, expected: list[tuple[str, bool]]
) -> None:
    standing = GenerationStanding(1, "a", "a" if same else "b", {0: bounds, 1: (0, 9)}, {0: cursor, 1: 9})
    assert [(reason.name, reason.refuses) for reason in standing.reasons()] == expected
    assert all(reason.lasting for reason in standing.reasons())


def test_a_log_of_which_nothing_was_metered_or_recorded_is_fine() -> None:
    assert list(GenerationStanding(1, "a", "", {0: (0, 7)}, {}).reasons()) == []
    assert list(GenerationStanding(1, "a", "", {0: (0, 7)}, {0: 3}).reasons()) == []


def at(end: int, cursor: int, *, same: bool = True) -> GenerationStanding:
    """A log of two partitions, of which the second is fine."""
    return GenerationStanding(1, "a", "a" if same else "b", {0: (0, end), 1: (0, 9)}, {0: cursor, 1: 9})


@pytest.mark.parametrize("same", [True, False])
def test_a_fault_is_confirmed_by_a_second_look_although_its_numbers_change_as_events_flow(*, same: bool) -> None:
    faults = ConfirmedFaults()
    assert faults.look(at(30, 30)) == ()
    assert faults.look(at(5, 30, same=same)) == ()
    [reason] = faults.look(at(7, 31, same=same))
    assert reason.refuses
    assert ("ends at offset 7" if same else "40 records") in reason.detail
    [reason] = faults.look(at(9, 33, same=same))
    assert ("ends at offset 9" if same else "42 records") in reason.detail
    assert faults.look(at(34, 33)) == ()
    assert faults.look(at(5, 33, same=same)) == ()  # it has to be seen twice again


def test_a_fault_of_one_generation_does_not_confirm_that_of_the_next() -> None:
    """Whose leader may not know its log's end for a moment, too."""
    faults, another = ConfirmedFaults(), GenerationStanding(2, "a", "a", {0: (0, 5)}, {0: 30})
    assert faults.look(at(5, 30)) == ()
    assert faults.look(another) == ()
    assert len(faults.look(another)) == 1


def test_a_log_that_is_not_the_metered_one_at_the_start_takes_nothing_from_the_first_look_on() -> None:
    [reason] = ConfirmedFaults().look(at(5, 30), first=True)
    assert reason.refuses


def test_the_remedy_names_exactly_the_lost_offsets() -> None:
    [reason] = GenerationStanding(2, "a", "a", {3: (35, 40)}, {3: 30}).reasons()
    assert "5 records are lost" in reason.detail
    assert "--generation 2 --partition 3 --from 30 --to 35" in reason.remedy


ranges_ = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=6)


@given(ranges_, st.integers(0, 40))
def test_a_cursor_moves_over_what_was_given_up_and_over_nothing_else(spans: list[tuple[int, int]], cursor: int) -> None:
    fold = GivenUp()
    for number, (start, length) in enumerate(spans, 1):
        assert fold.apply(record_of(OffsetRange(1, 0, start, start + length, "why", "who"), number, "c"), 5)
        assert not fold.apply(record_of(OffsetRange(1, 0, 0, 99, "too late", "who"), number, "c"), 5)
    lost = {offset for start, length in spans for offset in range(start, start + length)}
    end = fold.beyond(1, 0, cursor)
    assert set(range(cursor, end)) <= lost
    assert end not in lost
    assert fold.beyond(1, 1, cursor) == cursor
    left = {offset for start, upto in uncovered((0, 45), fold.ranges) for offset in range(start, upto)}
    assert left == set(range(45)) - lost


def test_foreign_bodies_give_nothing_up() -> None:
    fold = GivenUp()
    for body in ("", "[]", '{"generation": 1}', '{"generation":1,"partition":0,"from":5,"to":5,"reason":"x"}'):
        assert not fold.apply({"version": 1, "body": body, "author": "a"}, 1)
    assert fold.ranges == ()


def test_what_was_metered_is_not_carried_over() -> None:
    records = [
        LogRecord(0, 0, 1000, b"old"),
        LogRecord(0, 1, 9000, b"new"),
        LogRecord(0, 2, 9000, b""),
        LogRecord(0, 3, 9000, b"newer"),
    ]
    assert never_metered(records, {0: 1000, 1: 2000}) == [records[1], records[3]]


def test_what_is_carried_over_is_named_with_its_place_in_the_log_that_is_left() -> None:
    """A batch of two, a void, and what cannot be read, which no namespace has acknowledged."""
    packed = [
        AcceptedEvent(identity("n", "", key), content_hash("e", "a", b"{}"), "e", "a", key, "", 5, "{}") for key in "kl"
    ]
    void = EventVoid("n", "", "k", "why", "who")
    records = [
        LogRecord(3, 7, 9_000, encode_batch("n", 0, packed)),
        LogRecord(3, 8, 9_000, encode_void(void)),
        LogRecord(3, 9, 9_000, b"no record of ours"),
    ]
    assert carried_rows(1, 3, records) == [
        [1, 3, 7, instant(9_000), "n", 2],
        [1, 3, 8, instant(9_000), "n", 0],
    ]


class Client:
    """What was inserted."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def insert(self, table: str, data: list[Any], **_: Any) -> None:
        self.rows.extend(data)


def away(*_: Any) -> Any:
    raise OSError("away")


def test_what_is_acknowledged_is_counted_once_also_where_it_cannot_be_written_at_first() -> None:
    client = Client()
    counted = Acknowledged("gateway")
    counted.add("n", 1, 0, 7, 3)
    counted.add("n", 1, 0, 6, 0)  # a void
    counted.add("n", 1, 0, -1001, 9)  # confirmed as a duplicate by the broker, which does not say where
    with pytest.raises(OSError, match="away"):
        counted.write(away)
    counted.add("n", 1, 0, 5, 2)
    counted.add("m", 2, 3, 1, 4)
    counted.write(lambda: client)
    counted.write(lambda: client)
    assert [row[:3] + row[4:] for row in client.rows] == [
        [1, 0, 6, 1, "n", [6, 7], [0, 3]],
        [1, 0, 5, 2, "n", [5], [2]],
        [2, 3, 1, 3, "m", [1], [4]],
    ]


def test_a_record_that_a_shortened_log_puts_below_the_cursor_is_neither_counted_nor_acknowledged() -> None:
    """No worker reads it there. Above the cursor it is metered, and what was lost there shows beside it."""
    reads: list[int] = []

    def cursors(generation: int) -> dict[int, int]:
        reads.append(generation)
        return {0: 6}

    client, counted = Client(), Acknowledged("gateway", cursors)
    counted.metered(1, {0: 4})
    for offset in (6, 7):
        assert counted.add("n", 1, 0, offset, 3, counted.taken(1, 0)) is None
    under_way = counted.taken(1, 0)
    assert under_way == TakenBefore(placed=8, metered=4)
    why = counted.add("n", 1, 0, 3, 1, under_way)
    assert why is not None
    assert "usage.events.1 partition 0 put a record at offset 3, although all below 6 is metered" in why
    for offset in (4, 5):
        assert counted.add("n", 1, 0, offset, 1, under_way) is not None
    assert counted.add("n", 1, 0, -1001, 1, under_way) is None  # its place is not known
    for offset in (6, 7, 8):
        assert counted.add("n", 1, 0, offset, 5, counted.taken(1, 0)) is None
    assert reads == [1]
    counted.metered(1, {1: 30})
    assert counted.add("n", 1, 1, 29, 1, counted.taken(1, 1)) is not None
    assert counted.add("n", 2, 1, 0, 1, counted.taken(2, 1)) is None
    counted.write(lambda: client)
    assert [row[:3] + row[6:] for row in client.rows] == [[1, 0, 6, [6, 7, 8], [5, 5, 5]], [2, 1, 0, [0], [1]]]


def test_a_record_that_was_metered_before_its_report_came_is_acknowledged() -> None:
    counted = Acknowledged("gateway")
    taken = counted.taken(1, 0)
    counted.metered(1, {0: 6})
    assert counted.add("n", 1, 0, 5, 1, taken) is None


def test_a_log_that_went_back_while_clickhouse_is_away_is_judged_by_the_cursors_of_before() -> None:
    counted = Acknowledged("gateway", away)
    counted.metered(1, {0: 4})
    assert counted.add("n", 1, 0, 9, 1, counted.taken(1, 0)) is None
    assert counted.add("n", 1, 0, 5, 1, counted.taken(1, 0)) is None
    assert counted.add("n", 1, 0, 3, 1, counted.taken(1, 0)) is not None


def test_what_an_interrupted_recovery_has_carried_over_is_not_carried_over_again() -> None:
    before = Counter(map(_digest, (b"a", b"b", b"a")))
    assert not_carried([b"a", b"c", b"a"], before) == [b"c"]
    assert not_carried([b"a", b"b"], before) == [b"a"]
    assert not_carried([b"b"], Counter()) == [b"b"]


def test_what_waits_for_clickhouse_is_bounded() -> None:
    client = Client()
    counted = Acknowledged("gateway")
    half = KEPT // 2
    for page in range(3):
        for offset in range(page * half, (page + 1) * half):
            counted.add("n", 1, 0, offset, 1)
        with pytest.raises(OSError, match="away"):
            counted.write(away)
    counted.write(lambda: client)
    assert [(row[2], len(row[-1])) for row in client.rows] == [(half, half), (2 * half, half)]


def test_what_was_carried_over_stands_in_the_record_that_opens_a_generation() -> None:
    fold = Generations()
    assert fold.apply(sealing_record(fold.state, 1, 2, "a"))
    assert fold.apply(open_record(fold.state, (5, 6), "b", carried=(0, 3)))
    assert (fold.state.ends, fold.state.carried) == ({1: (5, 6)}, {2: (0, 3)})
    assert fold.apply(sealing_record(fold.state, 1, 4, "c"))
    plain = open_record(fold.state, (9, 9), "d")
    assert "carried" not in plain["body"]
    assert fold.apply(plain)
    assert fold.state.carried == {2: (0, 3)}


def test_a_watch_tells_the_count_of_acknowledged_records_how_far_the_log_is_metered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, counted = Client(), Acknowledged("gateway")
    standings = iter([at(40, 30), at(5, 30), at(6, 31)])
    monkeypatch.setattr(continuity, "AdminClient", lambda _: None)
    monkeypatch.setattr(continuity, "connect", lambda *_, **__: client)
    monkeypatch.setattr(continuity, "read_standing", lambda *_: next(standings))
    watch = LogWatch(Settings(), lambda: 1, acknowledged=counted)
    told = []
    for cursor in (30, 30, 31):
        watch._look()
        told.append([reason.name for reason in watch.reasons()])
        assert counted.taken(1, 0).metered == cursor
    assert told == [[], [], ["log_ends_below_cursor"]]


def test_an_intact_log_is_looked_at_every_third_time_by_who_puts_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, looks = Acknowledged("gateway"), 0
    log = at(40, 30)

    def look(*_: object) -> GenerationStanding:
        nonlocal looks
        looks += 1
        return log

    monkeypatch.setattr(continuity, "AdminClient", lambda _: None)
    monkeypatch.setattr(continuity, "connect", lambda *_, **__: Client())
    monkeypatch.setattr(continuity, "read_standing", look)
    watch = LogWatch(Settings(), lambda: 1, acknowledged=counted)

    def looked(turns: int) -> int:
        before = looks
        for _ in range(turns):
            watch._turn()
        return looks - before

    assert looked(1) == 1
    for placed in range(2 * REST_LOOKS):
        log = at(40 + placed, 30)  # by others
        assert looked(1) == (placed % REST_LOOKS == REST_LOOKS - 1)
    counted.add("live", 1, 0, 40, 3)
    assert looked(1) == 1  # what was acknowledged is written down, and the log looked at
    log = at(5, 30)  # it lost its end
    assert [looked(1) for _ in range(REST_LOOKS)][-1] == 1
    assert looked(1) == 1  # and what one look finds wrong, the next one confirms
    assert [reason.name for reason in watch.reasons()] == ["log_ends_below_cursor"]
