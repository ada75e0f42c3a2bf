"""The examples of rating/BILLING.md about prices, with the numbers that stand there, computed by what bills: the page
cannot go stale."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from rating.pricing import price_json
from tests.unit.rating.billing_page import example, number
from tests.unit.rating.invoicing.builders import (
    FEBRUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    Used,
    amounts,
    catalog,
    plan,
    used,
)

MID_PERIOD = "A change of price in mid-period"


def shared_line(product: str, price: dict[str, Any], later: dict[str, Any], day: str, events: list[Used]) -> Any:
    """The one line of January for a charge that is measured over both parts; ``later``: what the subscription says from
    that day on."""
    shelf = catalog({"model": "flat", "amount": "0"}, [{"product": product, "price": price}])
    shelf.add("subscription", SUBSCRIPTION | later | {"change_at": f"2026-01-{int(day):02}"})
    (january,) = Books(shelf, events).close(FEBRUARY)
    (line,) = (line for line in january.lines if line.charge == product)
    return line


def repriced(product: str, price: dict[str, Any]) -> dict[str, Any]:
    return {"overrides": [{"charge": product, "price": price}]}


def by_days(cheap: str, days: str, dear: str, more_days: str) -> Decimal:
    whole = int(days) + int(more_days)
    return ((number(cheap) * int(days) + number(dear) * int(more_days)) / whole).quantize(Decimal("0.01"))


def test_a_highest_value_when_its_price_changes() -> None:
    seats, included, price, day, dearer, cheap, days, whole, dear, more_days, amount = example(
        MID_PERIOD,
        r"(\d+) seats at most in both halves of January, (\d+) included, at ([\d.]+), from (\d+) January at ([\d.]+):"
        r" ([\d.]+) for (\d+) of (\d+) days and ([\d.]+) for (\d+), ([\d.]+) \(not",
    )
    per_seat = {"model": "per_unit", "unit_amount": price, "included_units": included}
    halves = [used(3, seats), used(20, seats)]
    line = shared_line("top", per_seat, repriced("top", per_seat | {"unit_amount": dearer}), day, halves)
    assert line.amount == amount == str(by_days(cheap, days, dear, more_days))
    assert int(days) + int(more_days) == int(whole) == 31


def test_users_of_both_halves_when_their_price_changes() -> None:
    users, price, again, day, dearer, cheap, days, _, dear, more_days, amount = example(
        MID_PERIOD,
        r"(\d+) users at ([\d.]+), of whom (\d+) are active in both halves, from (\d+) January at ([\d.]+):"
        r" ([\d.]+) for (\d+) of (\d+) days and ([\d.]+) for (\d+), ([\d.]+); nobody counts twice",
    )
    per_user = {"model": "per_unit", "unit_amount": price}
    first = (int(users) + int(again)) // 2
    events = [used(3, name) for name in range(first)]
    events += [used(20, name) for name in range(first - int(again), int(users))]
    line = shared_line("users", per_user, repriced("users", per_user | {"unit_amount": dearer}), day, events)
    assert (line.quantity, line.amount) == (users, amount)
    assert str(by_days(cheap, days, dear, more_days)) == amount


def test_seats_when_the_plan_changes() -> None:
    price, dearer, day, seats, included, amount = example(
        MID_PERIOD,
        r"from a plan with seats at ([\d.]+) to one with ([\d.]+) on (\d+) January, (\d+) seats and (\d+) included in"
        r" both: ([\d.]+)\.",
    )
    per_seat = {"model": "per_unit", "unit_amount": price, "included_units": included}
    free = {"model": "flat", "amount": "0"}
    shelf = catalog(free, [{"product": "top", "price": per_seat}])
    shelf.add("plan", plan(free, "pro", [{"product": "top", "price": per_seat | {"unit_amount": dearer}}]))
    shelf.add("subscription", SUBSCRIPTION | {"plan": "pro", "change_at": f"2026-01-{day}"})
    (january,) = Books(shelf, [used(3, seats), used(20, seats)]).close(FEBRUARY)
    assert [line.amount for line in january.lines if line.charge == "top"] == [amount]


def test_another_allowance_when_the_price_changes() -> None:
    day, early, allowance, late, later_allowance, beyond = example(
        MID_PERIOD,
        r"With another allowance from day (\d+), that one less what was taken: ([\d,]+) used of ([\d,]+), then ([\d,]+)"
        r" of ([\d,]+), is (\d+) beyond it in each part\.$",
    )
    price = {"model": "per_unit", "unit_amount": "1", "included_units": str(number(allowance))}
    shelf = catalog(price)
    later = repriced("c", price | {"included_units": str(number(later_allowance))})
    shelf.add("subscription", SUBSCRIPTION | later | {"change_at": f"2026-01-{day}"})
    (january,) = Books(shelf, [used(3, number(early)), used(20, number(late))]).close(FEBRUARY)
    assert amounts([january]) == [f"usage c {beyond}.00"] * 2


def test_a_value_without_a_cell() -> None:
    known, another, unknown, quantity = example(
        "A value without a cell",
        r"cells for models `(\w)` and `(\w)`, an event with `(\w)`: .* the line says that (\d+) of `c` is unpriced, and"
        r" a version of the plan with a cell for `c` bills it by adjustment",
    )

    def matrix(*values: str) -> dict[str, Any]:
        cells = [{"values": [value], "unit_amount": "2"} for value in values]
        return {"model": "matrix", "dimensions": ["model"], "cells": cells}

    shelf = catalog(matrix(known, another))
    books = Books(shelf, [used(day, 1, value) for day, value in enumerate((known, another, unknown))])
    (january,) = books.close(FEBRUARY)
    assert amounts([january]) == ["usage c 4.00"]
    assert january.lines[0].note.startswith(f"model={unknown} has no price: {quantity} from 1 event")
    shelf.add("plan", plan(matrix(known, another, unknown)))
    shelf.add("subscription", SUBSCRIPTION | {"plan_version": 2}, published="2026-02-02T00:00:00Z")
    assert "adjustment c 2.00" in amounts(books.close(MARCH))


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
