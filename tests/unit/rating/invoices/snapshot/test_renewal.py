"""A snapshot that cannot be trusted any longer is made anew by itself: another log, a damaged file; and one that can is
not read twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rating.close import close_run
from rating.close.result import CloseResult
from rating.invoices import ledger
from rating.invoices.ledger import StandingInvoices, followed_invoices, read_standing
from rating.invoices.snapshot import invoice_store
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.snapshot.snapshot_file import VERSION
from rating.invoices.snapshot.snapshot_folder import snapshot_file, succeed, usable_file
from rating.invoices.waiting import CloseError
from rating.verify.difference import Findings
from rating.verify.invoices import snapshot as verify_snapshot
from rating.verify.invoices import topic_fold
from schemas.ledgers.folds.fold_file import DamagedFile
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.pieces import cut
from schemas.settings import Settings
from tests.unit.rating.invoices.snapshot.builders import Log, followed, invoice, paid

CHAIN = [invoice(number) for number in range(1, 6)]


def log_of(*values: Any) -> Any:
    """A log in memory, which stands for its reader."""
    log = Log()
    for value in values:
        log.append(value if isinstance(value, bytes) else encode_invoice(value))
    return log


def names(store: InvoiceStore) -> list[str]:
    return [each.invoice_id for each in store.chain("air", "s")]


def pieces_of(large: Invoice) -> list[bytes]:
    first, second, *others = cut(encode_invoice(replace(large, claim_id="c" * 1_000)), 400, b"w" * 16)
    return [first, second, *others]


def test_what_was_void_is_not_offered_again_while_a_large_record_is_being_written(tmp_path: Path) -> None:
    """Else the payment, which came before its invoice, would count at the second time."""
    pieces = pieces_of(invoice(1, "large"))
    log = log_of(pieces[0], paid(CHAIN[0]), CHAIN[0])
    path = str(tmp_path / "snapshot")
    with closing(followed(log, path)) as store:
        assert [each.version for each in store.chain("air", "s")] == [1]
        log.read.clear()
        log.append(encode_invoice(CHAIN[1]))
        store.follow_to_end(log)
        assert log.read == [(0, 3)]
        assert [each.version for each in store.chain("air", "s")] == [1, 1]
        with store.as_it_stands() as positions:
            assert positions == {0: 4}
    for piece in pieces[1:]:
        log.append(piece)
    with closing(followed(log, path)) as another:  # of another process, which has to read the first piece again
        assert [each.invoice_id for each in another.chain("air", "large")] == ["inv_large1"]
        with closing(followed(log)) as fresh:
            assert list(another.contents()) == list(fresh.contents())


def test_what_another_process_has_applied_is_passed_over() -> None:
    log = log_of(paid(CHAIN[0]), CHAIN[0])
    with closing(followed(log)) as store:
        read_late = [LogRecord(0, offset, 0, value) for offset, value in enumerate(log.records[0])]
        assert store.apply(read_late, {0: 0}, log.places())
        assert [each.version for each in store.chain("air", "s")] == [1]


def test_a_close_does_not_offer_again_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = pieces_of(invoice(1, "large"))
    log = log_of(pieces[0], paid(CHAIN[0]), CHAIN[0])
    with (
        reading(monkeypatch, log),
        followed_invoices(Settings(snapshot_dir=str(tmp_path)), "air") as (reader, standing),
    ):
        for value in (encode_invoice(CHAIN[1]), *pieces[1:]):
            log.append(value)
        read_standing(reader, standing)
        assert [each.version for each in standing.chain("air", "s")] == [1, 1]
        assert len(standing.chain("air", "large")) == 1


@pytest.mark.parametrize("regrown", [3, 4, 7])
@pytest.mark.parametrize("running", [True, False])
def test_a_log_that_lost_its_end_and_grew_again_is_another_one(tmp_path: Path, regrown: int, running: bool) -> None:
    """Under the same id, to less, as much or more than the snapshot has of it."""
    path = str(tmp_path / "snapshot")
    store = followed(log_of(*CHAIN[:4]), path)
    log = log_of(CHAIN[0], *(invoice(number, "t") for number in range(1, regrown)))
    if not running:
        store.close()
        store = InvoiceStore(path, "log")
    store.follow_to_end(log)
    if running and regrown == 4:  # nothing is new by the log's end: told with the next record
        log.append(encode_invoice(invoice(4, "t")))
        store.follow_to_end(log)
    with closing(store), closing(followed(log)) as fresh:
        assert list(store.contents()) == list(fresh.contents())


def test_of_large_invoices_so_many_bytes_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoice_store, "_BYTES_AT_ONCE", 100_000)
    applied: list[int] = []
    apply = InvoiceStore.apply

    def observed(store: InvoiceStore, records: Any, *arguments: Any) -> bool:
        held = list(records)
        applied.append(sum(len(record.value) for record in held))
        return apply(store, held, *arguments)

    monkeypatch.setattr(InvoiceStore, "apply", observed)
    log = log_of(*(replace(invoice(number), claim_id=f"{number:030000}") for number in range(1, 30)))
    with closing(followed(log)) as store:
        assert len(names(store)) == 29
    assert max(applied) < 100_000 + 3 * 31_000


def damage_pages(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x7f" * (len(content) - 4096))


def statement(sql: str) -> Any:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(sql)

    return damage


DAMAGES = {
    "pages": damage_pages,
    "bytes of a record": statement("UPDATE invoices SET record = substr(record, 1, 20)"),
    "a bit of a record": statement("UPDATE invoices SET record = CAST(replace(record, '5.00', '5.01') AS BLOB)"),
    "a claim": statement("UPDATE chains SET head = CAST('[' AS BLOB)"),
    "a table": statement("DROP TABLE chains"),
}


@contextmanager
def reading(monkeypatch: pytest.MonkeyPatch, log: Any, log_id: str = "log") -> Iterator[None]:
    @contextmanager
    def reader(_: Settings) -> Iterator[Any]:
        yield log

    with monkeypatch.context() as patch:
        for module in (ledger, verify_snapshot, topic_fold):
            patch.setattr(module, "invoices_reader", reader)
            patch.setattr(module, "log_id", lambda *_: log_id)
        yield


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_close_begins_anew_where_the_file_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    log, settings = log_of(*CHAIN), Settings(snapshot_dir=str(tmp_path))
    with reading(monkeypatch, log):
        path = usable_file(tmp_path, "log")
        followed(log, str(path)).close()
        DAMAGES[damage](path)
        for number in (5, 6):
            log.records[0][number - 1 :] = [encode_invoice(invoice(number))]
            with followed_invoices(settings, "air") as (reader, standing):
                read_standing(reader, standing)
                assert standing.head("air", "s") == invoice(number)
        assert snapshot_file(tmp_path, "log").name.endswith("-1.sqlite")
        assert not list(tmp_path.glob("*-0.sqlite*"))


def test_a_close_that_meets_damage_on_its_way_runs_again_of_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, settings = log_of(*CHAIN), Settings(snapshot_dir=str(tmp_path))
    with reading(monkeypatch, log):
        with pytest.raises(DamagedFile), followed_invoices(settings, "air"):
            raise DamagedFile("of a chain that it expands")
        assert snapshot_file(tmp_path, "log").name.endswith("-1.sqlite")
    runs: list[sqlite3.Error] = [DamagedFile("once")]
    result: Any = CloseResult

    def run(_: Any) -> Any:
        if runs:
            raise runs.pop()
        return result

    class Client:
        def close(self) -> None: ...

    monkeypatch.setattr(close_run, "connect", lambda *_, **__: Client())
    monkeypatch.setattr(close_run, "_run", run)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert close_run.run_close(settings, "air", None, now, lambda *_: None, True) is result
    runs[:] = [sqlite3.OperationalError("disk I/O error")]
    with pytest.raises(CloseError, match="disk I/O error; look at the disk"):
        close_run.run_close(settings, "air", None, now, lambda *_: None, True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_tells_damage_and_has_the_file_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    log, findings = log_of(*CHAIN), Findings()
    scope: Any = type("Scope", (), {"settings": Settings(snapshot_dir=str(tmp_path)), "shared": {}})
    with reading(monkeypatch, log):
        path = usable_file(tmp_path, "log")
        followed(log, str(path)).close()
        DAMAGES[damage](path)
        verify_snapshot.check_snapshot(scope, findings, lambda *_: None)
        assert list(findings.differences())
        if snapshot_file(tmp_path, "log") != path:
            again = Findings()
            verify_snapshot.check_snapshot(scope, again, lambda *_: None)
            assert not list(again.differences())


def test_a_file_that_is_no_database_or_of_another_log_is_left_behind(tmp_path: Path) -> None:
    first = snapshot_file(tmp_path, "+a/b=")
    first.write_bytes(b"something else" * 1000)
    other = usable_file(tmp_path, "other")
    assert usable_file(tmp_path, "+a/b=").name == f"invoices-{VERSION}-_a_b_-1.sqlite"
    assert not first.exists()
    assert other.exists()  # a process of another Kafka may be at it
    assert other == snapshot_file(tmp_path, "other")


def test_a_number_is_not_given_again_while_files_beside_it_may_be_open(tmp_path: Path) -> None:
    """A process that has the deleted file open deletes ``-wal`` by its name when it closes it."""
    path = usable_file(tmp_path, "log")
    store = followed(log_of(*CHAIN), str(path))
    path.unlink()
    following = usable_file(tmp_path, "log")
    assert following != path
    with closing(followed(log_of(*CHAIN), str(following))) as another:
        store.close()
        assert len(names(another)) == 5
    path = succeed(following, "log", DamagedFile("page"))
    assert succeed(following, "log", DamagedFile("page, says a second process")) == path
    assert snapshot_file(tmp_path, "log") == path


def test_standing_invoices_of_a_damaged_file_say_so(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    with closing(followed(log_of(*CHAIN), str(path))) as store:
        DAMAGES["a bit of a record"](path)
        with pytest.raises(DamagedFile, match="inv_s5 is not the one"):
            StandingInvoices.of_store(store, "air")
