"""Usage of a dimension value that a matrix has no amount for: it stops nothing, is told, and is billed once there is a
price for it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rating.invoices.amounts.unpriced_values import unpriced_lines
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.invoicing.unpriced_usage import EarliestEvent, UnpricedQuantity, remedy, unpriced_on_invoices
from rating.pricing import MatrixQuantity
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    Used,
    amounts,
    catalog,
    plan,
    used,
)

MATRIX: dict[str, Any] = {"model": "matrix", "dimensions": ["model"], "cells": [{"values": ["a"], "unit_amount": "1"}]}
WITH_B: dict[str, Any] = MATRIX | {"cells": [*MATRIX["cells"], {"values": ["b"], "unit_amount": "3"}]}
FEE = {"product": "fee", "price": {"model": "flat", "amount": "10"}}


def books(*events: Used, price: dict[str, Any] = MATRIX) -> Books:
    return Books(catalog(price, [FEE]), events)


def lacking(expected: Books) -> list[tuple[tuple[str, ...], Decimal]]:
    chain = expected.standing.chain("air", "s")
    return [(part.values, part.quantity) for *_, parts in unpriced_lines(chain) for part in parts]


def test_an_unknown_value_of_the_running_period_stops_nothing_and_is_on_the_line() -> None:
    result = books(used(3, 5, "a"), used(4, 2, "b"), used(5, 1, ""), used(40, 1, "a"))
    (january,) = result.close(FEBRUARY)
    assert amounts([january]) == ["usage c 5.00", "flat fee 10.00"]
    line = january.lines[0]
    assert line.quantity == "8"
    assert (
        line.note
        == "model= has no price: 1 from 1 event is not billed; model=b has no price: 2 from 1 event is not billed"
    )
    assert lacking(result) == [(("",), Decimal(1)), (("b",), Decimal(2))]
    (february,) = result.close(MARCH)
    assert amounts([february]) == ["usage c 1.00", "flat fee 10.00"]


def test_a_late_event_with_an_unknown_value_stops_nothing_and_is_kept_in_mind_by_an_adjustment_of_0() -> None:
    result = books(used(3, 5, "a"), used(4, 2, "b", close=2), used(5, 1, "a", close=3))
    result.close(FEBRUARY)
    (february,) = result.close(MARCH)
    assert amounts([february]) == ["usage c 0.00", "flat fee 10.00", "adjustment c 0.00"]
    assert "model=b has no price" in february.lines[2].note
    (march,) = result.close(APRIL)
    assert amounts([march]) == ["usage c 0.00", "flat fee 10.00", "adjustment c 1.00"]
    assert lacking(result) == [(("b",), Decimal(2))]


@pytest.mark.parametrize("later", [WITH_B, MATRIX | {"default_unit_amount": "3"}])
@pytest.mark.parametrize("late", [0, 2])
def test_a_later_version_that_the_subscription_moves_to_bills_it_by_adjustment_once(
    later: dict[str, Any], late: int
) -> None:
    """Remedy: a version. All else stays at the price that was pinned, and a still later price changes nothing."""
    result = books(used(3, 5, "a"), used(4, 2, "b", close=late))
    result.close(FEBRUARY)
    if late:
        result.close(MARCH)
    cells = [{"values": ["a"], "unit_amount": "7"}, *later["cells"][1:]]
    result.shelf.add("plan", plan(later | {"cells": cells}, more=[FEE]))
    assert "adjustment" not in str(amounts(result.close(MARCH)))  # nobody has moved
    result.shelf.add("subscription", SUBSCRIPTION | {"plan_version": 2}, published="2026-03-02T00:00:00Z")
    (march,) = result.close(APRIL)
    assert amounts([march]) == ["usage c 0.00", "flat fee 0.32", "usage c 0.00", "flat fee 9.68", "adjustment c 6.00"]
    assert march.lines[-1].note.endswith("model=b at 3, of plan basic version 2")
    assert lacking(result) == []
    result.shelf.add("plan", plan(WITH_B | {"cells": [{"values": ["b"], "unit_amount": "9"}]}, more=[FEE]))
    result.shelf.add("subscription", SUBSCRIPTION | {"plan_version": 3}, published="2026-04-01T00:00:00Z")
    result.events.append(used(6, 1, "b", close=result.closes + 1))
    (april,) = result.close(APRIL + 30 * DAY)
    assert amounts([april])[-1] == "adjustment c 3.00"  # at the price that it was billed at first


def test_an_override_bills_it_as_well_and_the_first_price_in_time_counts() -> None:
    result = books(used(4, 2, "b"))
    result.close(FEBRUARY)
    for number, (amount, at) in enumerate((("4", "2026-02-20"), ("5", "2026-02-10"))):
        price = MATRIX | {"cells": [{"values": ["b"], "unit_amount": amount}]}
        published = f"2026-02-0{number + 1}T00:00:00Z"
        further_document = {"overrides": [{"charge": "c", "price": price}], "change_at": at}
        result.shelf.add("subscription", SUBSCRIPTION | further_document, published=published)
    assert amounts(result.close(MARCH))[-1] == "adjustment c 10.00"


def test_change_at_gives_usage_of_a_period_that_is_not_billed_its_price_at_once() -> None:
    """Remedy: a version with `change_at` at the period's start."""
    result = books(used(3, 5, "a"), used(4, 2, "b"))
    result.shelf.add("plan", plan(WITH_B, more=[FEE]))
    second = SUBSCRIPTION | {"plan_version": 2, "change_at": "2026-01-01T00:00:00Z"}
    result.shelf.add("subscription", second, published="2026-01-20T00:00:00Z")
    assert amounts(result.close(FEBRUARY)) == ["usage c 11.00", "flat fee 10.00"]


