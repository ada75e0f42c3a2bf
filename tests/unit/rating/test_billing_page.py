"""The examples of rating/BILLING.md, with the numbers that stand there, computed by what bills: the page cannot go
stale."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from rating.invoices.transitions import due_date
from rating.pricing import price_json
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    amounts,
    catalog,
    used,
)

PAGE = (Path(__file__).parents[3] / "rating/BILLING.md").read_text("utf8")
CALLS = {"model": "per_unit", "unit_amount": "0.10"}


def example(heading: str, pattern: str) -> tuple[str, ...]:
    """What stands in a rule's text at the places of the pattern; the test fails where the text is another by now."""
    (_, _, after) = PAGE.partition(f"\n## {heading}\n")
    text = " ".join(after.partition("\n## ")[0].split())
    match = re.search(pattern, text)
    assert match is not None, f"rating/BILLING.md, {heading}: no longer says {pattern!r}; bring this test up to date"
    return match.groups()


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def fees(amount: str, **subscription: Any) -> Shelf:
    """A fee a month, and nothing else."""
    shelf = Shelf()
    shelf.add("product", {"code": "fee", "kind": "flat"})
    charge = {"product": "fee", "price": {"model": "flat", "amount": amount}}
    shelf.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": [charge]})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", SUBSCRIPTION | subscription)
    return shelf


def seats_in_advance(amount: str, **subscription: Any) -> Shelf:
    charge = {"product": "fee", "price": {"model": "flat", "amount": amount}, "in_advance": True}
    shelf = fees(amount, **subscription)
    shelf.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": [charge]})
    shelf.add("subscription", SUBSCRIPTION | subscription)
    return shelf


def totals_of(shelf: Shelf) -> list[str]:
    """Of the invoices of three months, period by period."""
    books = Books(shelf, [])
    return [invoice.total for as_of in (JANUARY, FEBRUARY, MARCH, APRIL) for invoice in books.close(as_of)]


def test_late_usage() -> None:
    calls, price, more, adjustment = example(
        "Late usage", r"billed with (\d+) calls at ([\d.]+), and (\d+) more .* adjustment of ([\d.]+),"
    )
    books = Books(catalog({"model": "per_unit", "unit_amount": price}), [used(10, calls), used(10, more, close=2)])
    books.close(FEBRUARY)
    (february,) = books.close(MARCH)
    assert f"adjustment c {adjustment}" in amounts([february])


def test_a_commitment_of_a_subscriptions_versions() -> None:
    first, second, usage, true_up, wrong = example(
        "A subscription's versions",
        r"commitment of ([\d,]+), version 2 of ([\d,]+) with .* With ([\d.]+) of usage"
        r" .* true-up is ([\d.]+), not ([\d.,]+)\.$",
    )
    shelf = catalog({"model": "per_unit", "unit_amount": "1"})
    shelf.add("subscription", SUBSCRIPTION | {"minimum_commitment": str(number(first))})
    changed = {"minimum_commitment": str(number(second)), "change_at": "2027-01-01"}
    shelf.add("subscription", SUBSCRIPTION | changed)
    (january,) = Books(shelf, [used(3, usage)]).close(FEBRUARY)
    (line,) = (line for line in january.lines if line.kind not in ("usage", "flat"))
    assert line.amount == true_up
    assert number(wrong) == number(second) - number(usage)


def test_the_end_of_a_subscription() -> None:
    end, fee, amount = example("The end of a subscription", r"`end: (\S+)` on a fee of ([\d.]+) a month bills ([\d.]+)")
    (january,) = Books(fees(fee, end=f"{end}T00:00:00Z"), []).close(FEBRUARY)
    assert january.total == amount


def test_a_trial() -> None:
    calls, price, amount, off, left = example(
        "Trials", r"(\d+) calls at ([\d.]+) in a trial: a line with ([\d.]+), .* takes ([\d.]+) off: ([\d.]+)\."
    )
    shelf = catalog({"model": "per_unit", "unit_amount": price})
    shelf.add("subscription", SUBSCRIPTION | {"trial_end": "2026-02-01T00:00:00Z"})
    (january,) = Books(shelf, [used(3, calls)]).close(FEBRUARY)
    (line,) = january.lines
    assert line.amount == left
    assert json.loads(line.price)["trial"]
    assert number(amount) == number(calls) * number(price) == number(off)
    assert off.rstrip("0").rstrip(".") in line.steps


