"""Damaged copies of invoices: each damage is a difference, and ends neither the check nor the verification."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from msgspec import structs

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.independent.recurring_grants import is_covered
from rating.verify.invoices import from_topic, topic_fold
from rating.verify.invoices.copied_rows import HEAD, InvoiceValues, differing, written
from rating.verify.invoices.from_topic import check_against_topic
from rating.verify.invoices.topic_fold import TopicFold
from rating.verify.scope import Scope
from rating.verify.verification import run_check
from schemas.catalog.state import Catalog
from schemas.catalog.terms import CreditGrant
from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.settings import Settings
from schemas.values.record_copy import replace
from tests.unit.rating.builders import invoice_of
from tests.unit.rating.invoices.snapshot.builders import Log

INVOICE = invoice_of(invoice_id="a", subscription="a", claim_id="a")
DRAFT = structs.replace(INVOICE, state="draft", invoice_id="d", subscription="d", body='{"draft": {}}')


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def scope_of(monkeypatch: pytest.MonkeyPatch, records: list[Invoice], copies: list[InvoiceValues]) -> Scope:
    """A scope whose topic has the records, and whose ClickHouse the copies: those without a draft as invoices."""
    log = Log()
    log.records[0] = [encode_invoice(record) for record in records]

    @contextmanager
    def reader(_: Settings) -> Iterator[Any]:
        yield log

    def copied(_: Scope, __: str, *, drafts: bool) -> list[InvoiceValues]:
        return [copy for copy in copies if ("draft" in json.loads(copy.body)) == drafts]

    monkeypatch.setattr(topic_fold, "invoices_reader", reader)
    monkeypatch.setattr(topic_fold, "log_id", lambda _: "log")
    monkeypatch.setattr(from_topic, "copied", copied)
    client: Any = None
    shared = {"TopicFold": TopicFold(Settings())}
    return Scope(Settings(), client, Catalog(), Checkpoints(), {}, "air", shared=dict(shared))


def with_value(values: InvoiceValues, name: str, value: object) -> InvoiceValues:
    place = HEAD.index(name)
    return replace(values, head=(*values.head[:place], value, *values.head[place + 1 :]))


@pytest.mark.parametrize(
    ("record", "state", "where"),
    [
        (INVOICE, "draft", "invoice a of air, state"),
        (INVOICE, "withdrawn", "invoice a of air, state"),
        (DRAFT, "finalized", "draft d of air, state"),
    ],
)
def test_a_copy_with_the_state_of_another_table_is_told(
    monkeypatch: pytest.MonkeyPatch, record: Invoice, state: str, where: str
) -> None:
    copy = with_value(written(record), "state", state)
    scope = scope_of(monkeypatch, [INVOICE, DRAFT], [copy, written(DRAFT if record is INVOICE else INVOICE)])
    findings = Findings()
    check_against_topic(scope, findings, silent)
    scope.shared["TopicFold"].close()
    told = [item for item in findings.differences() if item.what == "invoice copy"]
    assert [(item.where, item.expected, item.found) for item in told] == [(where, record.state, state)]


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ('{"subtotal":"10.00",  "terms": {"of": [1]}}', []),
        ('{"subtotal": "10.0", "terms": {"of": [1]}}', [(", body, subtotal", '"10.00"', '"10.0"')]),
        ('{"subtotal": "10.00", "terms": {"of": [true]}}', [(", body, terms", '{"of":[1]}', '{"of":[true]}')]),
        ('{"subtotal": "10.00"}', [(", body, terms", '{"of":[1]}', "no such field")]),
        (
            '{"subtotal": "10.00", "terms": {"of": [1]}, "void": {}}',
            [(", body, void", "no such field", "{}")],
        ),
        ("[]", [(", body", '{"subtotal": "10.00", "terms": {"of": [1]}}', "[]")]),
        ("{", [(", body", '{"subtotal": "10.00", "terms": {"of": [1]}}', "{")]),
    ],
)  # fmt: skip
def test_each_field_of_a_body_that_differs_is_told(stored: str, told: list[tuple[str, str, str]]) -> None:
    values = replace(written(INVOICE), body='{"subtotal": "10.00", "terms": {"of": [1]}}')
    assert list(differing(values, replace(values, body=stored))) == told


def test_a_check_that_damaged_values_end_is_told_with_what_it_had_found(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = scope_of(monkeypatch, [], [])

    def check(_: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
        findings.add("window", "here", 1, 2, "mend")
        on_progress("windows", 0, 1)
        json.loads("{")

    window, unproved = run_check("windows", check, scope, silent)
    assert (window.what, unproved.what, unproved.where) == ("window", "check", "windows")
    assert unproved.found.startswith("it ended at JSONDecodeError: Expecting property name")

    def unreachable(_: Scope, __: Findings, ___: VerifyProgress) -> None:
        raise OSError("no broker answers")

    with pytest.raises(OSError, match="no broker"):
        run_check("windows", unreachable, scope, silent)
    scope.shared["TopicFold"].close()


@pytest.mark.parametrize("every", ["week", "month"])
@pytest.mark.parametrize("day", ["zzz", "20260101", "2025-12-01", "2026-01-02", "9999-12-31"])
def test_a_draw_of_no_recurrence_is_not_covered(every: str, day: str) -> None:
    grant = CreditGrant.model_validate(
        {
            "code": "g", "account": "acme", "currency": "USD", "amount": "50", "effective": date(2026, 1, 1),
            "recurrence": {"every": every, "rollover": "0"},
        }
    )  # fmt: skip
    assert not is_covered(grant, Fraction(50), Fraction(0), {f"g@{day}": Fraction(1)}, "UTC")
    assert is_covered(grant, Fraction(50), Fraction(0), {"g@2026-01-01": Fraction(1)}, "UTC")
