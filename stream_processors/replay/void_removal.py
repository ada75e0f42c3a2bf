"""Rows of voids that no single pass over the log writes: a replay deletes them before it writes the right ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import PositionRange, in_range
from stream_processors.metering.dedupe import Counted, Record
from stream_processors.metering.event_copies import CopyPosition, position_of
from stream_processors.metering.journal import Journal
from stream_processors.metering.settle_voids import void_of, voided_copy
from stream_processors.metering.void_rows import copies_of


class StoredVoid(NamedTuple):
    """A row of voided_events: the void's offset, what it says of the void, and the position of the event."""

    void_offset: int
    namespace: str
    source: str
    idempotency_key: str
    target: CopyPosition


def wrong_voids(
    rows: Sequence[StoredVoid], voids: Mapping[int, Record], copies: Mapping[bytes, Sequence[Counted]]
) -> list[StoredVoid]:
    """Those of ``rows`` that the voids of the log, by offset, did not write; ``copies``: all counted copies of their
    identities. Pure."""
    wrong = []
    for row in rows:
        record = voids.get(row.void_offset)
        if record is not None:
            void, target = void_of(record), voided_copy(record, copies)
            said = (void.namespace, void.source, void.idempotency_key)
            # Where no copy is there the journal lacks the event, and who lacks it says nothing of the row.
            if said == row[1:4] and (target is None or position_of(target) == row.target):
                continue
        wrong.append(row)
    return wrong


def remove_wrong_voids(journal: Journal, offsets: PositionRange, voids: Sequence[Record]) -> int:
    """Delete rows of usage_voids and voided_events that ``voids``, all those of the range, did not write; how many.
    Events that do not count must be gone already. Raises Stopping."""
    return _of_records(journal, offsets, voids) + _of_events(journal, offsets, voids)


def _of_records(journal: Journal, offsets: PositionRange, voids: Sequence[Record]) -> int:
    bind = Binder()
    where = in_range(offsets, bind)
    rows = journal.query(
        "look at usage_voids",
        f"SELECT DISTINCT toString(namespace), offset FROM usage_voids WHERE {where}",
        bind.parameters,
    )
    wrong = sorted(
        {(str(row[0]), int(row[1])) for row in rows} - {(void_of(one).namespace, one.offset) for one in voids}
    )
    if wrong:
        journal.command(
            "delete rows of usage_voids that no single pass writes",
            f"DELETE FROM usage_voids WHERE {where} AND (namespace, offset) IN "
            "(SELECT arrayJoin({at:Array(Tuple(String, UInt64))}))",
            bind.parameters | {"at": wrong},
        )
    return len(wrong)


def _of_events(journal: Journal, offsets: PositionRange, voids: Sequence[Record]) -> int:
    bind = Binder()
    where = in_range(offsets, bind, prefix="void_")
    rows = journal.query(
        "look at voided_events",
        "SELECT DISTINCT void_offset, toString(namespace), source, idempotency_key, generation, partition, offset, "
        f"`index` FROM voided_events WHERE {where}",
        bind.parameters,
    )
    if not rows:
        return 0
    stored = [
        StoredVoid(int(row[0]), row[1], row[2], row[3], (int(row[4]), int(row[5]), int(row[6]), int(row[7])))
        for row in rows
    ]
    wrong = wrong_voids(stored, {record.offset: record for record in voids}, copies_of(journal, voids) if voids else {})
    if wrong:
        journal.command(
            "delete rows of voided_events that no single pass writes",
            f"DELETE FROM voided_events WHERE {where} AND (void_offset, generation, partition, offset, `index`) IN "
            "(SELECT arrayJoin({at:Array(Tuple(UInt64, UInt32, UInt32, UInt64, UInt32))}))",
            bind.parameters | {"at": [(row.void_offset, *row.target) for row in wrong]},
        )
    return len(wrong)
