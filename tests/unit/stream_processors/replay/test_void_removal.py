"""Rows of voids that no single pass over the log writes are told from those that one does."""

from __future__ import annotations

from dataclasses import replace

from stream_processors.metering.dedupe import Counted, Record
from stream_processors.metering.settle_voids import void_batch, void_of
from stream_processors.replay.void_removal import StoredVoid, wrong_voids
from tests.unit.stream_processors.metering.test_settle_voids import VOID

FIRST, SECOND = (Counted(1, 0, offset, 2, 0, b"") for offset in (3, 7))
LATER = Counted(1, 0, 11, 0, 0, b"")
RECORD = Record(1, 0, 9, 0, void_batch("default"), VOID)
COPIES = {void_of(RECORD).identity: [FIRST, SECOND, LATER]}
RIGHT = StoredVoid(9, "default", "", "6", (1, 0, 7, 2))


def test_a_row_is_right_where_the_void_of_the_log_means_its_event() -> None:
    assert wrong_voids([RIGHT], {9: RECORD}, COPIES) == []


def test_rows_of_no_void_of_another_identity_and_of_another_event_are_wrong() -> None:
    no_void = RIGHT._replace(void_offset=8)
    another_key = RIGHT._replace(idempotency_key="7")
    another_copy = RIGHT._replace(target=(1, 0, 3, 2))
    later = RIGHT._replace(target=(1, 0, 11, 0))
    rows = [no_void, RIGHT, another_key, another_copy, later]
    assert wrong_voids(rows, {9: RECORD}, COPIES) == [no_void, another_key, another_copy, later]
    assert wrong_voids([RIGHT], {9: replace(RECORD, void=replace(VOID, source="s"))}, {}) == [RIGHT]


def test_a_journal_that_lacks_the_event_says_nothing_of_the_row() -> None:
    assert wrong_voids([RIGHT], {9: RECORD}, {}) == []
