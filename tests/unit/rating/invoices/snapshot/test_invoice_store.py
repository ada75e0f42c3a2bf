"""The snapshot of usage.invoices: what it has is what the log gives, however it was read and by how many processes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.snapshot.published_lot import PublishedLot
from rating.invoices.snapshot.quiet import is_quiet
from rating.verify.difference import Findings
from rating.verify.invoices.snapshot import compare, fill
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import LogPlace, RecordMark
from tests.unit.rating.invoices.snapshot.builders import Log, followed, invoice, paid


def void(of: Invoice, head: str) -> Invoice:
    body = json.loads(of.body) | {"void": {"reason": "", "author": "", "at": "", "head": head, "voids": []}}
    return replace(of, version=of.version + 1, state="void", body=json.dumps(body), claim_id="void")


def draft(number: int, version: int = 1) -> Invoice:
    body = json.dumps({"draft": {"ready_at": "", "approval": "none", "payment_terms_days": 0, "content": version}})
    return invoice(number, state="draft", version=version, body=body, claim_id=f"draft {version}")


RECORDS = [
    invoice(1), draft(2), draft(2, 2), invoice(2), replace(invoice(2), claim_id="lost"), paid(invoice(1)), invoice(3),
    void(invoice(2), "inv_s3"), invoice(4), invoice(1, "t"), invoice(2, "t"), draft(9), invoice(3, "t"),
    replace(invoice(1, "u"), namespace="elsewhere"),
]  # fmt: skip
"""Some of them void: a record that lost, one planned before a void."""


def log_of(records: list[Invoice], lot: int = 3) -> Log:
    log = Log(2, lot)
    for record in records:
        log.append(encode_invoice(record), int(record.subscription == "t"))
    log.append(b"no invoice")
    return log


@given(st.permutations(RECORDS), st.integers(1, 5), st.integers(0, 14))
def test_it_has_what_the_log_gives_and_goes_on_from_there(records: list[Invoice], lot: int, until: int) -> None:
    log = log_of(records, lot)
    store = InvoiceStore("", "log")
    begun = {0: min(until, len(log.records[0])), 1: min(until, len(log.records[1]))}
    store.follow(log, begun)
    log.seek({0: 0, 1: 0})  # a reader of another process
    store.follow_to_end(log)
    assert list(store.contents()) == list(followed(log_of(records)).contents())
    whole = StandingInvoices()
    for partition in log.records:
        for value in partition:
            whole.apply_bytes(value)
    standing = StandingInvoices.of_store(store, "air")
    standing.expand_account("air", None)
    for name in "stu":
        assert standing.chain("air", name) == whole.chain("air", name)
        assert store.chain("air", name) == whole.chain("air", name)
    assert standing.drafts("air") == whole.drafts("air")
    for count in (StandingInvoices.count, StandingInvoices.draft_versions):
        assert count(standing, "air") == count(whole, "air")


@given(st.lists(st.sampled_from(RECORDS), max_size=6), st.lists(st.sampled_from(RECORDS), max_size=8))
def test_later_records_are_valid_as_if_all_had_been_read(before: list[Invoice], later: list[Invoice]) -> None:
    store, whole = followed(log_of(before)), StandingInvoices("air")
    for partition in log_of(before).records:
        for value in partition:
            whole.apply_bytes(value)
    with store.as_it_stands():
        standing = StandingInvoices.of_store(store, "air")
        for record in later:
            value = encode_invoice(record)
            assert standing.apply_bytes(value) == whole.apply_bytes(value)
        for name in "stu":
            standing.expand("air", name)
            assert standing.chain("air", name) == whole.chain("air", name)
    assert list(store.contents()) == list(followed(log_of(before)).contents())


def test_a_change_of_an_invoice_that_was_left_out_brings_its_chain() -> None:
    store = followed(log_of([invoice(number) for number in range(1, 5)]))
    standing = StandingInvoices.of_store(store, "air")
    assert [item.invoice_id for item in standing.chain("air", "s")] == ["inv_s4"]
    assert standing.apply(void(invoice(2), "inv_s4"))
    assert [(item.invoice_id, item.state) for item in standing.chain("air", "s")] == [
        ("inv_s1", "finalized"), ("inv_s2", "void"), ("inv_s3", "finalized"), ("inv_s4", "finalized"),
    ]  # fmt: skip
    store.close()


def test_two_processes_share_a_file_and_what_one_added_the_other_passes_over(tmp_path: Path) -> None:
    path = str(tmp_path / "invoices.sqlite")
    first, second = Log(1, 1), Log(1, 1)
    first.records = second.records = [[encode_invoice(invoice(number)) for number in range(1, 4)]]
    one, two = followed(first, path), InvoiceStore(path, "log")
    with one.as_it_stands():  # a close that is under way
        standing = StandingInvoices.of_store(one, "air")
        second.append(encode_invoice(invoice(4)))
        second.append(encode_invoice(paid(invoice(1))))
        two.follow_to_end(second)
        assert second.read == [(0, 3), (0, 4)]
        assert one.count("air") == 3
        assert standing.apply_bytes(encode_invoice(invoice(4)))  # it reads the log for itself
    assert one.count("air") == 4
    one.follow_to_end(first)
    assert first.read == [(0, 0), (0, 1), (0, 2)]
    one.close()
    two.close()


@pytest.mark.parametrize("why", ["other version", "other log", "log ends before it"])
def test_a_file_of_something_else_is_made_anew(tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, log_id = tmp_path / "invoices.sqlite", "log"
    followed(log_of([invoice(1, "t"), invoice(2, "t"), invoice(1)]), str(path)).close()
    if why == "other version":
        monkeypatch.setattr("rating.invoices.snapshot.snapshot_file.VERSION", 0)
    elif why == "other log":
        log_id = "other"
    store = followed(log_of([invoice(1)]), str(path), log_id)
    assert [item.invoice_id for item in store.chain("air", "s")] == ["inv_s1"]
    assert store.chain("air", "t") == []
    store.close()


def test_a_file_that_was_made_anew_meanwhile_is_followed_from_its_beginning(tmp_path: Path) -> None:
    path = str(tmp_path / "invoices.sqlite")
    store = followed(log_of([invoice(1)]), path)
    begin, log = store.positions(), log_of([invoice(1), invoice(2)])
    InvoiceStore(path, "other").close()
    record = LogRecord(0, 1, 0, encode_invoice(invoice(2)))
    assert not store.apply([record], begin, {0: LogPlace(2, 2)})  # the file no longer has what was before it
    store.follow_to_end(log)
    assert len(store.chain("air", "s")) == 2
    store.close()


def test_nothing_of_a_lot_stays_if_it_cannot_be_written_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "invoices.sqlite")
    store = followed(log_of([invoice(1)]), path)
    before = list(store.contents())

    def records() -> Any:
        yield LogRecord(0, 2, 0, encode_invoice(invoice(2)))
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError):
        store.apply(records(), store.positions(), {0: LogPlace(3, 3)})
    assert list(store.contents()) == before
    store.close()


@given(st.permutations(RECORDS), st.integers(0, 14), st.integers(0, 14))
def test_what_a_process_published_is_kept_as_if_it_had_been_read(records: list[Invoice], at: int, has: int) -> None:
    log = Log()
    log.add(records)
    store = InvoiceStore("", "log")
    store.follow(log, {0: has})  # some of it, or more, by another process
    log.resume({0: LogPlace(0, 0)})
    lot = PublishedLot(
        [((0, offset), record) for offset, record in enumerate(records) if offset >= at], {0: at},
        {0: LogPlace(len(records), len(records), RecordMark.of(len(records) - 1, 0, log.records[0][-1]))},
    )  # fmt: skip
    expected = list(followed(log).contents())
    reached = store.positions().get(0, 0)
    assert store.take(lot) == (reached >= at)
    if reached < at:
        assert store.positions().get(0, 0) == reached
        store.follow(log, lot.begin)
        assert store.take(lot)
    assert list(store.contents()) == expected
    log.append(encode_invoice(invoice(1, "further")))
    store.follow_to_end(log)  # by the mark of what was published
    assert list(store.contents()) == list(followed(log).contents())


QUIET = invoice(3)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "void"}, {"state": "draft"}, {"total": "-1.00"}, {"sequence": 1},
        {"body": '{"credit_notes": []}'}, {"body": '{"terms": {}}'}, {"body": '{"voids": ["x"]}'},
        {"body": '{"of a later release": 1}'}, {"body": "no JSON"},
        *({"lines": (replace(QUIET.lines[0], **line),)} for line in (
            {"kind": "credit"}, {"kind": "discount"}, {"adjusts": "inv_1"}, {"period_end": 401}, {"period_start": 299},
            {"steps": '[{"kind": "unpriced"}]'},
        )),
    ],
)  # fmt: skip
def test_what_a_later_invoice_may_depend_on_is_not_quiet(changes: dict[str, Any]) -> None:
    assert is_quiet(QUIET)
    assert not is_quiet(replace(QUIET, **changes))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (None, []),
        (
            "DELETE FROM invoices WHERE invoice_id = 'inv_s2' AND draft = 0",
            ["invoice air inv_s2", "invoice air inv_s3"],
        ),
        ("UPDATE invoices SET quiet = 1 WHERE invoice_id = 'inv_s2' AND draft = 0", ["invoice air inv_s2"]),
        ("UPDATE chains SET run = NULL WHERE subscription = 's'", ["chain air s"]),
        ("UPDATE chains SET head = NULL WHERE subscription = 's'", ["chain air s"]),
        ("UPDATE chains SET last = NULL WHERE subscription = 't'", ["chain air t"]),
        ("INSERT INTO chains VALUES ('air', 'zz', NULL, NULL, NULL, NULL)", ["chain air zz"]),
        (
            "INSERT INTO facts VALUES (CAST('[1]' AS BLOB), CAST('9' AS BLOB))",
            ["fact [1]"],
        ),
    ],
)
def test_what_is_wrong_in_a_snapshot_is_found_row_by_row(tmp_path: Path, damage: str | None, found: list[str]) -> None:
    path, log = str(tmp_path / "invoices.sqlite"), log_of([record for record in RECORDS if record.invoice_id != "x"])
    store = followed(log, path)
    if damage is not None:
        with sqlite3.connect(path) as database:
            changes = database.execute(damage).rowcount
            assert changes == 1
    fresh, findings = InvoiceStore("", "log"), Findings()
    fill(fresh, log, store.positions())
    compare(store, fresh, path, findings)
    assert [" ".join(difference.where.split()[:3]) for difference in findings.differences()] == found
    assert all(f"delete {path}" in difference.remedy for difference in findings.differences())
    store.close()
