"""The copy of usage.invoices: whenever a worker dies, ClickHouse has every valid version in the end, and a start reads
what is new, unless ClickHouse or the log is not what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.kafka.topics import INVOICES
from schemas.ledgers.folds.stored_fold import COPIES, stored_in
from schemas.ledgers.invoice_claims import ValidInvoices
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import LogPlace, LogReplaced, RecordMark
from schemas.settings import Settings
from stream_processors.metering.journal import Journal, Stopping
from stream_processors.projections import invoice_copy
from stream_processors.projections.invoice_copy import InvoiceCopy
from tests.unit.rating.webhooks.test_intake import record

Key = tuple[str, str, int]


class ClickHouse:
    """Tables that inserts fill; ``stop_after``: inserts until the worker is told to stop."""

    def __init__(self) -> None:
        self.invoices: set[Key] = set()
        self.lines: set[Key] = set()
        self.marks: dict[int, int] = {}
        self.stop_after: int | None = None
        self.inserted = 0

    def insert(self, table: str, rows: Any) -> None:
        if self.stop_after is not None:
            if self.stop_after == 0:
                raise Stopping
            self.stop_after -= 1
        values = rows.to_pylist()
        if table == "copy_progress":
            for row in values:
                assert row["topic"] == INVOICES
                self.marks[row["partition"]] = max(row["next_offset"], self.marks.get(row["partition"], 0))
        else:
            kept = self.invoices if table == "invoices" else self.lines
            kept |= {(row["namespace"], row["invoice_id"], row["version"]) for row in values}
            self.inserted += len(values)

    def query(self, what: str, sql: str, parameters: Any = None) -> list[Sequence[Any]]:
        if "copy_progress" in sql:
            return list(self.marks.items())
        if "uniqExact(namespace" in sql:
            return [[len(self.invoices)]]
        return [(*key, 0) for key in self.invoices] if "FROM invoices)" in sql else []


class Reader:
    """A reader of a log of one partition; ``read``: the offsets that were read."""

    def __init__(self, log: list[LogRecord], read: list[int]) -> None:
        self._log, self._read = log, read
        self.positions = {0: 0}
        self._last: RecordMark | None = None

    def end_offsets(self) -> dict[int, int]:
        return {0: len(self._log)}

    def resume(self, places: Mapping[int, LogPlace]) -> None:
        self.positions[0], self._last = places[0].begin, places[0].last

    def places(self) -> dict[int, LogPlace]:
        return {0: LogPlace(self.positions[0], self.positions[0], self._last)}

    def close(self) -> None: ...

    def lots_to(self, ends: Mapping[int, int]) -> Iterator[list[LogRecord]]:
        if self._last is not None and self._last != mark_of(self._log[self._last.offset]):
            raise LogReplaced("another log")
        while self.positions[0] < ends[0]:
            lot = self._log[self.positions[0] :][:3]
            self._last = mark_of(lot[-1])
            self.positions[0] += len(lot)
            self._read += [item.offset for item in lot]
            yield lot


def mark_of(item: LogRecord) -> RecordMark:
    return RecordMark.of(item.offset, item.append_us, item.value)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[ClickHouse, list[LogRecord], Path], list[int]]:
    """Runs a worker's copy once; the offsets that it read."""
    monkeypatch.setattr(invoice_copy, "log_id", lambda _: "log")
    monkeypatch.setattr(invoice_copy, "_AT_ONCE", 2)
    monkeypatch.setattr(invoice_copy, "_UNSAVED", 4)

    def run(clickhouse: ClickHouse, log: list[LogRecord], folder: Path) -> list[int]:
        read: list[int] = []
        monkeypatch.setattr(invoice_copy, "LedgerReader", lambda *_: Reader(log, read))
        given_settings = cast(Settings, type("Given", (), {"snapshot_dir": str(folder)}))
        copy = InvoiceCopy(given_settings, cast(Journal, cast(Any, clickhouse)))
        try:
            copy.run()
            assert copy.versions == len(valid(log))
        except Stopping:
            pass
        finally:
            copy.close()
        return read

    return run


def valid(log: list[LogRecord]) -> set[Key]:
    claims = ValidInvoices()
    versions = [claims.offer_bytes(item.value) for item in log]
    return {(item.namespace, item.invoice_id, item.version) for item in versions if item is not None}


def log_of(steps: list[tuple[int, int]]) -> list[LogRecord]:
    return [record(0, offset, "air", subscription, version, 0) for offset, (subscription, version) in enumerate(steps)]


