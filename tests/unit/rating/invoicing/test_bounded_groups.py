"""Beyond a bound dimension values are measured together: memory stays bounded, and every amount what it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing.bounded_groups import bounded, named_values
from rating.invoicing.charges import Totals
from rating.invoicing.measure import measure
from rating.invoicing.need import Need
from rating.invoicing.rated_items import rate_rows
from rating.pricing import parse_price
from rating.usage import Measured, Usage, UsageGroup
from schemas.prices import Price
from schemas.values.instants import DAY
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    amounts,
    catalog,
    plan,
    used,
)

CELLS = [{"values": ["a"], "unit_amount": "0.5"}, {"values": ["b"], "unit_amount": "0.02"}]
MATRIX: dict[str, Any] = {"model": "matrix", "dimensions": ["model"], "cells": CELLS}

quantities_ = st.dictionaries(
    st.sampled_from("abcdefghijkl"), st.decimals("-5", "50", places=3, allow_nan=False), min_size=1, max_size=12
)


def group(values: Sequence[str | None], quantity: Any, events: int = 1) -> UsageGroup:
    return UsageGroup(Usage(Decimal(quantity), events), "acme", None, tuple(values))


def groups(quantities: dict[str, Decimal]) -> list[UsageGroup]:
    return [group([name], quantity) for name, quantity in quantities.items()]


@given(quantities_, st.integers(1, 12))
def test_the_largest_stay_apart_and_nothing_is_lost(quantities: dict[str, Decimal], most: int) -> None:
    rows = groups(quantities)
    result = bounded(rows, {("a",), ("b",)}, most)
    free = sorted((name for name in quantities if name not in "ab"), key=lambda name: (-quantities[name], name))
    if len(free) <= most:
        assert result == rows
        return
    *listed, others = result
    assert {row.dimensions for row in listed} == {(name,) for name in [*free[:most], *quantities] if name in "ab"} | {
        (name,) for name in free[:most]
    }
    rest = [quantities[name] for name in free[most:]]
    assert (others.usage, others.others) == (Usage(sum(rest, Decimal(0)), len(rest)), len(rest))
    assert others.below_zero == sum((number for number in rest if number < 0), Decimal(0))


def test_the_largest_are_found_wherever_they_stand() -> None:
    """Most others are given up long before the end."""
    *listed, others = bounded((group([f"v{number:06}"], number % 5000) for number in range(20_000)), (), 3)
    assert [row.dimensions for row in listed] == [("v004999",), ("v009999",), ("v014999",)]
    assert others.others == 20_000 - 3
    assert others.usage.quantity == sum(number % 5000 for number in range(20_000)) - 3 * 4999


def test_values_of_one_text_are_one_combination() -> None:
    """A number 1 and a text "1" are one cell of a price, and come one after another."""
    rows = [group(["1"], -5), group(["1"], 7), group(["2"], 1)]
    assert bounded(rows, (), 5) == [group(["1"], 2, 2), group(["2"], 1)]


def test_a_missing_value_and_an_empty_one_are_one_combination() -> None:
    rows = [group([None, "x"], 5), group(["", "x"], 7), group(["", None], 1), group([None, ""], 1), group(["y", ""], 9)]
    for most in (1, 2, 5):
        whole = bounded(rows, (), most)
        expected = [group([None, "x"], 12, 2), group(["", None], 2, 2), group(["y", ""], 9)]
        listed = expected if most == 5 else [expected[0], expected[2]][:most]
        assert whole[: len(listed)] == listed
        assert sum(row.others for row in whole) == 3 - len(listed)


def rated(price: Price, rows: Iterable[UsageGroup]) -> tuple[Any, ...]:
    need = Need(Measured("m.p", "sum", ((1, 86_400),)), 0, 1, ("model",))
    ((_, priced, usage, _),) = rate_rows([(price, need, rows)], "USD")
    return priced.amount, priced.unrounded, priced.billable, usage


@given(
    quantities_,
    st.integers(1, 4),
    st.sampled_from(["in_order", "cheapest_first", "dearest_first", "pro_rata"]),
    st.sampled_from(["0", "3", "40"]),
    st.sampled_from([None, "0.1"]),
    st.booleans(),
)
def test_every_amount_is_what_it_was(
    quantities: dict[str, Decimal], most: int, order: str, included: str, default: str | None, changed: bool
) -> None:
    terms = MATRIX | {"included_order": order, "included_units": included, "minimum_amount": "1"}
    document = terms | {"default_unit_amount": default}
    if changed:  # the price changed in the period, and names other values
        earlier = terms | {"cells": [{"values": ["c"], "unit_amount": "2"}], "default_unit_amount": default}
        document |= {"by_time": {"seconds": "200", "earlier": [{"price": earlier, "seconds": "100"}]}}
    price = parse_price(document)
    rows = groups(quantities)
    assert rated(price, bounded(rows, named_values(price), most)) == rated(price, rows)


def test_the_step_of_the_others_says_how_many_they_are() -> None:
    price = parse_price(MATRIX | {"default_unit_amount": "0.1"})
    rows = [group(["a"], 1), *(group([f"v{number}"], number) for number in range(5))]
    need = Need(Measured("m.p", "sum", ((1, 86_400),)), 0, 1, ("model",))
    ((_, priced, _, _),) = rate_rows([(price, need, bounded(rows, named_values(price), 2))], "USD")
    assert [step.as_json() for step in priced.steps][-1] == {
        "kind": "others", "quantity": "3", "unit_amount": "0.1", "amount": "0.3",
        "text": "3 other combinations of values (default): 3 × 0.1 = 0.3", "count": 3,
    }  # fmt: skip


class Bounded(Books):
    """Books that measure at most so many values that no price names."""

    most = 2

    def measure(self, needs: Iterable[Need]) -> Totals:
        totals = super().measure(list(needs))
        return {
            need: {name: bounded(rows, need.named, self.most) if need.dimensions else rows for name, rows in of.items()}
            for need, of in totals.items()
        }


LATER: list[dict[str, Any]] = [
    MATRIX | {"cells": [*CELLS, {"values": ["c"], "unit_amount": "7"}]},
    MATRIX | {"cells": [*CELLS, {"values": ["d"], "unit_amount": "5"}], "default_unit_amount": "3"},
]


def move(books: Books, version: int, price: dict[str, Any]) -> None:
    """The subscription moves to a new version of its plan, in the month of that number."""
    books.shelf.add("plan", plan(price))
    moved = SUBSCRIPTION | {"plan_version": version}
    books.shelf.add("subscription", moved, published=f"2026-0{version}-02T00:00:00Z")


def closes(kind: type[Books], events: Sequence[Any], default: str | None, later: Sequence[int]) -> list[list[str]]:
    """Three months; after the first the subscription moves to later versions of its plan, some of which price more."""
    result = kind(catalog(MATRIX | ({} if default is None else {"default_unit_amount": default})), events)
    billed = [amounts(result.close(FEBRUARY))]
    for version, number in enumerate(later, 2):
        move(result, version, LATER[number])
        billed.append(amounts(result.close((MARCH, APRIL)[version - 2])))
    return billed


@given(
    st.lists(
        st.builds(
            used, st.integers(0, 80), st.integers(1, 30), st.sampled_from("abcdefgh"), close=st.integers(0, 3),
        ),
        max_size=25,
    ),
    st.sampled_from([None, "0.1"]),
    st.sampled_from([(0, 1), (1, 0), (1, 1)]),
)  # fmt: skip
def test_late_usage_and_usage_without_a_price_come_to_the_same(
    events: list[Any], default: str | None, later: Sequence[int]
) -> None:
    assert closes(Bounded, events, default, later) == closes(Books, events, default, later)


def test_what_has_no_price_is_told_together_and_billed_by_a_later_default() -> None:
    books = Bounded(catalog(MATRIX), [used(3, 1, name) for name in "cdefg"])
    (invoice,) = books.close(FEBRUARY)
    steps = json.loads(invoice.lines[0].steps)
    assert [(step["kind"], step.get("values"), step.get("count")) for step in steps] == [
        ("unpriced", None, 3), ("unpriced", ["c"], None), ("unpriced", ["d"], None),
    ]  # fmt: skip
    assert steps[0]["text"] == "3 other combinations of values have no price: 3 from 3 events is not billed"
    move(books, 2, LATER[1])
    (invoice,) = books.close(MARCH)
    adjustment = next(line for line in invoice.lines if line.kind == "adjustment")
    assert adjustment.amount == "17.00"  # c, e, f and g at 3, d at 5
    assert "2 other combinations of values at 3, of plan basic version 2" in adjustment.note
    assert json.loads(adjustment.price)["default_unit_amount"] == "3"
    assert "adjustment" not in str(amounts(books.close(APRIL)))


def test_what_was_measured_together_is_billed_once_a_later_price_has_a_cell_for_it() -> None:
    """No usage comes late: the price alone makes the close measure the line's values again."""
    books = Bounded(catalog(MATRIX), [used(3, 1, "c"), *(used(3, 5, name) for name in "efgh")])
    (invoice,) = books.close(FEBRUARY)
    assert [step.get("count") for step in json.loads(invoice.lines[0].steps)] == [3, None, None]
    move(books, 2, LATER[0] | {"cells": [*CELLS, {"values": ["z"], "unit_amount": "9"}]})
    assert "adjustment" not in str(amounts(books.close(MARCH)))  # nobody has used z
    move(books, 3, LATER[0])
    (invoice,) = books.close(APRIL)
    adjustment = next(line for line in invoice.lines if line.kind == "adjustment")
    assert adjustment.amount == "7.00"
    assert "model=c at 7, of plan basic version 3" in adjustment.note
    assert [(step["kind"], step.get("values"), step.get("count")) for step in json.loads(adjustment.steps)] == [
        ("unpriced", None, 2), ("unpriced", ["e"], None), ("unpriced", ["f"], None), ("cell", ["c"], None),
    ]  # fmt: skip
    assert "adjustment" not in str(amounts(books.close(APRIL + 30 * DAY)))


