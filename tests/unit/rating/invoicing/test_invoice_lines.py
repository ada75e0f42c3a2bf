"""From totals to an Invoice record: prices as pinned, exact amounts, deterministic bytes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing import rated_items
from rating.invoicing.build_invoice import build_invoice
from rating.invoicing.charges import Need, ResolvedCharge
from rating.invoicing.due import ChainPosition, Due
from rating.invoicing.rated_items import NO_USAGE
from rating.pricing import parse_price
from rating.pricing.split_charges import Quantity, rate_alone
from rating.usage import Measured, Usage, UsageGroup
from schemas.catalog.models import Charge, Plan, Product
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.values.record_copy import replace
from tests.unit.rating.builders import stored

RUN = Run("run_1", 3, 40, 99, {})
DAY = 86_400_000_000


def due(currency: str = "USD") -> Due:
    plan = Plan(code="basic", currency=currency)
    return Due(
        namespace="air", subscription="acme-basic", account_id="acme", plan=plan, plan_version=2, time_zone="UTC",
        start_us=0, end_us=31 * DAY, position=ChainPosition("inv_before"),
    )  # fmt: skip


def flat(amount: str, currency: str = "USD") -> ResolvedCharge:
    price = {"model": "flat", "amount": amount}
    product = Product(code="fee", name="Monthly fee", kind="flat")
    return ResolvedCharge(Charge(product="fee", price=price), product, parse_price(price, currency), end_us=31 * DAY)


def metered(price: dict[str, Any], aggregation: Any = "sum", currency: str = "USD") -> ResolvedCharge:
    parsed = parse_price(price, currency)
    need = Need(Measured("m.p", aggregation, ((1, 86_400),), "mi"), 0, 31 * DAY, getattr(parsed, "dimensions", ()))
    return ResolvedCharge(
        Charge(code="c", product="p", price=price), Product(code="p", profile="m.p"), parsed, need, (1, 4)
    )


def invoice(
    items: list[ResolvedCharge], totals: dict[Need, dict[str, list[UsageGroup]]], currency: str = "USD"
) -> Invoice:
    record = build_invoice(due(currency), items, totals, RUN)
    assert stored(record) == record
    return record


TIERED = {
    "model": "tiered",
    "tiers": [{"up_to": "1000", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.011", "flat_amount": "5"}],
}


def test_lines_carry_quantity_price_steps_and_both_amounts() -> None:
    item = metered(TIERED)
    rows = {item.need: {"acme": [UsageGroup(Usage(Decimal("1001.5"), 7), "acme")]}}
    record = invoice([flat("9.99"), item], rows)
    first_line, second = record.lines
    assert (first_line.kind, first_line.quantity, first_line.events, first_line.amount) == ("flat", "", "", "9.99")
    assert first_line.description == "Monthly fee"
    assert (second.kind, second.quantity, second.events) == ("usage", "1001.5", "7")
    assert (second.amount, second.unrounded) == ("5.02", "5.0165")
    assert (second.unit, second.profile_versions, second.charge) == ("mi", (1, 4), "c")
    assert json.loads(second.price) == TIERED | {"currency": "USD"} | {
        "tiers": [{"up_to": "1000", "unit_amount": "0"}, {"unit_amount": "0.011", "flat_amount": "5", "up_to": None}]
    }
    assert [step["amount"] for step in json.loads(second.steps)] == ["0", "5.0165"]
    assert record.total == "15.01"
    assert (record.state, record.predecessor, record.checkpoint) == ("finalized", "inv_before", 3)


def test_no_usage_is_zero_and_a_maximum_without_usage_says_so() -> None:
    price = {"model": "per_unit", "unit_amount": "2"}
    total, greatest = metered(price), metered(price, "max")
    assert total.need is not None
    assert greatest.need is not None
    record = invoice(
        [total, greatest], {total.need: {}, greatest.need: {"someone": [UsageGroup(Usage(Decimal(1), 1))]}}
    )
    assert [(line.quantity, line.events, line.amount) for line in record.lines] == [("0", "0", "0.00")] * 2
    assert [line.note for line in record.lines] == ["", NO_USAGE]
    assert record.total == "0.00"


def test_a_negative_quantity_is_priced_as_zero_and_the_line_says_so() -> None:
    item = metered({"model": "per_unit", "unit_amount": "2"})
    assert item.need is not None
    line = invoice([item], {item.need: {"acme": [UsageGroup(Usage(Decimal("-3.50"), 2))]}}).lines[0]
    assert (line.quantity, line.amount, line.unrounded) == ("-3.5", "0.00", "0")
    assert "negative" in line.note


def test_a_matrix_is_priced_by_its_dimensions() -> None:
    item = metered(
        {
            "model": "matrix", "dimensions": ["model", "way"], "default_unit_amount": "1",
            "cells": [{"values": ["gpt", "in"], "unit_amount": "0.5"}],
        }
    )  # fmt: skip
    assert item.need is not None
    assert item.need.dimensions == ("model", "way")
    rows = [
        UsageGroup(Usage(Decimal(4), 2), "acme", None, ("gpt", "in")),
        UsageGroup(Usage(Decimal(3), 1), "acme", None, ("gpt", None)),
    ]
    line = invoice([item], {item.need: {"acme": rows}}).lines[0]
    assert (line.quantity, line.events, line.amount) == ("7", "3", "5.00")


def test_cells_beyond_28_digits_are_summed_exactly() -> None:
    item = metered({"model": "matrix", "dimensions": ["m"], "default_unit_amount": "1"})
    assert item.need is not None
    large, small = Decimal("9" * 26 + ".111111111111"), Decimal("0.888888888889")
    rows = [UsageGroup(Usage(large, 1), "acme", None, ("a",)), UsageGroup(Usage(small, 1), "acme", None, ("b",))]
    line = invoice([item], {item.need: {"acme": rows}}).lines[0]
    assert line.quantity == line.unrounded == "1" + "0" * 26


def test_amounts_have_the_digits_of_their_currency() -> None:
    item = metered({"model": "per_unit", "unit_amount": "0.5"}, currency="JPY")
    assert item.need is not None
    record = invoice([item], {item.need: {"acme": [UsageGroup(Usage(Decimal(5), 1))]}}, "JPY")
    assert (record.lines[0].amount, record.lines[0].unrounded, record.total) == ("3", "2.5", "3")


@given(st.lists(st.decimals(-1000, 1000, places=4), max_size=6), st.sampled_from(["USD", "JPY", "KWD"]))
def test_the_total_is_the_sum_of_the_lines_and_never_a_negative_zero(amounts: list[Decimal], currency: str) -> None:
    record = invoice([flat(format(amount, "f"), currency) for amount in amounts], {}, currency)
    assert Decimal(record.total) == sum((Decimal(line.amount) for line in record.lines), Decimal(0))
    assert not any(
        text.startswith("-0") and not Decimal(text) for text in [record.total, *(line.amount for line in record.lines)]
    )


def test_two_processes_of_one_run_write_the_same_bytes() -> None:
    item = metered(TIERED)
    assert item.need is not None
    rows = {item.need: {"acme": [UsageGroup(Usage(Decimal(12345), 9))]}}
    value, two = (encode_invoice(invoice([flat("1"), item], rows)) for _ in range(2))
    assert value == two


def test_what_was_used_alike_at_one_price_is_rated_once_and_never_at_another() -> None:
    price, other = (parse_price({"model": "per_unit", "unit_amount": amount}, "USD") for amount in ("1", "2"))
    known = rated_items._RatedAlone(most=3)
    for text in ("1", "1.0", "2", "3", "1"):
        for asked in (price, other):
            quantity = Quantity(Decimal(text), Decimal(2))
            assert known(asked, quantity, "USD") == rate_alone(asked, quantity, "USD")
            assert known(asked, quantity, "USD") is known(asked, quantity, "USD")
            assert str(known(asked, quantity, "USD").quantity) == text
    assert len(known._entries) <= 3


def test_accounts_that_used_alike_share_a_line_and_no_others_do() -> None:
    fee, item, other = flat("5"), metered(TIERED), metered(TIERED)
    need = item.need
    assert need is not None
    used = [(Decimal(text), events) for text in ("150", "150.0", "7") for events in (1, 2)]
    rows = {f"{name}{number}": [UsageGroup(Usage(*of), "x")] for number, of in enumerate(used) for name in "ab"}
    lines: dict[str, Any] = {}
    for account, groups in [*rows.items(), ("none", []), ("nothing", [])]:
        of_account = replace(due(), account_id=account)
        record = build_invoice(of_account, [fee, item, other], {need: {account: groups}}, RUN)
        alone = rated_items._rated(item, need, groups, rated_items._usage(need, groups), "USD")
        expected = replace(rated_items._made_line(alone), number=2, of_plan=None)
        assert record.lines[1:] == (expected, replace(expected, number=3))
        lines[account] = record.lines
    for number in range(len(used)):
        assert list(map(id, lines[f"a{number}"])) == list(map(id, lines[f"b{number}"]))
    assert lines["none"][1] is lines["nothing"][1]
    assert len({id(of[1]) for of in lines.values()}) == len(used) + 1
    most = rated_items._RatedAlike(most=2)
    for number in (0, 2, 4, 0, 1):
        assert most(item, rows[f"a{number}"], "USD").usage == rows[f"a{number}"][0].usage
