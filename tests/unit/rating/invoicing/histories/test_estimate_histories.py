"""The running period as its invoice will be, over histories at random."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.amounts.prepaid.live_balances import live_balances
from rating.invoices.amounts.prepaid_credits import drawn, grant_balances
from rating.invoicing.late.late_usage import Late
from schemas.values.instants import DAY
from tests.unit.rating.builders import Shelf
from tests.unit.rating.invoicing.builders import (
    JANUARY,
    SUBSCRIPTION,
    Books,
    Used,
    amounts_of,
    estimates_and_draws,
    used,
)
from tests.unit.rating.invoicing.builders import catalog as usage_catalog
from tests.unit.rating.invoicing.builders import plan as usage_plan

UNIT = {
    "model": "tiered",
    "included_units": "3",
    "tiers": [{"up_to": "5", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}],
}


SEATS = {"basic": "30", "team": "75"}


@st.composite
def histories(draw: st.DrawFn) -> tuple[Shelf, list[Used], list[int], list[tuple[int, dict[str, Any]]], int]:
    """(catalog, events, days of closes, (day, version of the subscription) in their order, the day of the estimate), of
    January to May."""
    ahead = draw(st.booleans())
    terms: dict[str, Any] = {}
    if draw(st.booleans()):
        off = draw(
            st.sampled_from(
                [{"percent": "50", "periods": 1}, {"amount": "8", "periods": 2}, {"percent": "10", "product": "c"}]
            )
        )
        terms["discounts"] = [{"code": "off"} | off]
    if draw(st.booleans()):
        terms["minimum_commitment"] = draw(st.sampled_from(["20", "90"]))
    result = usage_catalog(UNIT)
    interval = draw(st.sampled_from(["month", "month", "quarter"]))
    for code, amount in SEATS.items():
        seat = {"product": "fee", "price": {"model": "flat", "amount": amount}, "in_advance": ahead}
        result.add("plan", usage_plan(UNIT, code, [seat]) | {"interval": interval})
    result.add(
        "plan",
        {
            "code": "side",
            "currency": "USD",
            "interval": interval,
            "grace_seconds": 0,
            "charges": [
                {"product": "fee", "price": {"model": "flat", "amount": "7"}, "in_advance": draw(st.booleans())}
            ],
        },
    )
    result.add("subscription", SUBSCRIPTION | terms)
    if draw(st.booleans()):
        result.add("subscription", SUBSCRIPTION | {"code": "a-side", "plan": "side", "start": "2026-01-20T00:00:00Z"})
    for code in draw(st.sampled_from([(), ("gift",), ("gift", "own")])):
        owner = {"account": "acme"} if code == "gift" else {"subscription": "s"}
        expires = draw(st.sampled_from([None, "2026-02-15", "2026-04-01"]))
        result.add(
            "credit_grant",
            owner
            | {
                "code": code,
                "amount": draw(st.sampled_from(["5", "60", "500"])),
                "currency": "USD",
                "expires": expires,
            },
        )
    closes = sorted(draw(st.sets(st.integers(0, 120), max_size=5)))
    draw_result = draw(st.integers(max([1, *closes]), 125))
    changes: list[tuple[int, dict[str, Any]]] = []
    for day in sorted(draw(st.sets(st.integers(1, draw_result), max_size=2))):
        at = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
        version = draw(
            st.sampled_from(
                [
                    {"plan": "team"},
                    {"plan": "basic"},
                    {"overrides": [{"charge": "c", "price": UNIT | {"included_units": "1"}}]},
                ]
            )
        )
        changes.append((day, SUBSCRIPTION | terms | version | {"change_at": at}))
    events = []
    for day, quantity, delay in draw(
        st.lists(st.tuples(st.integers(0, 119), st.integers(1, 6), st.integers(0, 40)), max_size=8)
    ):
        if (came := day + delay) < draw_result:
            events.append(used(day + 0.5, quantity, close=1 + sum(item <= came for item in closes)))
    return result, events, closes, changes, draw_result


@given(histories())
def test_an_estimate_is_what_the_closes_that_follow_put_on_the_invoices(history: Any) -> None:
    """Where nothing more is used: late usage, credits that what comes before draws or that come back, fees settled,
    splits, terms. And the live balance of each grant is what these closes leave of it."""
    item, events, closes, changes, result = history
    books = Books(item, events)
    days = [(day, 1, None) for day in closes] + [(day, 0, version) for day, version in changes]
    for day, _, version in sorted(days, key=lambda item_value: item_value[:2]):
        if version is None:
            books.close(JANUARY + day * DAY)
        else:
            item.add(
                "subscription", version, published=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
            )
    now_us = JANUARY + result * DAY + DAY // 3
    coming = books.closes + 1

    def measure(needs: Any) -> Any:
        books.closes += 1
        try:
            return books.measure(needs)
        finally:
            books.closes -= 1

    late = tuple(Late("m.p", event.at_us, event.at_us, 1) for event in events if event.close == coming)
    bills, draws = estimates_and_draws(item, books.standing, now_us, measure, {"s": late} if late else {})
    balances = live_balances(item.view(), "acme", draws, now_us)
    if not any(value.subscription == "s" for value in books.close(now_us)):
        books.events = [replace(event, close=event.close + (event.close == coming)) for event in events]
    billed = list(books.standing.invoices("air"))
    for bill in sorted(bills.values(), key=lambda item_value: item_value.period_end):
        books.close(bill.period_end)
    for bill in bills.values():
        ends = [
            value for value in books.standing.chain("air", bill.subscription) if value.period_end == bill.period_end
        ]
        end = next(value for value in ends if value.period_start == bill.period_start < value.period_end)
        assert [shown(line) for line in bill.lines] == [shown(line) for line in end.lines]
        assert amounts_of(bill) == amounts_of(end)
        billed.append(end)
    left = grant_balances(item.view(), "acme", drawn(billed), now_us)  # not what begins by then, and is billed with it
    assert [balance.live for balance in balances] == [balance.left for balance in left]


def shown(line: Any) -> tuple[str, ...]:
    return line.kind, line.charge, line.amount, line.quantity
