"""The rest bucket: a line lists so many values; its amount stays what it was to the last digit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.listed_values import beyond, listed
from rating.invoicing.rated_items import steps_text
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


def steps(expected: Any) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = json.loads(expected.lines[0].steps)
    return document


@given(
    st.dictionaries(
        st.sampled_from(["gpt", *"abcdefgh"]), st.decimals("0.001", "1000", places=3).map(str), min_size=1, max_size=9
    ),
    st.integers(1, 9),
)
def test_the_steps_still_sum_to_the_unrounded_amount(quantities: dict[str, str], most: int) -> None:
    previous_invoice = invoice(quantities)
    later_listed = listed(previous_invoice, most)
    assert sum(Decimal(step["amount"]) for step in steps(later_listed)) == Decimal(previous_invoice.lines[0].unrounded)
    assert replace(later_listed.lines[0], steps="") == replace(previous_invoice.lines[0], steps="")
    free = [step for step in steps(later_listed) if step["kind"] == "cell" and step["values"] != ["gpt"]]
    assert len(free) <= max(most, 0)
    if len(quantities.keys() - {"gpt"}) <= most:
        assert later_listed == previous_invoice


def test_the_largest_are_listed_and_the_rest_is_one_step_after_them() -> None:
    result = listed(invoice({"gpt": "1", "a": "3", "b": "9", "c": "3", "d": "1"}), 2)
    assert [(step["kind"], step.get("values"), step.get("quantity")) for step in steps(result)] == [
        ("cell", ["gpt"], "1"), ("cell", ["a"], "3"), ("cell", ["b"], "9"), ("others", None, "4"),
        ("minimum", None, None),
    ]  # fmt: skip
    assert "2 other combinations of values (default): 4 × 0.013 = 0.052" in steps(result)[3]["text"]
    assert [(charge, count) for _, charge, count in beyond([result])] == [("calls", 2)]


def test_cells_of_the_price_are_listed_however_many() -> None:
    cells = [{"values": [f"m{number}"], "unit_amount": "1"} for number in range(20)]
    result = invoice({f"m{number}": "1" for number in range(20)}, PRICE | {"cells": cells})
    assert listed(result, 3) == result
    assert not list(beyond([result]))


def test_a_line_of_several_prices_has_a_bucket_for_each() -> None:
    """Each price's steps end with its share of the time."""
    earlier = [{"price": PRICE | {"default_unit_amount": "0.02"}, "seconds": "100"}]
    previous_invoice = invoice(
        dict.fromkeys("abcdefgh", "3"), PRICE | {"by_time": {"seconds": "200", "earlier": earlier}}
    )
    later_listed = listed(previous_invoice, 2)
    assert sum(Decimal(step["amount"]) for step in steps(later_listed)) == Decimal(previous_invoice.lines[0].unrounded)
    shown = [(step["kind"], step.get("unit_amount"), step.get("count")) for step in steps(later_listed)]
    assert shown == [
        ("cell", "0.02", None), ("others", "0.02", 7), ("minimum", None, None), ("proration", None, None),
        ("cell", "0.013", None), ("others", "0.013", 7), ("minimum", None, None), ("proration", None, None),
    ]  # fmt: skip
