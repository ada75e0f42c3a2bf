"""The rest bucket: a line lists so many values; its amount stays what it was to the last digit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.listed_values import beyond, listed
from rating.invoicing.build_invoice import steps_text
from rating.pricing import MatrixQuantity, parse_price, rate
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.builders import invoice_of, line_of

PRICE = {
    "model": "matrix", "dimensions": ["model"], "cells": [{"values": ["gpt"], "unit_amount": "0.5"}],
    "default_unit_amount": "0.013", "minimum_amount": "1",
}  # fmt: skip


def invoice(quantities: dict[str, str], price: dict[str, Any] | None = None) -> Invoice:
    cells = tuple(MatrixQuantity((name,), Decimal(number), 1) for name, number in quantities.items())
    total = sum((cell.quantity for cell in cells), Decimal(0))
    rated = rate(parse_price(price or PRICE), total, currency="USD", events=Decimal(len(cells)), quantities=cells)
    line = line_of(
        charge="calls",
        price=json.dumps(price or PRICE),
        steps=steps_text(rated),
        amount=str(rated.amount),
        unrounded=str(rated.unrounded),
    )
    return invoice_of(lines=(line,))


def steps(made: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(made.lines[0].steps)
    return found


@given(
    st.dictionaries(
        st.sampled_from(["gpt", *"abcdefgh"]), st.decimals("0.001", "1000", places=3).map(str), min_size=1, max_size=9
    ),
    st.integers(1, 9),
)
def test_the_steps_still_sum_to_the_unrounded_amount(quantities: dict[str, str], most: int) -> None:
    before = invoice(quantities)
    after = listed(before, most)
    assert sum(Decimal(step["amount"]) for step in steps(after)) == Decimal(before.lines[0].unrounded)
    assert replace(after.lines[0], steps="") == replace(before.lines[0], steps="")
    free = [step for step in steps(after) if step["kind"] == "cell" and step["values"] != ["gpt"]]
    assert len(free) <= max(most, 0)
    if len(quantities.keys() - {"gpt"}) <= most:
        assert after == before


def test_the_largest_are_listed_and_the_rest_is_one_step_after_them() -> None:
    made = listed(invoice({"gpt": "1", "a": "3", "b": "9", "c": "3", "d": "1"}), 2)
    assert [(step["kind"], step.get("values"), step.get("quantity")) for step in steps(made)] == [
        ("cell", ["gpt"], "1"), ("cell", ["a"], "3"), ("cell", ["b"], "9"), ("others", None, "4"),
        ("minimum", None, None),
    ]  # fmt: skip
    assert "2 other combinations of values (default): 4 × 0.013 = 0.052" in steps(made)[3]["text"]
    assert [(charge, count) for _, charge, count in beyond([made])] == [("calls", 2)]


def test_cells_of_the_price_are_listed_however_many() -> None:
    cells = [{"values": [f"m{number}"], "unit_amount": "1"} for number in range(20)]
    made = invoice({f"m{number}": "1" for number in range(20)}, PRICE | {"cells": cells})
    assert listed(made, 3) == made
    assert not list(beyond([made]))


def test_a_line_of_several_prices_has_a_bucket_for_each() -> None:
    """Each price's steps end with its share of the time."""
    earlier = [{"price": PRICE | {"default_unit_amount": "0.02"}, "seconds": "100"}]
    before = invoice(dict.fromkeys("abcdefgh", "3"), PRICE | {"by_time": {"seconds": "200", "earlier": earlier}})
    after = listed(before, 2)
    assert sum(Decimal(step["amount"]) for step in steps(after)) == Decimal(before.lines[0].unrounded)
    shown = [(step["kind"], step.get("unit_amount"), step.get("count")) for step in steps(after)]
    assert shown == [
        ("cell", "0.02", None), ("others", "0.02", 7), ("minimum", None, None), ("proration", None, None),
        ("cell", "0.013", None), ("others", "0.013", 7), ("minimum", None, None), ("proration", None, None),
    ]  # fmt: skip
