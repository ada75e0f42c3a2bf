"""Which features an account has at an instant, the time over which each limit counts, and what is decided."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.api.entitlements.check_charges import Turns
from rating.api.entitlements.checks import FeatureCheck, answered
from rating.entitlements.decision import EntitlementDecision, decide, decision_of, use_in_money, use_in_quantity
from rating.entitlements.granted import Grant, billed_ends_matter, granted_to
from rating.entitlements.limit_intervals import interval_of
from rating.entitlements.questions import LimitQuestion, questions_of
from rating.invoicing.charges import ChargeBook
from rating.usage import Usage, UsageGroup, measured
from schemas.catalog.entitlements.features import FeatureLimit
from schemas.catalog.profiles import resolve
from schemas.values.instants import SECOND, instant
from schemas.values.local_time import parse_zone
from tests.unit.rating.builders import Shelf, us

NOW = us("2026-03-10T12:00:00Z")
METER = {"code": "calls", "unit": "call", "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]}]}
TIERED = {"model": "tiered", "tiers": [{"up_to": "10", "unit_amount": "0"}, {"up_to": None, "unit_amount": "2"}]}


def shop(*features: dict[str, Any], plan: list[dict[str, Any]], own: list[dict[str, Any]] | None = None) -> Shelf:
    shelf = Shelf()
    shelf.add("meter", METER)
    for feature in features:
        shelf.add("feature", feature)
    shelf.add("product", {"code": "call", "profile": "calls.n"})
    charges = [{"product": "call", "price": TIERED}]
    shelf.add("plan", {"code": "basic", "currency": "USD", "charges": charges, "features": plan})
    shelf.add("account", {"code": "acme", "time_zone": "America/New_York"})
    shelf.add(
        "subscription",
        {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T05:00:00Z", "features": own or []},
    )
    return shelf


def grant_of(shelf: Shelf, feature: str, at: str = "2026-03-10T12:00:00Z") -> Grant:
    (grant,) = granted_to(shelf.view(), "acme", us(at)).grants[feature]
    return grant


def decided(shelf: Shelf, used: str, quantity: str | None = None, due: str | None = None) -> EntitlementDecision:
    """The decision on feature f with so much used of every limit; ``due``: what is to be paid."""
    grant = grant_of(shelf, "f")
    view = shelf.view()
    uses = []
    asked = None if quantity is None else Decimal(quantity)
    for question in questions_of(ChargeBook(view), resolve(view, "calls.n"), grant, "America/New_York", NOW):
        if question.items:
            totals = {
                item.need: {"acme": [UsageGroup(Usage(Decimal(used), 1))]}
                for item in question.items
                if item.need is not None
            }
            uses.append(use_in_money(question, totals, "acme", "USD", NOW, asked))
        else:
            uses.append(use_in_quantity(question, Usage(Decimal(used), 1), asked))
    return decision_of(grant, uses, asked, due)


@pytest.mark.parametrize("of", [{"quantity": "10"}, {"amount": "4"}])
def test_use_beyond_a_limit_that_blocks_is_allowed_once_all_is_paid(of: dict[str, Any]) -> None:
    paying = {"hard": False, "block": True, "reset": "month"} | of
    shelf = shop({"code": "f", "profile": "calls.n", "limits": [paying]}, plan=[{"feature": "f"}])
    assert grant_of(shelf, "f").asks_for_payment
    for used, quantity, due, reason in (
        ("9", None, "invoice i is not paid", None), ("90", None, "invoice i is not paid", "unpaid"),
        ("9", "90", "invoice i is not paid", "unpaid"), ("90", "1", None, None),
    ):  # fmt: skip
        decision = decided(shelf, used, quantity, due)
        assert (decision.allowed, decision.reason) == (reason is None, reason)
        assert reason is None or decision.detail.endswith("; invoice i is not paid")


def test_a_subscription_replaces_what_its_plan_says_of_a_feature_and_takes_it_away() -> None:
    shelf = shop(
        {"code": "a"}, {"code": "b", "value": 1}, {"code": "c", "value": "x"},
        plan=[{"feature": "a"}, {"feature": "b"}, {"feature": "c"}],
        own=[{"feature": "a", "granted": False}, {"feature": "b", "value": 2}],
    )  # fmt: skip
    granted = granted_to(shelf.view(), "acme", NOW)
    assert {code: grants[0].value for code, grants in granted.grants.items()} == {"b": 2, "c": "x"}
    assert granted_to(shelf.view(), "other", NOW).grants == {}


def test_terms_hold_from_their_instant_on_and_until_says_when_to_look_again() -> None:
    shelf = shop({"code": "a"}, {"code": "b"}, plan=[{"feature": "a"}])
    fields = {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T05:00:00Z"}
    shelf.add(
        "subscription",
        fields | {"features": [{"feature": "b"}], "change_at": "2026-03-20T00:00:00Z", "end": "2026-03-25T00:00:00Z"},
    )
    view = shelf.view()
    before = granted_to(view, "acme", NOW)
    assert (list(before.grants), before.until_us) == (["a"], us("2026-03-20T00:00:00Z"))
    after = granted_to(view, "acme", before.until_us)
    assert (list(after.grants), after.until_us) == (["a", "b"], us("2026-03-25T00:00:00Z"))
    assert list(granted_to(view, "acme", after.until_us).grants) == []
    assert granted_to(view, "acme", us("2026-01-01T00:00:00Z")).until_us == us("2026-01-01T05:00:00Z")


def test_a_period_of_changed_terms_goes_on_from_what_is_billed() -> None:
    shelf = shop({"code": "a"}, plan=[{"feature": "a"}])
    own = {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T05:00:00Z"}
    shelf.add("subscription", own | {"discounts": []})
    assert not billed_ends_matter(shelf.view(), "acme")
    shelf.add("subscription", own | {"billing_anchor": "2026-01-15", "change_at": "2026-02-01T05:00:00Z"})
    view = shelf.view()
    assert billed_ends_matter(view, "acme")
    billed = us("2026-03-01T05:00:00Z")
    (grant,) = granted_to(view, "acme", NOW, {"s": billed}).grants["a"]
    assert (grant.span.start_us, grant.span.end_us) == (billed, us("2026-03-15T04:00:00Z"))


def test_a_feature_of_a_newer_release_is_a_problem_of_its_own() -> None:
    shelf = shop({"code": "a"}, {"code": "b"}, plan=[{"feature": "a"}, {"feature": "b"}])
    shelf.add("feature", {"code": "b", "of_tomorrow": 1})
    granted = granted_to(shelf.view(), "acme", NOW)
    assert list(granted.grants) == ["a"]
    assert granted.problems[0].startswith("feature b: this release cannot read it")
    checks = [FeatureCheck("acme", "a"), FeatureCheck("acme", "b")]
    nobody: Any = None
    keeper: Any = SimpleNamespace(turns=Turns())  # neither is metered, so it is not asked for usage
    result = asyncio.run(answered(keeper, nobody, shelf.view(), checks, {"acme": granted}, NOW))
    assert [decision.reason for decision in result.decisions] == [None, "undecided"]


def test_a_subscription_that_cannot_be_planned_says_so_and_holds_nobody_else_back() -> None:
    shelf = shop({"code": "a"}, plan=[{"feature": "a"}])
    shelf.add("subscription", {"code": "bad", "account": "acme", "plan": "gone", "start": "2026-01-01T00:00:00Z"})
    granted = granted_to(shelf.view(), "acme", NOW)
    assert list(granted.grants) == ["a"]
    assert "plan gone version (any) does not exist" in granted.problems[0]


@pytest.mark.parametrize(
    ("limit", "at", "start", "end"),
    [
        ({"reset": "billing_period"}, "2026-03-10T12:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
        # The clocks go forward at 07:00 UTC: a day of 23 hours.
        ({"reset": "day"}, "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        ({"reset": "hour"}, "2026-03-08T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"),
        ({"reset": "week"}, "2026-03-10T12:00:00Z", "2026-03-09T04:00:00Z", "2026-03-16T04:00:00Z"),
        ({"reset": "minute"}, "2026-03-10T12:00:59Z", "2026-03-10T12:00:00Z", "2026-03-10T12:01:00Z"),
        ({"rolling": "5 hours"}, "2026-03-10T12:03:00Z", "2026-03-10T07:00:00Z", "2026-03-10T12:05:00Z"),
        ({}, "2026-03-10T12:00:00Z", "1970-01-01T00:00:00Z", "2200-01-01T00:00:00Z"),
    ],
)
def test_the_time_of_a_limit(limit: dict[str, str], at: str, start: str, end: str) -> None:
    grant = grant_of(shop({"code": "f", "profile": "calls.n"}, plan=[{"feature": "f"}]), "f", at)
    asked = FeatureLimit.model_validate({"quantity": "1", **limit})
    interval = interval_of(asked, grant.span, "America/New_York", us(at))
    assert (interval.start_us, interval.end_us) == (us(start), us(end))
    assert (interval.resets_us is None) == (limit.get("rolling") is not None or not limit)


SPAN = grant_of(shop({"code": "f", "profile": "calls.n"}, plan=[{"feature": "f"}]), "f").span


@given(
    st.sampled_from(["minute", "hour", "day", "week", "month", "quarter", "year"]),
    st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]),
    st.integers(us("2010-12-25T00:00:00Z"), us("2012-03-01T00:00:00Z")),
)
def test_calendars_tile_time_and_turn_at_local_boundaries(reset: str, zone: str, now_us: int) -> None:
    limit = FeatureLimit.model_validate({"quantity": "1", "reset": reset})
    interval = interval_of(limit, SPAN, zone, now_us)
    assert interval.start_us <= now_us < interval.end_us
    assert interval_of(limit, SPAN, zone, interval.start_us) == interval
    assert interval_of(limit, SPAN, zone, interval.end_us - 1) == interval
    following = interval_of(limit, SPAN, zone, interval.end_us)
    assert following.start_us == interval.end_us
    local = instant(interval.start_us).astimezone(parse_zone(zone))
    if reset not in ("minute", "hour"):
        earlier = (instant(interval.start_us) - timedelta(microseconds=1)).astimezone(parse_zone(zone))
        assert earlier.date() < local.date()


@given(st.sampled_from(["1 minute", "90 minutes", "5 hours", "30 days", "8783 hours"]), st.integers(10**15, 2 * 10**15))
def test_a_rolling_window_reaches_back_at_least_as_far_as_it_says(window: str, now_us: int) -> None:
    limit = FeatureLimit.model_validate({"quantity": "1", "rolling": window})
    interval = interval_of(limit, SPAN, "UTC", now_us)
    seconds = {"1 minute": 60, "90 minutes": 5400, "5 hours": 18_000, "30 days": 2_592_000, "8783 hours": 31_618_800}[
        window
    ]
    assert interval.start_us <= now_us - seconds * SECOND
    assert now_us - seconds * SECOND - interval.start_us <= seconds * SECOND // 60
    assert interval.start_us <= now_us < interval.end_us


LIMITS = [{"quantity": "20", "reset": "month"}, {"quantity": "15", "reset": "day", "hard": False}]


@pytest.mark.parametrize(
    ("used", "quantity", "allowed", "decisive", "remaining", "overage"),
    [
        ("0", None, True, "20", "20", "0"),
        ("16", None, True, "20", "4", "0"),  # the soft limit is passed
        ("20", None, False, "20", "0", "0"),  # nothing is left
        ("20", "0", True, "20", "0", "0"),
        ("18", "2", True, "20", "2", "0"),
        ("18", "2.1", False, "20", "2", "0"),
        ("25", "0", False, "20", "0", "5"),
    ],
)
def test_hard_limits_bound_and_soft_ones_tell(
    used: str, quantity: str | None, allowed: bool, decisive: str, remaining: str, overage: str
) -> None:
    shelf = shop({"code": "f", "profile": "calls.n", "limits": LIMITS}, plan=[{"feature": "f"}])
    decision = decided(shelf, used, quantity)
    assert decision.allowed is allowed
    assert (decision.reason is None) is allowed
    assert decision.decisive is not None
    shown = (decision.decisive.granted, decision.decisive.remaining, decision.decisive.overage)
    assert shown == (Decimal(decisive), Decimal(remaining), Decimal(overage))


def test_a_limit_in_money_is_what_the_charges_come_to() -> None:
    limits = [{"amount": "5", "reset": "billing_period"}]
    shelf = shop({"code": "f", "profile": "calls.n"}, plan=[{"feature": "f", "limits": limits}])
    within = decided(shelf, "12")  # 10 are free, each further one costs 2
    assert within.allowed
    assert within.decisive is not None
    assert (within.decisive.used, within.decisive.unit) == (Decimal(4), "USD")
    assert decided(shelf, "12", "0.5").allowed
    beyond = decided(shelf, "12", "1")
    assert not beyond.allowed
    assert beyond.detail == (
        "4 of 5 USD is used in the billing period, and 1 more is asked for; it restarts at 2026-04-01T04:00:00Z"
    )


def test_a_metered_feature_without_limits_tells_what_is_used() -> None:
    decision = decided(shop({"code": "f", "profile": "calls.n"}, plan=[{"feature": "f"}]), "7", "1000")
    assert decision.allowed
    assert decision.decisive is not None
    assert (decision.decisive.granted, decision.decisive.used, decision.decisive.remaining) == (None, Decimal(7), None)


def test_of_several_grants_one_that_allows_suffices() -> None:
    refused = EntitlementDecision(False, "limit_reached", "first")
    assert decide([refused, EntitlementDecision(True)]).allowed
    assert decide([refused, EntitlementDecision(False, "limit_reached", "second")]).detail == "first"
    assert decide([]).reason == "not_granted"


def test_a_maximum_counts_what_it_would_be() -> None:
    limit = FeatureLimit.model_validate({"quantity": "5"})
    question = LimitQuestion(limit, interval_of(limit, SPAN, "UTC", NOW), measured_as("max"), ())
    assert use_in_quantity(question, Usage(Decimal(5), 1), Decimal(5)).within
    assert not use_in_quantity(question, Usage(Decimal(5), 1), Decimal(6)).within
    assert not use_in_quantity(question, Usage(Decimal(5), 1), None).within
    assert use_in_quantity(question, Usage(None, 0), Decimal(5)).within


def measured_as(aggregation: Any) -> Any:
    shelf = Shelf()
    profile = {"code": "n", "aggregation": aggregation, "property": ["n"]}
    shelf.add("meter", {"code": "m", "profiles": [profile]})
    return measured(resolve(shelf.view(), "m.n"), 0, 1)
