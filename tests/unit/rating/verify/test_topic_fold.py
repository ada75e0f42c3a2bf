"""Invoices of the topic beside ClickHouse's copies of them: by digests, and where these differ value by value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec import structs

from rating.verify.difference import Findings
from rating.verify.independent.discounts_and_credits import check_lot
from rating.verify.invoices import topic_fold
from rating.verify.invoices.copied_rows import HEAD, LINE, differing, normal, written
from rating.verify.invoices.topic_fold import TopicFold
from schemas.ledgers.invoice_record import encode_invoice
from schemas.settings import Settings
from schemas.values.record_copy import replace
from tests.unit.rating.builders import invoice_of, line_of
from tests.unit.rating.invoices.snapshot.builders import Log
from tests.unit.rating.verify.builders import head_of, lines_of

INVOICE = invoice_of(
    total="3.50", lines=(line_of(number=1, amount="3.50", unrounded="3.5", quantity="7.0", price='{"a": 1}'),)
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("10.00", "10"), ("-0.50", "-0.5"), ("0.00", "0"), ("-0", "0"), ("100", "100"), ("", ""), ("x", "x"),
        ("1e3", "1000"), ("NaN", "NaN"), ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
    ],
)  # fmt: skip
def test_a_decimal_has_one_text(text: str, plain: str) -> None:
    assert normal(text) == plain


def test_equal_values_have_one_digest_and_every_other_value_is_told() -> None:
    values = written(INVOICE)
    assert values.digest() == written(structs.replace(INVOICE, total="3.5")).digest()
    for place, name in enumerate(HEAD):
        other = replace(values, head=(*values.head[:place], "?", *values.head[place + 1 :]))
        assert other.digest() != values.digest()
        assert [where for where, *_ in differing(values, other)] == [f", {name}"]
    for place, name in enumerate(LINE[1:], 1):
        line = values.lines[0]
        other = replace(values, lines=[(*line[:place], "?", *line[place + 1 :])])
        assert other.digest() != values.digest()
        assert [where for where, *_ in differing(values, other)] == [f", line 1, {name}"]
    assert list(differing(values, replace(values, lines=[]))) == [(", line 1", "d", "no row")]
    same = replace(values, lines=[tuple('{"a":1}' if value == '{"a": 1}' else value for value in values.lines[0])])
    assert list(differing(values, same)) == []


def test_the_newest_versions_are_in_the_order_of_their_ids_and_a_billed_draft_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()

    @contextmanager
    def reader(_: Settings) -> Iterator[Any]:
        yield log

    monkeypatch.setattr(topic_fold, "invoices_reader", reader)
    monkeypatch.setattr(topic_fold, "log_id", lambda _: "log")
    names = ["b", "a", "é"]
    records = [invoice_of(invoice_id=name, subscription=name, claim_id=name, period_end=9) for name in names]
    drafts = [
        structs.replace(record, state="draft", invoice_id=name, body='{"draft": {}}')
        for record, name in zip(records, "bd", strict=False)
    ]
    paid = structs.replace(records[1], version=2, state="paid")
    log.records[0] = [encode_invoice(record) for record in (*drafts, *records, paid)]
    fold = TopicFold(Settings())
    fold.follow()
    fold.follow()
    invoices = list(fold.in_order("air", drafts=False, since_us=None))
    assert [(entry.invoice_id, entry.version) for entry in invoices] == [("a", 2), ("b", 1), ("é", 1)]
    assert invoices[0].digest == written(paid).digest()
    assert [entry.invoice_id for entry in fold.in_order("air", drafts=True, since_us=None)] == ["d"]
    assert list(fold.in_order("air", drafts=False, since_us=9)) == []
    fold.close()


@pytest.mark.parametrize(
    ("subtotal", "charge", "told"), [("3.50", "c", 0), ("3.5", "c", 0), ("3.51", "c", 1), ("3.50", "discount:x", 1)]
)
def test_of_a_chain_of_usage_and_fees_alone_the_subtotal_is_looked_at(subtotal: str, charge: str, told: int) -> None:
    invoice = structs.replace(INVOICE, body=f'{{"subtotal": "{subtotal}"}}')
    line = replace(lines_of(invoice)[0], charge=charge, kind="usage" if charge == "c" else "discount")
    findings = Findings()
    check_lot([head_of(invoice)], {("air", "i", 1): [line]}, {}, findings)
    assert len(findings.differences()) == told
