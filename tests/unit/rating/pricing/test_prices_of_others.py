"""Tables as other billing systems' own tests and guides have them, in our terms; the sums beside them are worked by
hand.

Where a rule of theirs differs from DESIGN section 7, the row follows ours and a comment says so.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing.charges import Need
from rating.invoicing.late.adjustments import adjustments
from rating.invoicing.late.late_usage import Prior
from rating.pricing import parse_price, price_json, rate
from rating.pricing.exact import exact_sum
from rating.usage import Measured, Usage, UsageGroup
from tests.unit.rating.builders import line_of


def tiers(*rows: tuple[str | None, str, str], amount: str = "unit_amount") -> list[dict[str, str | None]]:
    return [{"up_to": up_to, amount: unit, "flat_amount": flat} for up_to, unit, flat in rows]


def amount(price: dict[str, Any], quantity: str, **extra: Any) -> Decimal:
    return Decimal(price_json(json.dumps({"price": price, "quantity": quantity, **extra}))[0]["amount"])


# Lago, graduated charge model: 10 a unit and 2 flat up to 10, then 5 and 3 flat, twice.
LAGO_GRADUATED = tiers(("10", "10", "2"), ("20", "5", "3"), (None, "5", "3"))
# Lago, volume charge model.
LAGO_VOLUME = tiers(("100", "2", "10"), ("200", "1", "0"), (None, "0.5", "50"))
# Lago, graduated percentage charge model.
LAGO_PERCENTAGES = tiers(("10", "1", "200"), ("20", "2", "300"), (None, "3", "400"), amount="rate")
# OpenMeter, graduated and volume tiered price calculators.
OPENMETER_GRADUATED = tiers(("5", "0", "100"), ("10", "0", "50"), ("15", "10", "0"), (None, "5", "0"))
OPENMETER_VOLUME = tiers(("5", "0", "100"), ("10", "0", "150"), ("15", "10", "0"), (None, "5", "0"))
# Stripe's guide to tiered pricing: 7 up to 5, 6.50 up to 10, 6 beyond.
STRIPE = tiers(("5", "7", "0"), ("10", "6.50", "0"), (None, "6", "0"))


@pytest.mark.parametrize(
    ("model", "table", "expected"),
    [
        # Lago leaves the first flat amount out at zero; by DESIGN it applies.
        ("tiered", LAGO_GRADUATED,
        {"0": "2", "1": "12", "10": "102", "11": "110", "12": "115", "20": "155", "21": "163", "22": "168"}),
        ("volume", LAGO_VOLUME,
        {"0": "10", "1": "12", "100": "210", "101": "101", "200": "200", "201": "150.5", "300": "200"}),
        ("tiered_percentage", LAGO_PERCENTAGES,
        {"1": "200.01", "10": "200.1", "11": "500.12", "12": "500.14", "20": "500.3", "21": "900.33"}),
        ("tiered", OPENMETER_GRADUATED,
        {"0": "100", "3": "100", "5": "100", "5.001": "150", "7": "150", "12": "170", "22": "235"}),
        ("volume", OPENMETER_VOLUME,
        {"0": "100", "3": "100", "5": "100", "6": "150", "10": "150", "14": "140", "15": "150", "16": "80",
        "100": "500"}),
        ("tiered", STRIPE, {"0": "0", "1": "7", "5": "35", "6": "41.5", "10": "67.5", "20": "127.5", "25": "157.5"}),
        ("volume", STRIPE, {"0": "0", "1": "7", "5": "35", "6": "39", "10": "65", "20": "120", "25": "150"}),
    ],
)  # fmt: skip
def test_tiers(model: str, table: list[dict[str, Any]], expected: dict[str, str]) -> None:
    price = {"model": model, "tiers": table}
    assert {quantity: amount(price, quantity) for quantity in expected} == {
        quantity: Decimal(total) for quantity, total in expected.items()
    }


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [
        # Lago, package charge model: 100 for each 10, the first 10 or 200 free.
        ({"package_size": "10", "package_amount": "100"}, "121", "1300"),
        ({"package_size": "10", "package_amount": "100", "free_units": "10"}, "121", "1200"),
        ({"package_size": "10", "package_amount": "100", "free_units": "200"}, "121", "0"),
        # OpenMeter, package price: 15 for each 10; at least, at most 100.
        ({"package_size": "10", "package_amount": "15"}, "0", "0"),
        ({"package_size": "10", "package_amount": "15"}, "9", "15"),
        ({"package_size": "10", "package_amount": "15"}, "10", "15"),
        ({"package_size": "10", "package_amount": "15"}, "11", "30"),
        ({"package_size": "10", "package_amount": "15", "minimum_amount": "100"}, "0", "100"),
        ({"package_size": "10", "package_amount": "15", "maximum_amount": "100"}, "110", "100"),
        # Stripe, transform_quantity: divided by 1,000, rounded up.
        ({"package_size": "1000", "package_amount": "0.10"}, "2001", "0.30"),
    ],
)
def test_packages(price: dict[str, Any], quantity: str, expected: str) -> None:
    assert amount({"model": "package", **price}, quantity) == Decimal(expected)


@pytest.mark.parametrize(
    ("price", "quantity", "events", "expected"),
    [
        # Lago, percentage charge model; its free events are already off the events here.
        ({"rate": "1.3", "fixed_amount": "2", "free_units": "250"}, "800", "2", "11.15"),
        ({"rate": "1.3", "fixed_amount": "2", "free_units": "400"}, "800", "1", "7.20"),
        ({"rate": "1.3", "fixed_amount": "2"}, "800", "4", "18.40"),
        ({"rate": "0", "fixed_amount": "2"}, "800", "4", "8"),
        ({"rate": "1.3", "fixed_amount": "2", "free_units": "250"}, "0", "0", "0"),
        ({"rate": "1"}, "11100", "3", "111"),
        ({"rate": "5.55"}, "100", None, "5.55"),
        # Every event costs its fixed amount, also where its units are free.
        ({"rate": "1.3", "fixed_amount": "2", "free_units": "1000"}, "800", "4", "8"),
    ],
)
def test_percentages(price: dict[str, Any], quantity: str, events: str | None, expected: str) -> None:
    assert amount({"model": "percentage", **price}, quantity, events=events) == Decimal(expected)


@pytest.mark.parametrize(
    ("limits", "quantity", "expected"),
    [
        # OpenMeter: a minimum without usage and at its edge; a maximum within a tier.
        ({"minimum_amount": "1000"}, "0", "1000"),
        ({"minimum_amount": "100"}, "5", "100"),
        ({"maximum_amount": "170"}, "22", "170"),
        ({"maximum_amount": "125"}, "7", "125"),
        ({"maximum_amount": "100"}, "5", "100"),
    ],
)
def test_limits_of_tiers(limits: dict[str, str], quantity: str, expected: str) -> None:
    assert amount({"model": "tiered", "tiers": OPENMETER_GRADUATED, **limits}, quantity) == Decimal(expected)


PRICES = [
    {"model": "per_unit", "unit_amount": "0.0333"},
    {"model": "tiered", "tiers": LAGO_GRADUATED, "included_units": "3"},
    {"model": "tiered", "tiers": OPENMETER_GRADUATED, "minimum_amount": "120", "maximum_amount": "201.005"},
    {"model": "volume", "tiers": LAGO_VOLUME},
    {"model": "volume", "tiers": OPENMETER_VOLUME},
    {"model": "package", "package_size": "7", "package_amount": "0.335", "free_units": "2.5"},
    {"model": "percentage", "rate": "1.37", "free_units": "20"},
    {"model": "tiered_percentage", "tiers": LAGO_PERCENTAGES},
]
_MONOTONE = [price for price in PRICES if price["model"] != "volume"]
increments = st.lists(st.decimals(0, 60, places=3), min_size=1, max_size=6)


@given(st.sampled_from(PRICES), increments, st.sampled_from(["JPY", "USD", "KWD"]))
def test_increments_billed_as_cumulative_deltas_come_to_what_the_whole_costs(
    price: Any, parts: list[Decimal], currency: str
) -> None:
    """As late usage is billed: each adjustment is the price of all so far less what was billed for it."""
    parsed = parse_price(price)
    line = line_of(number=1, period_end=1)
    need = Need(Measured("m.p", "sum", ((1, 86_400),)), 0, 1)
    bills: list[Decimal] = []
    for number in range(1, len(parts) + 1):
        rows = {need: {"a": [UsageGroup(Usage(exact_sum(parts[:number]), number), "a")]}}
        result = adjustments([Prior("one", line, parsed, need, exact_sum(bills), line)], rows, "a", currency)
        bills.extend(Decimal(item.amount) for item in result)
    assert exact_sum(bills) == rate(parsed, exact_sum(parts), currency=currency).amount


@given(st.sampled_from(_MONOTONE), increments)
def test_more_never_costs_less_but_for_volume(price: Any, parts: list[Decimal]) -> None:
    parsed = parse_price(price)
    costs, so_far = [], Decimal(0)
    for part in parts:
        so_far += part
        costs.append(rate(parsed, so_far, currency="USD").amount)
    assert costs == sorted(costs)


def test_more_may_cost_less_by_volume() -> None:
    assert amount({"model": "volume", "tiers": OPENMETER_VOLUME}, "16") < amount(
        {"model": "volume", "tiers": OPENMETER_VOLUME}, "15"
    )