def test_proration() -> None:
    fee, day, days, all_days, amount = example(
        "Proration", r"a fee of ([\d.]+) a month from (\d+) January on: (\d+) of (\d+) days, ([\d.]+)\."
    )
    (january,) = Books(fees(fee, start=f"2026-01-{day}T00:00:00Z"), []).close(FEBRUARY)
    assert january.total == amount
    assert (int(days), int(all_days)) == (31 - int(day) + 1, 31)


def test_a_discount_of_one_period_on_a_fee_in_advance() -> None:
    fee, percent, periods, *expected = example(
        "Discounts and commitments",
        r"a fee of ([\d.]+) in advance, `discounts: \[\{percent: \"(\d+)\", periods: (\d)\}\]`, three months:"
        r" ([\d.]+), ([\d.]+), ([\d.]+)\.",
    )
    discount = {"code": "half", "percent": percent, "periods": int(periods)}
    assert totals_of(seats_in_advance(fee, discounts=[discount]))[:3] == expected


def test_a_commitment_is_met_by_fees_in_advance() -> None:
    fee, commitment, total = example(
        "Discounts and commitments",
        r"a fee of ([\d.]+) in advance.* With `minimum_commitment: \"(\d+)\"` and no usage instead: ([\d.]+) in all",
    )
    shelf = seats_in_advance(fee, minimum_commitment=commitment, end="2026-04-01T00:00:00Z")
    assert sum(map(Decimal, totals_of(shelf))) == number(total)


def test_included_units_when_the_price_changes() -> None:
    units, price, dearer, each, first, second = example(
        "A change of price in mid-period",
        r"([\d,]+) included at ([\d.]+), from day 15 at ([\d.]+), ([\d,]+) used in each part:"
        r" ([\d.]+) and ([\d.]+), not",
    )
    assert two_parts(units, price, dearer, each, each) == [f"usage c {first}", f"usage c {second}"]
    early, late, rest, amount = example(
        "A change of price in mid-period",
        r"With ([\d,]+) and ([\d,]+) used (\d+) of the second part are included: ([\d.]+)\.",
    )
    assert two_parts(units, price, dearer, early, late) == ["usage c 0.00", f"usage c {amount}"]
    assert number(rest) == number(units) - number(early)


def two_parts(units: str, price: str, dearer: str, *quantities: str) -> list[str]:
    """What is billed for a quantity before day 15 and one after it."""
    cheap = {"model": "per_unit", "unit_amount": price, "included_units": str(number(units))}
    shelf = catalog(cheap)
    overrides = [{"charge": "c", "price": cheap | {"unit_amount": dearer}}]
    shelf.add("subscription", SUBSCRIPTION | {"overrides": overrides, "change_at": "2026-01-15"})
    events = [used(day, number(quantity)) for day, quantity in zip((3, 20), quantities, strict=True)]
    return amounts(Books(shelf, events).close(FEBRUARY))


def test_included_units_of_a_matrix() -> None:
    *numbers, first, cheapest, shared = example(
        "Included units of a matrix",
        r"([\d.]+) M included of ([\d.]+) M `large` at ([\d.]+) and ([\d.]+) M `small` at ([\d.]+) a million:"
        r" `large` first costs ([\d.]+), cheapest first ([\d.]+), pro rata ([\d.]+)\.",
    )
    included, large, large_price, small, small_price = map(Decimal, numbers)
    million = Decimal(1_000_000)
    cells = [
        {"values": [name], "unit_amount": str(amount / million)} for name, amount in
        (("large", large_price), ("small", small_price))
    ]  # fmt: skip
    price = {"model": "matrix", "dimensions": ["size"], "cells": cells, "included_units": str(included * million)}
    used_units = (("large", large), ("small", small))
    quantities = [{"values": [name], "quantity": str(count * million)} for name, count in used_units]
    for order, amount in ((None, first), ("cheapest_first", cheapest), ("pro_rata", shared)):
        ordered = price if order is None else price | {"included_order": order}
        assert price_json(json.dumps({"price": ordered, "quantities": quantities}))[0]["amount"] == amount


def test_a_due_date() -> None:
    finalised, days, due = example("Due dates", r"finalised on (\S+), (\d+) days: due on (\S+)\.$")
    assert due_date(us(f"{finalised}T00:00:00Z"), "UTC", int(days)) == due
