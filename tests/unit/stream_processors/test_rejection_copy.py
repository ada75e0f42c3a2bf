"""The copy of rejections says how many it has written, and what could not be written is written by the next run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pyarrow as pa
import pytest

from schemas.events.rejections import RejectedEvent, rejection_record
from schemas.ledgers.ledger_reader import LogRecord
from schemas.settings import Settings
from stream_processors.metering.journal import Journal
from stream_processors.projections import ledgers
from stream_processors.projections.ledgers import RejectionCopy


class Log:
    """usage.rejected with two records in partition 0."""

    def __init__(self, _settings: Settings, _topic: str, begin: Mapping[int, int]) -> None:
        self.positions = dict(begin)

    def end_offsets(self) -> dict[int, int]:
        return {partition: 2 if partition == 0 else 0 for partition in self.positions}

    def read_to(self, ends: Mapping[int, int]) -> Iterator[LogRecord]:
        for partition, end in ends.items():
            for offset in range(self.positions[partition], end):
                self.positions[partition] = offset + 1
                yield LogRecord(partition, offset, 0, rejected(offset))


class Tables:
    """ClickHouse, which refuses as many inserts as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.rows: list[Any] = []

    def insert(self, table: str, rows: pa.Table) -> None:
        if table != "rejected_events":
            return
        if self.refusals:
            self.refusals -= 1
            raise OSError("away")
        self.rows += rows["idempotency_key"].to_pylist()


def rejected(offset: int) -> bytes:
    rejection_id = offset.to_bytes(16, "big")
    return rejection_record(
        RejectedEvent("n", "admit", "invalid", "why", 1, b"{}", 0, rejection_id, idempotency_key=f"k{offset}")
    )


def test_what_is_written_is_counted_and_what_was_not_is_written_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledgers, "LedgerReader", Log)
    tables = Tables(refusals=1)
    copy = RejectionCopy(Settings(), cast(Journal, tables), again=True)
    with pytest.raises(OSError, match="away"):
        copy.run([0, 1])
    assert copy.run([0, 1]) == 2
    assert copy.run([0, 1]) == 0
    assert tables.rows == ["k0", "k1"]