Worker = Callable[[ClickHouse, list[LogRecord], Path], list[int]]
STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=25)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.lists(st.tuples(st.integers(0, 25), st.integers(0, 6)), max_size=6))
def test_whenever_it_is_stopped_all_valid_versions_are_copied_in_the_end(
    worker: Worker, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], stops: list[tuple[int, int]]
) -> None:
    log, clickhouse, folder = log_of(steps), ClickHouse(), tmp_path_factory.mktemp("folds")
    for end, inserts in sorted(stops):
        clickhouse.stop_after = inserts
        worker(clickhouse, log[:end], folder)
    clickhouse.stop_after = None
    worker(clickhouse, log, folder)
    assert clickhouse.invoices == valid(log)
    assert worker(clickhouse, log, folder) == []


def test_a_start_compares_all_where_clickhouse_has_less_or_another_log(worker: Worker, tmp_path: Path) -> None:
    log, clickhouse = log_of([(number, 1) for number in range(7)]), ClickHouse()
    assert worker(clickhouse, log[:5], tmp_path) == [0, 1, 2, 3, 4]
    assert worker(clickhouse, log, tmp_path) == [5, 6]
    lost = clickhouse.invoices.pop()  # somebody deleted it
    assert worker(clickhouse, log, tmp_path) == [0, 1, 2, 3, 4, 5, 6]
    assert lost in clickhouse.invoices
    clickhouse.marks = {0: 3}  # restored from an earlier time
    assert worker(clickhouse, log, tmp_path) == [0, 1, 2, 3, 4, 5, 6]
    assert worker(clickhouse, log, tmp_path) == []
    assert worker(clickhouse, log[:4], tmp_path) == [0, 1, 2, 3]  # the log was made anew


def test_a_log_that_lost_its_end_and_grew_again_is_compared_from_its_beginning(worker: Worker, tmp_path: Path) -> None:
    """The invoice that it lost must not keep the one that took its place from ClickHouse."""
    log, clickhouse = log_of([(0, 1), (1, 1), (2, 1)]), ClickHouse()
    worker(clickhouse, log, tmp_path)
    grown = [*log[:2], *(record(0, offset, "air", number, 1, 9) for offset, number in ((2, 3), (3, 4)))]
    assert worker(clickhouse, grown, tmp_path) == [0, 1, 2, 3]
    assert clickhouse.invoices >= valid(grown)
    assert worker(clickhouse, grown, tmp_path) == []


def test_a_start_that_failed_keeps_no_file_from_the_next(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, clickhouse = log_of([(number, 1) for number in range(3)]), ClickHouse()
    worker(clickhouse, log, tmp_path)
    monkeypatch.setattr(invoice_copy, "LedgerReader", lambda *_: Reader(log, []))
    given_settings = cast(Settings, type("Given", (), {"snapshot_dir": str(tmp_path)}))
    copy = InvoiceCopy(given_settings, cast(Journal, cast(Any, clickhouse)))
    with monkeypatch.context() as patch:
        patch.setattr(ClickHouse, "query", lambda *_: (_ for _ in ()).throw(Stopping()))
        with pytest.raises(Stopping):
            copy.run()
    copy.run()
    copy.close()
    assert copy.versions == 3
    assert clickhouse.inserted == 3
    with closing(stored_in(str(tmp_path), COPIES, "log")) as fold:
        assert fold.versions() == 3


def test_without_a_folder_all_is_compared_and_only_what_is_missing_inserted(worker: Worker) -> None:
    log, clickhouse = log_of([(number, 1) for number in range(5)]), ClickHouse()
    worker(clickhouse, log, cast(Path, ""))
    assert (clickhouse.inserted, clickhouse.marks) == (5, {})
    clickhouse.invoices.pop()
    assert worker(clickhouse, log, cast(Path, "")) == [0, 1, 2, 3, 4]
    assert clickhouse.inserted == 6


def test_while_a_large_record_is_being_written_what_was_void_is_not_copied_at_the_next_start(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read again from the first piece on, at offset 0."""
    log, clickhouse = log_of([(0, 2), (0, 1), (1, 1)]), ClickHouse()
    monkeypatch.setattr(Reader, "places", lambda reader: {0: LogPlace(reader.positions[0], 0)})
    for _ in range(3):
        assert worker(clickhouse, log, tmp_path) == [0, 1, 2]
        assert clickhouse.invoices == valid(log)
    assert clickhouse.marks == {0: 3}
