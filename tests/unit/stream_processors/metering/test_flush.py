"""Where a unit of records meets the cursor: below it, above it, junk at it, and a log that begins too late."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import CannotGoOn
from schemas.events.batch import encode_batch
from schemas.kafka.codec import codec
from schemas.kafka.errors import RecordRefused
from stream_processors.metering import flush as meter
from stream_processors.metering.flush import following
from stream_processors.replay.offsets import parted, rows_of
from tests.unit.stream_processors.metering.builders import Store, catalog, event, log_at
from tests.unit.stream_processors.metering.builders import meter as metered
from tests.unit.stream_processors.metering.flush_builders import Asked, record


def test_what_lies_below_the_cursor_is_passed_over():
    flush = Asked().prepare(record(3), record(4))
    assert flush.progress == {}
    assert flush.events.size == 0
    flush = Asked().prepare(record(4), record(5), record(6))
    assert flush.progress == {(1, 0): 7}
    assert flush.events.size == 2


def test_a_gap_seeks_back_once_and_nothing_above_it_counts():
    item = Asked()
    for _ in range(3):
        flush = item.prepare(record(7), record(8))
        assert (flush.progress, flush.events.size, flush.gaps) == ({}, 0, {0: 5})
    assert item.seeks == [(0, 5)]
    flush = item.prepare(record(5), record(6), record(7))
    assert (flush.progress, flush.gaps) == ({(1, 0): 8}, {})
    assert item.prepare(record(10)).progress == {}
    assert item.seeks == [(0, 5), (0, 8)]


def test_a_gap_inside_a_unit_keeps_what_comes_before_it():
    item = Asked()
    flush = item.prepare(record(5), record(7), record(6))
    assert (flush.progress, flush.gaps) == ({(1, 0): 6}, {0: 6})
    assert item.seeks == [(0, 6)]


def test_a_log_that_begins_above_the_cursor_holds_its_partition_and_nothing_of_it_is_acknowledged():
    item = Asked(log_start=8)
    flush = item.prepare(record(8), record(9))
    assert (flush.progress, flush.events.size, flush.gaps) == ({}, 0, {0: 5})


def test_a_cursor_that_has_gone_back_is_not_moved_over_the_hole_and_nothing_above_it_is_acknowledged():
    flush = Asked().prepare(record(5), record(6))
    assert following(flush, {(1, 0): 5}) == ({(1, 0): 7}, {})
    assert following(flush, {(1, 0): 9}) == ({(1, 0): 7}, {})  # another owner is further on
    assert flush.gaps == {}
    assert following(flush, {(1, 0): 2, (1, 1): 40}) == ({}, {0: 2})
    assert flush.gaps == {0: 5}


def test_junk_moves_the_cursor_and_is_rejected_with_its_bytes():
    flush = Asked().prepare(record(5, b"junk"), record(6))
    assert flush.progress == {(1, 0): 7}
    assert flush.events.size == 1
    [rejection] = flush.rejections
    assert (rejection.reason, rejection.original, rejection.origin.offset) == ("undecodable", b"junk", 5)
    assert [item.batch.size for item in flush.records] == [0, 1]


def test_a_conflict_is_rejected_and_the_same_content_in_other_words_is_a_duplicate():
    copies = encode_batch("default", 0, [event(1, 0), event(1, 1), event(1, 2)])
    flush = Asked().prepare(record(5, copies))
    assert flush.events.size == 1
    assert [row.dropped.index for row in flush.duplicates] == [1]
    assert [rejected.origin.index for rejected in flush.rejections] == [2]


def test_a_flush_takes_no_more_rows_than_it_holds_and_the_next_one_goes_on_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(meter, "FLUSH_ROWS", 5)
    batches = [
        record(offset, encode_batch("default", 0, [event(10 * offset + n, 0) for n in range(3)]))
        for offset in (5, 6, 7)
    ]
    item = Asked()
    flush = item.prepare(*batches)
    assert (flush.events.size, flush.left, flush.progress) == (3, {0: 6}, {(1, 0): 6})
    flush = item.prepare(*batches[1:])
    assert (flush.events.size, flush.left, flush.progress) == (3, {0: 7}, {(1, 0): 7})
    flush = item.prepare(batches[2])
    assert (flush.events.size, flush.left, flush.gaps) == (3, {}, {})


def test_one_batch_of_more_rows_than_a_flush_holds_is_taken_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(meter, "FLUSH_ROWS", 1)
    batch = encode_batch("default", 0, [event(50 + n, 0) for n in range(3)])
    flush = Asked().prepare(record(5, batch), record(6))
    assert (flush.events.size, flush.left) == (3, {0: 6})


def test_a_replay_leaves_nothing_out_where_a_unit_has_more_rows_than_a_flush_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(meter, "FLUSH_ROWS", 5)
    left = [
        record(offset, encode_batch("default", 0, [event(10 * offset + n, 0) for n in range(3)]))
        for offset in (5, 6, 7)
    ]
    item, recorded = Asked(), []
    while left:
        flush = item.prepare(*left)
        accepted_parted, left = parted(left, flush)
        places, _ = rows_of(flush)
        # What is deleted at these offsets beside the flush's own rows is none of another flush.
        assert {offset for offset, _ in places} == {raw.offset for raw in accepted_parted}
        recorded += [(raw.offset, flush.events.size) for raw in accepted_parted]
    assert recorded == [(5, 3), (6, 3), (7, 3)]
    broken = [record(8), record(12)]
    assert parted(broken, item.prepare(*broken)) == (broken[:1], broken[1:])


def test_the_records_that_a_replay_keeps_are_those_that_its_events_match():
    log = log_at([[(1, 0), (2, 2)], [(1, 1)]], [1, 2])
    flush = metered(Store(), Store().memory(), log, log, catalog(None))
    places, records = rows_of(flush)
    assert places == {(0, 0), (0, 1)}
    assert records == {(0, 0, "song.plays", 1), (0, 0, "song.usa", 1), (0, 1, "song.plays", 1)}


class LoweredTopic:
    """usage.rejected whose limit turns out to be ``limit`` at the first refusal, as ``LedgerWriter`` adopts it."""

    def __init__(self, limit: int) -> None:
        self.limit, self._true = 8_000_000, limit
        self.values: list[bytes] = []

    def append_all(self, records: list[tuple[bytes, bytes]]) -> None:
        for _, value in records:
            if len(value) > self._true:
                self.limit = self._true
                raise RecordRefused("usage.rejected", len(value), self.limit)
        self.values += [value for _, value in records]


@pytest.mark.parametrize("limit", [100_000, 100])
def test_a_rejection_keeps_less_where_its_topic_takes_less_and_says_what_to_do_where_nothing_fits(limit: int):
    item = Asked()
    junk = item.prepare(record(5, b"junk" * 100_000)).rejections
    rejected: Any = LoweredTopic(limit)
    item.meter._rejected = rejected
    if limit == 100:
        with pytest.raises(CannotGoOn, match=r"raise max\.message\.bytes of usage\.rejected"):
            item.meter._reject(junk)
        return
    item.meter._reject(junk)
    [value] = rejected.values
    decoded = codec("rejected_event").decode(value)
    assert (decoded["reason"], len(decoded["original"]), decoded["original_size"]) == (
        "undecodable",
        64 * 1024,
        400_000,
    )
