"""Invoice lines for accounting: the same rows in both formats, no digit lost."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq

from rating.invoices.accounting_export import COLUMNS, Row, write_lines
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine
from schemas.ledgers.invoice_details import Body

BIG = Decimal("12345678901234567890123456789012345678901234567890123456789.000000000001")
HEAD = StoredInvoiceHead(
    "shop", "inv_1", 2, "", "acme-1", 0, 'acme, "ü"', "basic", 3, 1_356_998_400_000_000, 1_359_676_800_000_000,
    "Asia/Kathmandu",
    "run_1", 7, 40, 1_359_676_800_000_001, "finalized", "JPY", "12", "15",
)  # fmt: skip


def line(number: int, **change: Any) -> StoredInvoiceLine:
    fields: dict[str, Any] = {
        "number": number, "kind": "usage", "charge": "calls", "product": "calls", "description": "Calls\nabroad",
        "profile_id": "m.p", "profile_versions": (1,), "period_start_us": HEAD.period_start_us,
        "period_end_us": HEAD.period_end_us, "quantity": BIG, "events": 2**40, "unit": "s", "price": {}, "amount": "12",
        "unrounded": "11.5000000000000000000000000000001", "steps": (), "note": "", "adjusts": "",
    }  # fmt: skip
    return StoredInvoiceLine(**fields | change)


FLAT = line(2, kind="flat", quantity=None, events=None, profile_id="", amount="-0.10", adjusts="inv_0")
PAGES: list[list[Row]] = [[(HEAD, line(1))], [], [(HEAD, FLAT)]]


def test_csv_has_a_row_a_line_and_every_digit() -> None:
    out = io.BytesIO()
    assert write_lines(out, PAGES, "csv") == 2
    first_reader, second = csv.DictReader(io.StringIO(out.getvalue().decode()))
    assert list(first_reader) == [column.name for column in COLUMNS]
    assert (first_reader["quantity"], first_reader["amount"], first_reader["unrounded"]) == (
        str(BIG),
        "12",
        line(1).unrounded,
    )
    assert (first_reader["account_id"], first_reader["description"]) == (HEAD.account_id, "Calls\nabroad")
    assert (first_reader["period_start"], first_reader["as_of"]) == (
        "2013-01-01T00:00:00Z",
        "2013-02-01T00:00:00.000001Z",
    )
    assert (second["quantity"], second["events"], second["profile"], second["amount"]) == ("", "", "", "-0.10")
    assert second["adjusts"] == "inv_0"


def test_credit_notes_are_columns_beside_their_lines() -> None:
    note = {"number": 1, "amount": "5", "lines": [{"line": 2, "amount": "5", "quantity": None}]}
    head = replace(HEAD, body=Body({"credit_notes": [note, {"number": 2, "amount": "1"}]}))
    out = io.BytesIO()
    assert write_lines(out, [[(head, line(1)), (head, line(2))], [(HEAD, line(1))]], "csv") == 3
    rows = csv.DictReader(io.StringIO(out.getvalue().decode()))
    assert [(row["invoice_amount_credited"], row["amount_credited"]) for row in rows] == [
        ("6", "0"),
        ("6", "5"),
        ("0", "0"),
    ]


def test_an_invoice_in_an_own_unit_says_what_is_due_in_money() -> None:
    overage = {"currency": "USD", "rate": "0.00125"}
    head = replace(HEAD, currency="token", total="1234", body=Body({"overage": overage}))
    out, table = io.BytesIO(), io.BytesIO()
    rows: list[list[Row]] = [[(head, line(1, amount="1234"))], [(HEAD, line(1))]]
    write_lines(out, rows, "csv")
    write_lines(table, rows, "parquet")
    columns = "currency", "invoice_amount_due", "invoice_payable", "invoice_payable_currency"
    assert [
        tuple(row[column] for column in columns) for row in csv.DictReader(io.StringIO(out.getvalue().decode()))
    ] == [("token", "1234", "1.54", "USD"), ("JPY", "12", "", "")]
    assert [row["invoice_payable"] for row in pq.read_table(table).to_pylist()] == [Decimal("1.54"), None]


def test_parquet_has_decimal_columns_and_the_same_values() -> None:
    out = io.BytesIO()
    assert write_lines(out, PAGES, "parquet") == 2
    table = pq.read_table(io.BytesIO(out.getvalue()))
    assert table.column_names == [column.name for column in COLUMNS]
    kinds = {name: str(table.schema.field(name).type) for name in ("quantity", "amount", "period_start", "events")}
    assert kinds == {
        "quantity": "decimal256(76, 12)", "amount": "decimal128(38, 12)", "period_start": "timestamp[us, tz=UTC]",
        "events": "int64",
    }  # fmt: skip
    first_to_pylist, second = table.to_pylist()
    assert (first_to_pylist["quantity"], first_to_pylist["amount"], first_to_pylist["events"]) == (
        BIG,
        Decimal(12),
        2**40,
    )
    assert (second["quantity"], second["amount"], second["profile"]) == (None, Decimal("-0.1"), None)


def test_no_invoices_make_a_document_with_columns_alone() -> None:
    out = io.BytesIO()
    assert write_lines(out, [[]], "csv") == 0
    assert out.getvalue().decode() == ",".join(column.name for column in COLUMNS) + "\n"
    out = io.BytesIO()
    assert write_lines(out, [[]], "parquet") == 0
    assert pq.read_table(io.BytesIO(out.getvalue())).num_rows == 0


def test_in_csv_no_text_is_a_formula_and_parquet_has_it_raw() -> None:
    evil = '=HYPERLINK("http://x","pay here")'
    row = (replace(HEAD, account_id=evil), replace(line(1), note="+49 …", amount="-12", unrounded="-11.5"))
    out = io.BytesIO()
    assert write_lines(out, [[row]], "csv") == 1
    (reader,) = csv.DictReader(io.StringIO(out.getvalue().decode()))
    assert (reader["account_id"], reader["note"]) == (f"'{evil}", "'+49 …")
    assert (reader["amount"], reader["unrounded"]) == ("-12", "-11.5")
    out = io.BytesIO()
    write_lines(out, [[row]], "parquet")
    (raw,) = pq.read_table(io.BytesIO(out.getvalue())).to_pylist()
    assert (raw["account_id"], raw["note"]) == (evil, "+49 …")


def test_columns_that_came_later_stand_at_the_end() -> None:
    names = [column.name for column in COLUMNS]
    assert names[31:38] == [
        "as_of", "invoice_number", "due_date", "invoice_amount_due", "invoice_amount_credited", "amount_credited",
        "line_plan",
    ]  # fmt: skip
    head = replace(HEAD, service_span=(1_000_000, 2_000_000), body=Body({"payments": [{"amount": "2"}]}))
    out = io.BytesIO()
    write_lines(out, [[(head, replace(line(1), plan="payg", plan_version=4)), (head, line(2))]], "csv")
    priced, own_reader = csv.DictReader(io.StringIO(out.getvalue().decode()))
    assert (priced["plan"], priced["line_plan"], priced["line_plan_version"]) == ("basic", "payg", "4")
    assert (own_reader["line_plan"], own_reader["line_plan_version"]) == ("basic", "3")
    assert (priced["invoice_credits_applied"], priced["invoice_amount_paid"]) == ("3", "2")
    assert (priced["invoice_service_start"], priced["invoice_service_end"]) == (
        "1970-01-01T00:00:01Z",
        "1970-01-01T00:00:02Z",
    )
