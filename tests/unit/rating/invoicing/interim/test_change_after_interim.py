"""A change of plan in mid-quarter that leaves a discount to be taken off use which an interim invoice billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas.values.instants import DAY
from tests.unit.rating.invoicing.builders import APRIL, JANUARY, SUBSCRIPTION, Books, amounts, catalog, plan, used
from tests.unit.rating.invoicing.interim.test_interim_invoices import interims, published
from tests.unit.rating.verify.builders import verified

UNIT = {"model": "per_unit", "unit_amount": "1"}
CHANGE = {"plan": "small", "change_at": "2026-01-31T00:00:00Z"}


def seat(amount: str) -> dict[str, Any]:
    return {"product": "fee", "price": {"model": "flat", "amount": amount}, "in_advance": True}


@pytest.mark.parametrize(
    ("grant", "opening", "given_back"),
    [
        # By hand: of 90 days at 1.00 and 60.00 off, 30.00 are paid in advance. After 30 days of them 60 days at 0.10
        # follow: 36.00 of fees, of which the discount leaves nothing, and 24.00 of it are off the use of 80.00.
        ({"products": ["c"]}, "30.00", ["credit credit:g 24.00"]),
        ({"effective": "2026-01-05"}, "30.00", ["credit credit:g 24.00"]),
        ({}, "0.00", ["credit credit:g 30.00", "credit credit:g 24.00"]),
        (None, "30.00", []),
    ],
)
def test_of_a_discount_that_no_fees_are_left_for_comes_back_what_a_grant_paid_of_the_use(
    grant: dict[str, Any] | None, opening: str, given_back: list[str]
) -> None:
    terms = {"discounts": [{"code": "d", "amount": "60"}]}
    shelf = catalog(UNIT)
    for code, amount in (("basic", "90"), ("small", "9")):
        shelf.add("plan", plan(UNIT, code, more=[seat(amount)]) | {"interval": "quarter"})
    shelf.add("subscription", SUBSCRIPTION | terms | {"plan": "basic", "plan_version": 2, "end": "2026-04-01"})
    if grant is not None:
        shelf.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": "200"} | grant)
    of = Books(shelf, [used(9, 80)])
    (start,) = of.close(JANUARY)
    assert start.total == opening
    (interim,) = published(of, interims(of, 10, by_hand=True))
    assert interim.total == ("80.00" if grant is None else "0.00")
    shelf.add("subscription", SUBSCRIPTION | terms | CHANGE | {"end": "2026-04-01"}, published="2026-01-31T00:00:00Z")
    (change,) = of.close(JANUARY + 31 * DAY)
    assert amounts([change]) == ["flat fee 6.00", "adjustment fee -60.00", *given_back]
    of.close(APRIL)
    chain = of.standing.chain("air", "s")
    money = sum((Decimal(invoice.total) for invoice in chain), Decimal(0))
    paid = -sum((Decimal(line.amount) for item in chain for line in item.lines if line.kind == "credit"), Decimal(0))
    assert (money, paid) == ((56, 0) if grant is None else (0, 56))  # 36.00 and 80.00, less 60.00
    assert verified(chain, shelf.catalog) == []


def test_of_two_changes_the_fees_of_all_are_counted() -> None:
    """By hand: 30 days at 1.00, 30 at 0.50, 30 at 0.10. After the first change 60.00 are paid; after the second one
    they are 48.00, of which the 60.00 off that are agreed with it leave nothing, and 12.00 of these are off the use."""
    shelf = catalog(UNIT)
    for code, amount in (("basic", "90"), ("middle", "45"), ("small", "9")):
        shelf.add("plan", plan(UNIT, code, more=[seat(amount)]) | {"interval": "quarter"})
    subscription = SUBSCRIPTION | {"end": "2026-04-01"}
    shelf.add("subscription", subscription | {"plan_version": 2})
    grant = {"code": "g", "account": "acme", "currency": "USD", "amount": "200", "products": ["c"]}
    shelf.add("credit_grant", grant)
    of = Books(shelf, [used(9, 80)])
    of.close(JANUARY)
    published(of, interims(of, 10, by_hand=True))
    billed = []
    off = {"discounts": [{"code": "d", "amount": "60"}]}
    for code, date, days, terms in (("middle", "2026-01-31", 31, {}), ("small", "2026-03-02", 61, off)):
        change = {"plan": code, "change_at": f"{date}T00:00:00Z"} | terms
        shelf.add("subscription", subscription | change, published=f"{date}T00:00:00Z")
        billed += [amounts(of.close(JANUARY + days * DAY))]
    assert billed == [
        ["flat fee 30.00", "adjustment fee -60.00"],
        ["flat fee 3.00", "discount discount:d -60.00", "adjustment fee -15.00", "credit credit:g 12.00"],
    ]
    of.close(APRIL)
    assert sum(Decimal(invoice.total) for invoice in of.standing.chain("air", "s")) == 0
    assert verified(of.standing.chain("air", "s"), shelf.catalog) == []
