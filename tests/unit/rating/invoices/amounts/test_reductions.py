"""Discounts → commitment → credits: tables worked by hand, and what must hold for all of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing import PriceError, price_json
from rating.pricing.reduction_lines import Balance, commitment_lines, credit_lines, discount_lines, total_of
from schemas.catalog.terms import Discount

DIGITS = {"JPY": 0, "USD": 2, "KWD": 3}


def discount(code: str, **fields: Any) -> Discount:
    return Discount.model_validate({"code": code, **fields})


def taken(charged: dict[str, str], *discounts: Discount, currency: str = "USD") -> list[tuple[str, str]]:
    amounts = [(product, Decimal(amount)) for product, amount in charged.items()]
    return [
        (discount_line.code, str(discount_line.amount))
        for discount_line in discount_lines(amounts, discounts, currency)
    ]


# Coupons as in Lago's: a fixed amount never takes more than there is; percentages follow on what is left.
@pytest.mark.parametrize(
    ("charged", "discounts", "expected"),
    [
        ({"a": "100"}, [{"percent": "10"}], ["-10.00"]),
        ({"a": "100"}, [{"amount": "30"}], ["-30.00"]),
        ({"a": "20"}, [{"amount": "30"}], ["-20.00"]),
        ({"a": "100", "b": "50"}, [{"percent": "10", "product": "b"}], ["-5.00"]),
        ({"a": "100", "b": "50"}, [{"percent": "10"}, {"amount": "5", "product": "b"}], ["-5.00", "-14.50"]),
        ({"a": "100"}, [{"percent": "50"}, {"percent": "50"}], ["-50.00", "-25.00"]),
        ({"a": "100"}, [{"percent": "100"}, {"amount": "1"}], ["-100.00"]),
        ({"a": "0.05"}, [{"percent": "10"}], ["-0.01"]),  # 0.005, half away from zero
        ({"a": "0.04"}, [{"percent": "10"}], []),
        ({"a": "-5"}, [{"percent": "10"}], []),
        ({"a": "100", "b": "-80"}, [{"amount": "50", "product": "a"}], ["-20.00"]),  # never the whole below zero
        ({}, [{"percent": "10"}], []),
    ],
)
def test_discounts(charged: dict[str, str], discounts: list[dict[str, str]], expected: list[str]) -> None:
    item = [discount(f"d{number}", **fields) for number, fields in enumerate(discounts)]
    assert [amount for _, amount in taken(charged, *item)] == expected


@pytest.mark.parametrize(
    ("charged", "minimum", "expected"),
    [("80", "100", ["20.00"]), ("100", "100", []), ("120", "100", []), ("0", "0", []), ("-5", "100", ["105.00"]),
        ("5", None, [])],
)  # fmt: skip
def test_commitment(charged: str, minimum: str | None, expected: list[str]) -> None:
    lines = commitment_lines(Decimal(charged), None if minimum is None else Decimal(minimum), "USD")
    assert [str(line.amount) for line in lines] == expected


def test_a_bill_of_one_line_by_weir_price() -> None:
    item = {
        "price": {"model": "per_unit", "unit_amount": "0.125"},
        "quantity": "1",
        "commitment": "5",
        "discounts": [{"percent": "10"}, {"amount": "1", "end": "2026-01-31"}],
        "credits": ["2", {"amount": "1", "priority": 0, "code": "first"}, {"amount": "9", "expires": "2026-01-31"}],
        "at": "2026-01-31",
    }
    (result,) = price_json(json.dumps(item))
    assert result["amount"] == "2.00"  # 0.13 − 0.01 = 0.12, raised to 5, less 1 and 2
    assert [(step["kind"], step["amount"]) for step in result["steps"]] == [
        ("per_unit", "0.125"),
        ("rounding", "0.005"),
        ("discount", "-0.01"),
        ("commitment", "4.88"),
        ("credit", "-1"),
        ("credit", "-2"),
    ]
    assert result["credits"] == [
        {"code": "credit_0", "used": "2", "left": "0"}, {"code": "first", "used": "1", "left": "0"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"discounts": {"percent": "10"}}, "discounts: not a list"),
        ({"discounts": [{"percent": "x"}]}, "discounts.0.percent: 'x' is not a decimal number"),
        ({"discounts": [{"percent": "1", "amount": "1"}]}, "discounts.0: discount discount_0: give either"),
        ({"commitment": "-1"}, "commitment: -1 is negative"),
        ({"credits": ["0"]}, "credits.0.amount: 0 is not above 0"),
        ({"credits": [{"amount": "1", "currency": "EUR"}]}, "credits: credit_0 is in EUR, the line in USD"),
        ({"credits": [{"amount": "1", "code": "a"}, {"amount": "1", "code": "a"}]}, "credits: a code stands twice"),
        ({"at": "soon"}, "at: "),
        (
            {"at": "2026-01-01", "discounts": [{"percent": "1", "end": "9999-12-31"}]},
            "discounts.0: discount discount_0, start and end: 9999",
        ),
    ],
)
def test_terms_of_weir_price_are_refused_with_their_place(terms: dict[str, Any], expected: str) -> None:
    with pytest.raises(PriceError) as caught:
        price_json(json.dumps({"price": {"model": "flat", "amount": "1"}, **terms}))
    assert str(caught.value).startswith(expected)


def test_one_item_a_line() -> None:
    text = '{"price": {"model": "flat", "amount": "1"}}\n\n{"price": {"model": "flat", "amount": "2"}}\n'
    assert [item["amount"] for item in price_json(text)] == ["1.00", "2.00"]
    with pytest.raises(ValueError, match=r"^line 3: price\.amount: is missing"):
        price_json(text.replace('"flat", "amount": "2"', '"flat"'))
    with pytest.raises(ValueError, match="this is not JSON"):
        price_json(text + "{")


money = st.decimals(-200, 400, places=0)
discounts_of = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"percent": st.decimals("0.01", 100, places=2)}, optional={"product": st.sampled_from("ab")}
        ),
        st.fixed_dictionaries(
            {"amount": st.decimals("0.001", 300, places=3)}, optional={"product": st.sampled_from("ab")}
        ),
    ),
    max_size=5,
)


@given(st.lists(st.tuples(st.sampled_from("abc"), money), max_size=5), discounts_of, st.sampled_from(list(DIGITS)))
def test_discounts_push_nothing_below_zero(charged: list[Any], fields: list[Any], currency: str) -> None:
    amounts = [(product, amount.scaleb(-DIGITS[currency])) for product, amount in charged]
    discounts = [discount(f"d{number}", **field) for number, field in enumerate(fields)]
    lines = discount_lines(amounts, discounts, currency)
    full_sum = sum(amount for _, amount in amounts)
    assert all(line.amount < 0 for line in lines)
    assert full_sum + total_of(lines) >= min(full_sum, 0)
    by_code = {item.code: item for item in discounts}
    for product in "abc":
        base = sum(amount for owner, amount in amounts if owner == product)
        off = sum(line.amount for line in lines if by_code[line.code].product == product)
        assert base + off >= min(base, 0)
    for line in lines:
        percent = by_code[line.code].percent
        assert abs(line.amount - line.step.amount) <= Decimal(1).scaleb(-DIGITS[currency]) / 2
        assert percent is None or line.step.amount == -(line.step.quantity or 0) * percent / 100


@given(st.decimals(-50, 300, places=2), st.lists(st.decimals(0, 99, places=2), max_size=5))
def test_credits_are_drawn_in_order_and_conserved(due: Decimal, lefts: list[Decimal]) -> None:
    balances = [Balance(f"g{number}", Decimal(100), left) for number, left in enumerate(lefts)]
    used = {line.code: -line.amount for line in credit_lines(due, balances)}
    assert all(0 < used[code] <= next(balance.left for balance in balances if balance.code == code) for code in used)
    assert sum(used.values()) == max(min(due, sum(lefts)), 0)
    # In order: one that is not used up is the last that was drawn on.
    drawn = [used.get(balance.code, Decimal(0)) for balance in balances]
    for number, balance in enumerate(balances):
        assert drawn[number] == balance.left or not any(drawn[number + 1 :])


@given(
    st.integers(-5, 60),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-20, 30)), max_size=5),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["", "a", "b", "ab", "bc", "abc"])), max_size=4),
)
def test_credits_of_products_pay_no_more_than_their_lines_come_to(
    due: int, charged: list[tuple[str, int]], grants: list[tuple[int, str]]
) -> None:
    balances = [
        Balance(f"g{number}", Decimal(100), Decimal(left), tuple(products))
        for number, (left, products) in enumerate(grants)
    ]
    lines = credit_lines(Decimal(due), balances, [(product, Decimal(amount)) for product, amount in charged])
    used = {line.code: -line.amount for line in lines}
    room = {code: max(sum(amount for product, amount in charged if product == code), 0) for code in "abc"}
    assert sum(used.values()) <= max(due, 0)
    for products in ("a", "b", "c", "ab", "bc", "ac", "abc"):
        drawn = sum(used.get(item.code, 0) for item in balances if item.products and {*item.products} <= {*products})
        assert drawn <= sum(room[code] for code in products)
    for balance in balances:  # one that is left could pay nothing more
        if balance.products and used.get(balance.code, 0) < balance.left and len({b.products for b in balances}) == 1:
            assert sum(used.values()) == min(max(due, 0), sum(room[code] for code in balance.products))


def test_a_credit_pays_first_what_others_may_not_pay() -> None:
    """Else the first would pay of a what the second could."""
    balances = [
        Balance("both", Decimal(10), Decimal(10), ("a", "b")),
        Balance("one", Decimal(10), Decimal(10), ("a",)),
    ]
    lines = credit_lines(Decimal(20), balances, [("a", Decimal(10)), ("b", Decimal(10))])
    assert [(line.code, line.amount) for line in lines] == [("both", -10), ("one", -10)]


@given(st.decimals(-50, 300, places=2), st.decimals(0, 300, places=2))
def test_a_commitment_is_reached_exactly_and_only_raises(charged: Decimal, minimum: Decimal) -> None:
    assert charged + total_of(commitment_lines(charged, minimum, "USD")) == max(charged, minimum)
