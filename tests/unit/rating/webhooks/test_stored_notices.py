"""The fold of usage.invoices in a file: a start that goes on from it queues what one from the beginning does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.verify.difference import Findings
from rating.verify.invoices import fold_files
from rating.verify.invoices.fold_files import compare
from rating.verify.scope import Scope
from rating.webhooks.intake import Intake, Notices
from rating.webhooks.notices import Notice
from schemas.ledgers.folds.stored_fold import CONTENTS, WEBHOOKS, FoldElsewhere, StoredFold, stored_in
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import LogPlace, RecordMark
from tests.unit.rating.webhooks.test_intake import record

STEPS = st.lists(
    st.tuples(st.sampled_from(["hooked", "other"]), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=20
)


def log_of(steps: list[tuple[str, int, int]]) -> list[LogRecord]:
    return [
        record(0, offset, namespace, subscription, version, offset)
        for offset, (namespace, subscription, version) in enumerate(steps)
    ]


@given(STEPS, st.data())
def test_a_start_from_the_file_notices_what_a_start_from_the_beginning_does(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """Killed at any moment: after versions were queued, after the position was written, after the file was saved."""
    log = log_of(steps)
    queued: list[Notice] = []
    position = 0
    with TemporaryDirectory() as folder:
        for _ in range(6):
            with closing(stored_in(folder, WEBHOOKS, "log")) as fold:
                intake = Intake({0: position}, Notices(fold.valid, fold.states))
                begin = fold.begin({0: position}, {0: len(log)})[0].begin
                assert begin <= position
                end = data.draw(st.integers(begin, len(log)))
                queued += intake.take(fold.unseen(log[begin:end]))
                if data.draw(st.booleans()):
                    position = max(position, end)
                    if data.draw(st.booleans()):
                        fold.save({0: LogPlace(end, end)})
        with closing(stored_in(folder, WEBHOOKS, "log")) as fold:
            begin = fold.begin({0: position}, {0: len(log)})[0].begin
            queued += Intake({0: position}, Notices(fold.valid, fold.states)).take(fold.unseen(log[begin:]))
    # Queueing again what is queued changes nothing.
    assert list(dict.fromkeys(queued)) == Intake({}).take(log)


def filled(folder: Path, records: list[LogRecord]) -> StoredFold:
    fold = stored_in(str(folder), WEBHOOKS, "log")
    Intake({}, Notices(fold.valid, fold.states)).take(records)
    fold.save({0: LogPlace(len(records), len(records))})
    return fold


@pytest.mark.parametrize(
    ("queued", "end", "log"), [(2, 3, "log"), (3, 2, "log"), (3, 3, "another log")], ids=["ClickHouse", "Kafka", "log"]
)
def test_a_file_that_is_ahead_or_of_another_log_is_made_anew(tmp_path: Path, queued: int, end: int, log: str) -> None:
    records = log_of([("hooked", 0, 1), ("hooked", 1, 1), ("hooked", 0, 2)])
    filled(tmp_path, records).close()
    with closing(stored_in(str(tmp_path), WEBHOOKS, log)) as fold:
        assert fold.begin({0: queued}, {0: end}) == {0: LogPlace(0, 0)}
        assert len(Intake({}, Notices(fold.valid, fold.states)).take(records)) == 3
    filled(tmp_path, records).close()
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold:
        assert fold.begin({0: 3}, {0: 3, 1: 0}) == {0: LogPlace(3, 3), 1: LogPlace(0, 0)}
        assert Intake({}, Notices(fold.valid, fold.states)).take(records) == []


def test_what_was_void_is_not_judged_again_while_a_large_record_is_being_written(tmp_path: Path) -> None:
    """The log is read again from its first piece (here at offset 0) at each start."""
    log = [record(0, offset + 1, "hooked", 0, version, offset) for offset, version in enumerate((2, 1))]
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold:
        intake = Intake({}, Notices(fold.valid, fold.states))
        for _ in range(2):  # and where Kafka did not answer for a moment
            notices = intake.take(fold.unseen(log))
        assert notices == []
        fold.save({0: LogPlace(3, 0)})
        assert fold.versions() == 1
    further = [*log, record(0, 3, "hooked", 0, 2, 3)]
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold:
        assert fold.positions() == {0: 3}
        assert fold.begin({0: 3}, {0: 4}) == {0: LogPlace(3, 0)}
        assert len(Intake({0: 3}, Notices(fold.valid, fold.states)).take(fold.unseen(further))) == 1
        last = RecordMark(3, 3, 7)
        fold.save({0: LogPlace(4, 4, last)})
        assert fold.begin({0: 4}, {0: 4}) == {0: LogPlace(4, 4, last)}


def test_nothing_is_saved_while_a_new_reader_is_behind_what_was_judged(tmp_path: Path) -> None:
    """A file whose positions lie below what it holds would have what was void judged again."""
    log = log_of([("hooked", 0, 2), ("hooked", 0, 1)])
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold:
        Intake({}, Notices(fold.valid, fold.states)).take(fold.unseen(log))
        fold.save({0: LogPlace(1, 1)})
        assert (fold.positions(), fold.versions()) == ({}, 0)
        fold.save({0: LogPlace(2, 2)})
        assert (fold.positions(), fold.versions()) == ({0: 2}, 1)


def test_one_process_has_the_file_and_a_damaged_one_is_made_anew(tmp_path: Path) -> None:
    fold = filled(tmp_path, log_of([("hooked", 0, 1)]))
    with pytest.raises(FoldElsewhere):
        stored_in(str(tmp_path), WEBHOOKS, "log")
    fold.discard()
    (tmp_path / "webhooks.sqlite").write_bytes(b"no database" * 1000)
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as anew:
        assert anew.positions() == {}


def test_a_value_that_cannot_be_read_is_damage_of_the_file(tmp_path: Path) -> None:
    """Else the process would end of it at each of its starts."""
    records = log_of([("hooked", 0, 1), ("hooked", 0, 2)])
    filled(tmp_path, records[:1]).close()
    with closing(sqlite3.connect(tmp_path / "webhooks.sqlite")) as database, database:
        database.execute("UPDATE fold SET value = x'7bff'")
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold, pytest.raises(sqlite3.DatabaseError):
        Intake({}, Notices(fold.valid, fold.states)).take(records[1:])


def test_a_file_with_other_columns_is_made_anew(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "webhooks.sqlite")) as database, database:
        database.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        database.execute("CREATE TABLE positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)")
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold:
        assert fold.begin({}, {0: 1}) == {0: LogPlace(0, 0)}


def test_a_database_of_something_else_is_made_anew(tmp_path: Path) -> None:
    """Else each start would read the whole log."""
    with closing(sqlite3.connect(tmp_path / "webhooks.sqlite")) as database, database:
        database.execute("CREATE TABLE about (page TEXT)")
    with closing(stored_in(str(tmp_path), WEBHOOKS, "log")) as fold:
        assert fold.positions() == {}


def entries(path: Path) -> Iterator[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as database:
        yield from database.execute(CONTENTS)


def verified(folder: Path, monkeypatch: pytest.MonkeyPatch, end: int) -> list[str]:
    """What a verification finds in the folder; ``end``: the log's."""

    class Reader:
        def end_offsets(self) -> dict[int, int]:
            return {0: end}

    monkeypatch.setattr(fold_files, "log_id", lambda _: "log")
    monkeypatch.setattr(fold_files, "invoices_reader", lambda _: nullcontext(Reader()))
    scope = type("Given", (), {"settings": type("Settings", (), {"snapshot_dir": str(folder)})})
    findings = Findings()
    fold_files.check_folds(cast(Scope, scope), findings, lambda *_: None)
    return [difference.expected for difference in findings.differences()]


