"""What a close holds of a snapshot that others write to: whole chains where an invoice is not quiet, nothing stale."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices import ledger
from rating.invoices.ledger import StandingInvoices, followed_invoices, read_standing
from rating.invoices.snapshot.invoice_store import InvoiceStore
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import LogPlace
from schemas.settings import Settings
from tests.unit.rating.invoices.snapshot.builders import Log, followed, invoice, paid

CHAIN = [invoice(number) for number in range(1, 6)]


def adjusting(of: Invoice, adjusted: str) -> Invoice:
    return replace(of, lines=(*of.lines, replace(of.lines[0], number=2, kind="adjustment", adjusts=adjusted)))


def log_of(invoices: list[Invoice]) -> Any:
    """A log in memory, which stands for its reader."""
    log = Log()
    log.add(invoices)
    return log


def held(standing: StandingInvoices) -> list[str]:
    return [each.invoice_id for each in standing.chain("air", "s")]


@pytest.mark.parametrize("number", range(5))
def test_a_chain_with_an_invoice_that_is_not_quiet_is_held_whole(number: int) -> None:
    """As late usage without a price needs: its state is on the adjustment, its line on the adjusted invoice."""
    invoices = [*CHAIN[:number], adjusting(CHAIN[number], "inv_s1"), *CHAIN[number + 1 :]]
    with closing(followed(log_of([*invoices, invoice(1, "quiet"), invoice(2, "quiet")]))) as store:
        standing = StandingInvoices.of_store(store, "air")
        assert held(standing) == [each.invoice_id for each in invoices]
        assert [each.invoice_id for each in standing.chain("air", "quiet")] == ["inv_quiet2"]


def test_a_further_invoice_that_is_not_quiet_brings_its_chain() -> None:
    with closing(followed(log_of(CHAIN[:4]))) as store:
        standing = StandingInvoices.of_store(store, "air")
        assert held(standing) == ["inv_s4"]
        assert standing.apply(adjusting(CHAIN[4], "inv_s2"))
        assert held(standing) == [each.invoice_id for each in CHAIN]


def test_a_chain_is_found_by_every_account_that_it_was_billed_to() -> None:
    """An account may be corrected, and a grant that the new one owns is drawn by invoices of its own."""
    with closing(followed(log_of([CHAIN[0], replace(CHAIN[1], account_id="other"), invoice(1, "t")]))) as store:
        assert store.subscriptions("air", "other") == ["s"]
        assert sorted(store.subscriptions("air", "acme")) == ["s", "t"]
        assert sorted(store.subscriptions("air")) == ["s", "t"]


def test_a_version_that_another_process_added_is_not_hidden_by_what_was_just_read(tmp_path: Path) -> None:
    path, log = str(tmp_path / "invoices.sqlite"), log_of(CHAIN[:3])
    with closing(InvoiceStore(path, "log", "air")) as store, closing(InvoiceStore(path, "log")) as another:
        store.follow_to_end(log)
        log.add([paid(CHAIN[2])])
        another.follow_to_end(log)
        with store.as_it_stands():
            (newest,) = StandingInvoices.of_store(store, "air").chain("air", "s")
        assert (newest.invoice_id, newest.version) == ("inv_s3", 2)


def test_a_close_reads_all_where_the_file_was_made_anew_after_it_had_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, follow = log_of(CHAIN), InvoiceStore.follow_to_end

    @contextmanager
    def reading(_: Settings) -> Iterator[Any]:
        yield log

    def followed_and_lost(store: InvoiceStore, *arguments: Any) -> None:
        follow(store, *arguments)
        InvoiceStore(store.path, "another log").close()

    monkeypatch.setattr(ledger, "invoices_reader", reading)
    monkeypatch.setattr(ledger, "log_id", lambda _: "log")
    monkeypatch.setattr(InvoiceStore, "follow_to_end", followed_and_lost)
    with followed_invoices(Settings(snapshot_dir=str(tmp_path)), "air") as (reader, standing):
        assert held(read_standing(reader, standing)) == [each.invoice_id for each in CHAIN]


def test_the_file_is_its_owners_alone_in_a_folder_that_others_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with closing(followed(log_of(CHAIN), str(tmp_path / "invoices.sqlite"))):
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_full_disk_is_told_as_what_it_is(tmp_path: Path) -> None:
    with closing(followed(log_of(CHAIN[:1]), str(tmp_path / "invoices.sqlite"))) as store:
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        large = replace(CHAIN[1], body=CHAIN[1].body + " " * 100_000)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.apply([LogRecord(0, 1, 0, encode_invoice(large))], {0: 1}, {0: LogPlace(2, 2)})
        assert store.positions() == {0: 1}