def test_a_void_takes_it_off_the_line_again() -> None:
    """Remedy: `weir void`."""
    result = books(used(3, 5, "a"), used(4, 2, "b"))
    result.close(FEBRUARY)
    gone = result.events.pop()
    result.events.append(Used(Decimal(0), JANUARY + 1, ("a",), 2))  # a void is late, too
    assert gone.values == ("b",)
    assert amounts(result.close(MARCH))[-1] == "adjustment c 0.00"
    assert lacking(result) == []


def test_included_units_go_to_what_has_a_price() -> None:
    result = books(used(3, 5, "a"), used(4, 9, "b"), price=MATRIX | {"included_units": "6"})
    (january,) = result.close(FEBRUARY)
    assert amounts([january])[0] == "usage c 0.00"
    steps = json.loads(january.lines[0].steps)
    assert steps[1]["text"] == "5 of 6 included units used, in the order of the cells: model=a 5; 0 left to price"


def test_what_is_told_names_account_event_value_version_and_the_step_that_helps() -> None:
    result = books(used(4, 2, "b"))
    (january,) = result.close(FEBRUARY)
    (on_invoices_result,) = unpriced_on_invoices([january])
    event = EarliestEvent("k17", JANUARY, 1)
    view = result.shelf.view()

    def told(**changes: Any) -> str:
        fields = (
            {name: getattr(on_invoices_result, name) for name in on_invoices_result.__dataclass_fields__}
            | {"first": event}
            | changes
        )
        quantity = UnpricedQuantity(**fields)
        return UnpricedQuantity(**fields | {"remedy": remedy(view, quantity, event)}).sentence()

    assert told() == (
        "account acme, charge c: model=b has no price in plan basic version 1, so 2 is not billed, 1 event, the "
        "first k17 of"
        " 2026-01-01T00:00:00Z; publish plan basic with a cell for it or default_unit_amount, which makes it version "
        "2, and then"
        " subscription s with plan_version 2 and `change_at` 2026-01-01T00:00:00Z or earlier; or take back what was "
        "sent by"
        " mistake with `weir void k17 --reason …`"
    )
    result.shelf.add("plan", plan(WITH_B, more=[FEE]))
    view = result.shelf.view()
    assert "plan basic version 2 has one: publish subscription s with plan_version 2: the next close bills it" in told(
        billed=True
    )
    assert "publish plan basic with a cell for it" in told(part=MatrixQuantity(("c",), Decimal(1)))
    override = {"charge": "c", "price": MATRIX}
    result.shelf.add("subscription", SUBSCRIPTION | {"overrides": [override]})
    view = result.shelf.view()
    assert (
        "publish subscription s with a cell for it, or default_unit_amount, in its override of c with `change_at`"
        in told()
    )


@pytest.mark.parametrize("better", [WITH_B, MATRIX | {"default_unit_amount": "3"}])
@pytest.mark.parametrize("billed", [False, True])
@pytest.mark.parametrize("case", ["plan", "newer plan", "override"])
def test_what_the_sentence_says_is_done_word_for_word_and_helps(
    case: str, billed: bool, better: dict[str, Any]
) -> None:
    result = books(used(3, 5, "a"), used(4, 2, "b"))
    own_value = {"overrides": [{"charge": "c", "price": MATRIX}]} if case == "override" else {}
    if own_value:
        result.shelf.add("subscription", SUBSCRIPTION | own_value)
    if case == "newer plan":
        result.shelf.add("plan", plan(better, more=[FEE]))
    (january,) = result.close(FEBRUARY) if billed else invoices_now(result)
    (lacks,) = unpriced_on_invoices([january])
    sentence = remedy(result.shelf.view(), replace(lacks, billed=billed), None)
    at = re.search(r"`change_at` (\S+) or earlier", sentence)
    news: dict[str, Any] = SUBSCRIPTION | ({"change_at": at[1]} if at else {})
    assert (at is None) == billed
    if "in its override of c" in sentence:
        news |= {"overrides": [{"charge": "c", "price": better}]}
    else:
        if search := re.search(r"publish plan basic .* makes it version (\d+), and then subscription s with", sentence):
            result.shelf.add("plan", plan(better, more=[FEE]))
            assert result.shelf.view().history("plan", "basic")[-1].version == int(search[1])
        number = re.search(r"subscription s with plan_version (\d+)", sentence)
        assert number is not None
        news |= {"plan_version": int(number[1])}
    result.shelf.add("subscription", news, published="2026-02-03T00:00:00Z" if billed else "2026-01-20T00:00:00Z")
    last_amounts = amounts(result.close(MARCH if billed else FEBRUARY))
    assert ("adjustment c 6.00" if billed else "usage c 11.00") in last_amounts
    assert lacking(result) == []


def invoices_now(expected: Books) -> tuple[Invoice, ...]:
    """What a close would publish, which does not."""
    planned = make_plan(expected.shelf.view(), expected.standing, FEBRUARY, {})
    invoices, _ = build_invoices(planned, expected.totals(planned), Run("dry", 1, 0, FEBRUARY, {}))
    return invoices