def test_verify_names_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "webhooks.sqlite").write_bytes(b"no database" * 1000)
    assert verified(tmp_path, monkeypatch, 0) == ["a file that can be read"]


def test_verify_does_not_wait_for_what_the_log_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is ahead of the log, and is made anew at the next start."""
    filled(tmp_path, log_of([("hooked", 0, 1), ("hooked", 1, 1)])).close()
    assert verified(tmp_path, monkeypatch, 1) == []


def test_verify_names_each_entry_that_the_log_does_not_give(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.sqlite"
    filled(tmp_path, log_of([("hooked", 0, 1), ("hooked", 1, 1), ("hooked", 0, 2)])).close()
    expected = list(entries(path))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE fold SET value = CAST('7' AS BLOB) WHERE part = 'version' AND CAST(key AS TEXT) LIKE '%hooked0%'"
        )
        database.execute("DELETE FROM fold WHERE part = 'state' AND CAST(key AS TEXT) LIKE '%hooked1%'")
        database.execute("INSERT INTO fold VALUES ('state', CAST('\"inv_none\"' AS BLOB), CAST('\"paid\"' AS BLOB))")
    findings = Findings()
    compare(entries(path), iter(expected), str(path), findings)
    found = [(difference.where, difference.expected, difference.found) for difference in findings.differences()]
    assert found == [
        ('state of "inv_hooked1"', '"finalized"', "no entry"),
        ('state of "inv_none"', "no entry", '"paid"'),
        ('version of ["hooked","inv_hooked0"]', "2", "7"),
    ]
    again = Findings()
    compare(iter(expected), iter(expected), str(path), again)
    assert again.differences() == []