class Blocks:
    """A client that gives rows in blocks, and counts what it gave."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.statements: list[str] = []

    @contextmanager
    def query_row_block_stream(self, sql: str, parameters: dict[str, Any]) -> Iterator[Iterator[list[tuple[Any, ...]]]]:
        self.statements.append(sql)
        yield ([row] for row in self._rows)


def test_a_total_by_values_is_streamed_and_what_was_not_asked_for_is_dropped() -> None:
    """The names of many accounts do not fit a query, so that all accounts of the namespace come."""
    need = Need(Measured("m.p", "sum", ((1, 86_400),)), 0, 1, ("model",), frozenset({("a",)}))
    rows = [
        (account, f'"{value}"', "2", 1)
        for account in ("acct_1", "acct_2", "made up")
        for value in ["a", *(f"v{number}" for number in range(10))]
    ]
    totals = measure(Blocks(rows), "air", {need: {"acct_1", "acct_2"}}, None, lambda *_: None, 3)
    assert list(totals[need]) == ["acct_1", "acct_2"]
    for of_account in totals[need].values():
        assert [row.dimensions for row in of_account] == [("a",), ("v0",), ("v1",), ("v2",), ()]
        assert (of_account[-1].others, of_account[-1].usage) == (7, Usage(Decimal(14), 7))


@pytest.mark.parametrize("carry_over", [False, True])
def test_values_of_one_text_stand_together_in_the_query(carry_over: bool) -> None:
    profile = Measured("m.p", "latest", ((1, 86_400),), carry_over=carry_over)
    client = Blocks([("acme", *([] if not carry_over else [0]), '"x"', "5", 1)])
    need = Need(profile, 5, 10, ("model",))
    totals = measure(client, "air", {need: {"acme"}}, None, lambda *_: None)
    assert [row.usage for row in totals[need]["acme"]] == [Usage(Decimal(5), 0 if carry_over else 1)]
    order = "account_id, dimension_0" + (", bucket" if carry_over else "")
    assert f"\nORDER BY {order}\n" in client.statements[0]
