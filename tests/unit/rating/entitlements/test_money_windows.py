"""A limit in money over any time is what an invoice of a period of just that time would charge for the use."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.api.entitlements.check_charges import CheckCharges, Turns
from rating.entitlements.decision import LimitUse, use_in_money
from rating.entitlements.granted import granted_to
from rating.entitlements.questions import SOON_US, LimitQuestion, RollingNeed, questions_of
from rating.invoicing.charges import ChargeBook
from rating.invoicing.need import Need
from rating.pricing import rate
from rating.usage import Usage, UsageGroup
from schemas.catalog.profiles import resolve
from schemas.values.instants import SECOND
from schemas.values.record_copy import replace
from tests.unit.rating.builders import Shelf, us

NOW = us("2026-03-10T12:34:56Z")
METER = {"code": "calls", "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]},
                                       {"code": "last", "aggregation": "latest", "property": ["n"]}]}  # fmt: skip
TIERS = [{"up_to": "10", "unit_amount": "0.5", "flat_amount": "3"}, {"up_to": None, "unit_amount": "0.25"}]
PRICES: list[dict[str, Any]] = [
    {"model": "per_unit", "unit_amount": "0.013"},
    {"model": "per_unit", "unit_amount": "2", "minimum_amount": "30"},
    {"model": "tiered", "tiers": TIERS},
    {"model": "volume", "tiers": TIERS},
    {"model": "package", "package_size": "7", "package_amount": "1"},
]
RESETS = ("day", "week", "month", "quarter", "year")


def plan(code: str, price: dict[str, Any], interval: str) -> dict[str, Any]:
    return {"code": code, "currency": "USD", "interval": interval, "charges": [{"product": "call", "price": price}],
            "features": [{"feature": "f"}]}  # fmt: skip


def shop(limit: dict[str, Any], *plans: dict[str, Any], profile: str = "calls.n") -> Shelf:
    """An account that is on the first plan since 2018, and on each further one since so many days ago."""
    shelf = Shelf()
    shelf.add("meter", METER)
    shelf.add("feature", {"code": "f", "profile": profile, "limits": [limit]})
    shelf.add("product", {"code": "call", "profile": profile})
    for body in plans:
        shelf.add("plan", body)
    shelf.add("account", {"code": "acme"})
    for number, body in enumerate(plans):
        terms = {"code": "s", "account": "acme", "plan": body["code"], "start": "2018-01-01T00:00:00Z"}
        if number:
            terms["change_at"] = f"2026-03-{10 - number:02}T05:00:00Z"
        shelf.add("subscription", terms)
    return shelf


def question_of(shelf: Shelf, profile: str = "calls.n") -> LimitQuestion:
    view = shelf.view()
    (grant,) = granted_to(view, "acme", NOW).grants["f"]
    (question,) = questions_of(ChargeBook(view), resolve(view, profile), grant, "UTC", NOW)
    return question


def use_of(question: LimitQuestion, used: str, more: str | None = None) -> LimitUse:
    totals = {need: {"acme": [UsageGroup(Usage(Decimal(used), 1), "acme")]} for need in question.needs}
    return use_in_money(question, totals, "acme", "USD", NOW, None if more is None else Decimal(more))


@given(
    st.sampled_from(PRICES), st.sampled_from(RESETS), st.sampled_from(RESETS),
    st.decimals(0, 10_000, places=3).map(str), st.decimals(0, 100, places=3).map(str),
)  # fmt: skip
def test_a_calendar_window_costs_what_a_billing_period_of_that_window_does(
    price: dict[str, Any], reset: str, interval: str, used: str, more: str
) -> None:
    window = question_of(shop({"amount": "40", "reset": reset}, plan("p", price, interval)))
    period = question_of(shop({"amount": "40", "reset": "billing_period"}, plan("p", price, reset)))
    assert (window.interval.start_us, window.interval.end_us) == (period.interval.start_us, period.interval.end_us)
    assert window.needs == period.needs
    of_window, of_period = use_of(window, used, more), use_of(period, used, more)
    assert (of_window.used, of_window.within) == (of_period.used, of_period.within)
    (item,) = window.items
    assert of_window.used == rate(item.price, Decimal(used), currency="USD").amount


def test_a_window_is_priced_by_the_terms_of_now_also_where_the_plan_changed_within_it() -> None:
    before, after = plan("before", PRICES[0], "month"), plan("after", PRICES[2], "month")
    changed = question_of(shop({"amount": "40", "reset": "month"}, before, after))
    unchanged = question_of(shop({"amount": "40", "reset": "month"}, after))
    assert changed.needs == unchanged.needs
    assert use_of(changed, "20").used == use_of(unchanged, "20").used == Decimal("10.5")


def test_a_rolling_window_is_priced_from_steps_that_are_held_and_a_matrix_is_measured() -> None:
    rolling = question_of(shop({"amount": "40", "rolling": "5 hours"}, plan("p", PRICES[2], "month")))
    (need,) = rolling.needs
    assert rolling.asked == (RollingNeed(need.profile, 5 * 3600 * SECOND, 300 * SECOND),)
    assert (need.start_us, need.end_us) == (us("2026-03-10T07:30:00Z"), us("2026-03-10T12:35:00Z"))
    assert use_of(rolling, "20").used == Decimal("10.5")
    matrix = {"model": "matrix", "dimensions": ["k"], "cells": [{"values": ["x"], "unit_amount": "1"}]}
    by_dimension = question_of(shop({"amount": "40", "rolling": "5 hours"}, plan("p", matrix, "month")))
    assert [type(asked) for asked in by_dimension.asked] == [Need]


@pytest.mark.parametrize(("reset", "step_us", "window_us"), [("minute", SECOND, 60), ("hour", 60 * SECOND, 3600)])
def test_what_is_held_of_a_minute_or_an_hour_goes_on_to_the_next(reset: str, step_us: int, window_us: int) -> None:
    for limit in ({"amount": "40"}, {"quantity": "40"}):
        question = question_of(shop(limit | {"reset": reset}, plan("p", PRICES[0], "month")))
        (asked,) = question.asked
        assert isinstance(asked, RollingNeed)
        assert (asked.step_us, asked.window_us, asked.resets) == (step_us, window_us * SECOND, True)
        assert asked.window(NOW) == (question.interval.start_us, question.interval.end_us)
    latest = question_of(
        shop({"quantity": "4", "reset": reset}, plan("p", PRICES[0], "month"), profile="calls.last"), "calls.last"
    )
    assert isinstance(latest.asked[0], Need)


def test_all_that_was_ever_used_has_a_cost_too() -> None:
    assert use_of(question_of(shop({"amount": "40"}, plan("p", PRICES[2], "month"))), "20").used == Decimal("10.5")


@pytest.mark.parametrize("granted", [{"quantity": "9"}, {"amount": "9"}])
@pytest.mark.parametrize("reset", ["minute", "hour", *RESETS, "billing_period"])
def test_what_a_turn_asks_for_is_known_shortly_before(reset: str, granted: dict[str, str]) -> None:
    view = shop(granted | {"reset": reset}, plan("p", PRICES[0], "month")).view()
    zone, turns = "America/New_York", Turns()

    def at(now_us: int) -> tuple[LimitQuestion, ...]:
        (grant,) = granted_to(view, "acme", now_us).grants["f"]
        return questions_of(ChargeBook(view), resolve(view, "calls.n"), grant, zone, now_us)

    def soon(now_us: int) -> list[Any]:
        account = replace(granted_to(view, "acme", now_us), time_zone=zone)
        (grant,) = account.grants["f"]
        return list(CheckCharges(view, turns).soon(account, grant, at(now_us), now_us))

    turn_us = at(NOW)[0].interval.resets_us
    assert turn_us is not None
    assert not soon(turn_us - SOON_US - 1)
    expected = list(at(turn_us)[0].asked) if reset not in ("minute", "hour") else []
    assert soon(turn_us - SOON_US) == expected
    assert soon(turn_us - 1) == [], "once for each turn"


def test_an_hour_that_is_no_hour_of_utc_is_asked_for_before_its_turn_too() -> None:
    view = shop({"quantity": "9", "reset": "hour"}, plan("p", PRICES[0], "month")).view()
    account = replace(granted_to(view, "acme", NOW), time_zone="Asia/Kathmandu")
    (grant,) = account.grants["f"]
    charges, now_us = CheckCharges(view, Turns()), us("2026-03-10T12:14:30Z")
    limits = charges.limits(grant, account.time_zone, now_us)
    (need,) = charges.soon(account, grant, [limit for limit in limits if not isinstance(limit, str)], now_us)
    assert isinstance(need, Need)
    assert (need.start_us, need.end_us) == (us("2026-03-10T12:15:00Z"), us("2026-03-10T13:15:00Z"))
