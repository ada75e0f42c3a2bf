"""Discounts and commitments beside fees in advance: they are of billing periods, whichever invoice carries a charge. No
usage."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.invoices.amounts.builders import BASE, catalog
from tests.unit.rating.invoicing.builders import close
from tests.unit.rating.verify.builders import verified


def totals(invoices: Iterable[Invoice]) -> list[str]:
    return [invoice.total for invoice in invoices]


SEAT = {"basic": {"seat": "30"}}
HALF_ONCE = {"discounts": [{"code": "half", "percent": "50", "periods": 1}]}


@pytest.mark.parametrize(
    ("terms", "end", "expected", "whole"),
    [
        (HALF_ONCE, "2025-04-01T00:00:00Z", ["15.00", "30.00", "30.00", "0.00"], 75),
        ({"minimum_commitment": "30"}, "2025-04-01T00:00:00Z", ["30.00", "30.00", "30.00", "0.00"], 90),
        ({"minimum_commitment": "100"}, "2025-03-01T00:00:00Z", ["30.00", "100.00", "70.00"], 200),
        ({"discounts": [{"code": "off", "amount": "10"}]}, "2025-04-01T00:00:00Z",
        ["20.00", "20.00", "20.00", "0.00"], 60),
        (
            {"discounts": [{"code": "half", "percent": "50", "end": "2025-02-01"}]}, "2025-03-01T00:00:00Z",
            ["15.00", "30.00", "0.00"], 45,
        ),
        (
            {"discounts": [{"code": "half", "percent": "50", "start": "2025-02-01"}], "minimum_commitment": "20"},
            "2025-03-01T00:00:00Z", ["30.00", "15.00", "5.00"], 50,
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("steps", [True, False])
def test_terms_are_of_periods_and_not_of_invoices(
    terms: Any, end: str, expected: list[str], whole: int, steps: bool
) -> None:
    result, standing = catalog(SEAT, end=end, **terms), StandingInvoices()
    for month in ("01", "02", "03") if steps else ():
        close(result, standing, f"2025-{month}-01T00:00:00Z")
    close(result, standing, "2026-01-01T00:00:00Z")  # or all of it late, at once
    assert totals(standing.chain("air", "s")) == expected
    assert sum(map(Decimal, expected)) == whole


def test_an_invoice_pins_its_own_terms_and_those_of_the_fees_in_advance() -> None:
    result, standing = catalog(SEAT, **HALF_ONCE), StandingInvoices()
    opening, january = close(result, standing, "2025-02-01T00:00:00Z")
    bodies = [json.loads(item.body) for item in (opening, january)]
    assert [[item["code"] for item in body.get("terms_ahead", {}).get("discounts", ())] for body in bodies] == [
        ["half"],
        [],
    ]
    assert [[item["code"] for item in body.get("terms", {}).get("discounts", ())] for body in bodies] == [[], ["half"]]
    (seat, half) = opening.lines
    assert [getattr(half, name) for name in ("charge", "amount", "period_start", "period_end")] == [
        "discount:half", "-15.00", seat.period_start, seat.period_end,
    ]  # fmt: skip


def test_what_a_discount_takes_in_advance_counts_in_the_period() -> None:
    result, standing = (
        catalog({"basic": {"seat": "30", "support": "100"}}, discounts=[{"code": "off", "amount": "50"}]),
        StandingInvoices(),
    )
    opening, january = close(result, standing, "2025-02-01T00:00:00Z")
    assert (opening.total, january.total) == (
        "0.00",
        "80.00",
    )  # 100 − 20, the rest of January's 50; February's seat is free
    remaining_line = january.lines[2]
    assert (remaining_line.charge, remaining_line.amount, remaining_line.note) == (
        "discount:off", "-20.00", f"-30 of it billed in advance on {opening.invoice_id}",
    )  # fmt: skip
    assert (
        sum(Decimal(step["amount"]) for step in json.loads(remaining_line.steps))
        == Decimal(remaining_line.unrounded)
        == -20
    )


def test_a_discount_on_a_fee_of_a_period_that_never_was_goes_with_the_fee() -> None:
    terms = {"discounts": [{"code": "ten", "percent": "10"}]}
    result, standing = catalog(SEAT, **terms), StandingInvoices()
    close(result, standing, "2025-02-01T00:00:00Z")
    result.add("subscription", BASE | terms | {"end": "2025-02-01T00:00:00Z"})
    (alone,) = close(result, standing, "2025-02-03T00:00:00Z")
    assert [(line.charge, line.amount) for line in alone.lines] == [
        ("seat", "-30.00"),
        ("discount:ten", "3.00"),
    ]
    assert close(result, standing, "2026-01-01T00:00:00Z") == []


def test_a_discount_that_was_agreed_within_the_period_holds_for_its_fee_in_advance_too() -> None:
    result, standing = catalog(SEAT), StandingInvoices()
    close(result, standing, "2025-01-01T00:00:00Z")
    result.add(
        "subscription", BASE | {"discounts": [{"code": "ten", "percent": "10"}]}, published="2025-01-20T00:00:00Z"
    )
    (january,) = close(result, standing, "2025-02-01T00:00:00Z")
    assert [(line.charge, line.amount) for line in january.lines] == [
        ("seat", "30.00"), ("discount:ten", "-3.00"), ("discount:ten", "-3.00"),
    ]  # fmt: skip


def old(invoice: Invoice, *reductions: tuple[str, str]) -> Invoice:
    """The invoice as the code before billed it: one lump of discounts over all its lines."""
    body = json.loads(invoice.body)
    pinned = {"discounts": [HALF_ONCE["discounts"][0]]} if reductions else None
    body = {name: value for name, value in body.items() if name not in ("terms", "terms_ahead", "terms_of")}
    body |= {"terms": pinned} if pinned else {}
    lines = [line for line in invoice.lines if ":" not in line.charge]
    own_document = {"period_start": invoice.period_start, "period_end": invoice.period_end}
    lines += [
        replace(lines[0], **own_document, kind="discount", charge=key, product="", amount=amount)
        for key, amount in reductions
    ]
    total = sum(Decimal(line.amount) for line in lines)
    body |= {"subtotal": f"{total:.2f}"}
    numbered = tuple(replace(line, number=number) for number, line in enumerate(lines, 1))
    return replace(invoice, body=json.dumps(body), lines=numbered, total=f"{total:.2f}")


def test_a_lump_of_before_is_settled_with_the_period_that_it_was_ahead_of() -> None:
    """The opening and January as they were billed before, January with the fault; February comes to what its period
    owes."""
    result, standing, new = catalog(SEAT, **HALF_ONCE), StandingInvoices(), StandingInvoices()
    opening, january = close(result, new, "2025-02-01T00:00:00Z")
    assert standing.apply(old(opening, ("discount:half", "-15.00")))
    assert standing.apply(old(january, ("discount:half", "-15.00")))
    assert totals(standing.chain("air", "s")) == ["15.00", "15.00"]
    (fault,) = verified(standing.chain("air", "s"))
    assert (
        f"{january.invoice_id} of air acme 2025-01-01T00:00:00Z, line 2, discount:half: expected 0, found -15" in fault
    )
    (february,) = close(result, standing, "2025-03-01T00:00:00Z")
    assert [(line.kind, line.charge, line.amount, line.adjusts) for line in february.lines] == [
        ("flat", "seat", "30.00", ""), ("adjustment", "discount:half", "15.00", january.invoice_id),
    ]  # fmt: skip


def test_an_opening_of_before_needs_nothing_further() -> None:
    result, standing, new = catalog(SEAT, **HALF_ONCE), StandingInvoices(), StandingInvoices()
    opening, _ = close(result, new, "2025-02-01T00:00:00Z")
    assert standing.apply(old(opening, ("discount:half", "-15.00")))
    assert totals(close(result, standing, "2025-03-01T00:00:00Z")) == ["30.00", "30.00"]
    assert verified(standing.chain("air", "s")) == []


# The same, worked out plainly by periods, in fractions.
