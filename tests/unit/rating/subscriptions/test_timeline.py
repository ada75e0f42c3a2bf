"""Plan changes, retirements and trials: what a subscription's versions say about when which terms hold."""

from __future__ import annotations

from typing import Any

import pytest

from rating.subscriptions.billing_periods import spans
from rating.subscriptions.timeline import PlanningError, Timeline, timeline
from schemas.catalog.profiles import FOREVER
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import FEE, PLAN, SUBSCRIPTION, Shelf, shelf, us


def line_of(expected: Shelf) -> Timeline:
    line = timeline(expected.view(), "acme-basic")
    assert line is not None
    return line


def held(expected: Shelf) -> list[tuple[str, str, int, str]]:
    """(from, to, plan version, plan) of each segment."""
    return [
        (
            rfc3339(segment.start_us)[:10],
            "" if segment.end_us == FOREVER else rfc3339(segment.end_us)[:10],
            segment.plan_version,
            segment.plan.code,
        )
        for segment in line_of(expected).segments
    ]


def upgraded(published: str = "2013-02-10T00:00:00Z", **changes: Any) -> Shelf:
    result = shelf()
    result.add("plan", PLAN | {"code": "pro"})
    result.add("subscription", SUBSCRIPTION | {"plan": "pro"} | changes, published=published)
    return result


def test_another_plan_holds_from_its_change_at_else_from_its_publication() -> None:
    assert held(upgraded()) == [("2013-01-01", "2013-02-10", 1, "basic"), ("2013-02-10", "", 1, "pro")]
    assert held(upgraded(change_at="2013-02-15")) == [
        ("2013-01-01", "2013-02-15", 1, "basic"),
        ("2013-02-15", "", 1, "pro"),
    ]
    assert held(upgraded(change_at="2013-01-01")) == [("2013-01-01", "", 1, "pro")]


def test_a_later_version_that_says_the_same_changes_no_plan_and_may_move_the_instant() -> None:
    result = upgraded(change_at="2013-02-15")
    result.add(
        "subscription", SUBSCRIPTION | {"plan": "pro", "end": "2013-05-01T04:00:00Z"}, published="2013-03-01T00:00:00Z"
    )
    assert held(result) == [("2013-01-01", "2013-02-15", 1, "basic"), ("2013-02-15", "2013-05-01", 1, "pro")]
    result.add("subscription", SUBSCRIPTION | {"plan": "pro", "change_at": "2013-02-20"})
    assert held(result) == [("2013-01-01", "2013-02-20", 1, "basic"), ("2013-02-20", "", 1, "pro")]
    late = SUBSCRIPTION | {"plan": "pro", "change_at": "2013-04-01"}
    result.add("subscription", late, published="2013-03-01T00:00:00Z")  # it holds already: not put off
    assert held(result) == [("2013-01-01", "2013-02-20", 1, "basic"), ("2013-02-20", "", 1, "pro")]


def test_a_change_that_was_planned_is_taken_back_by_a_version_before_it() -> None:
    result = upgraded(change_at="2013-06-01")
    result.add("subscription", SUBSCRIPTION, published="2013-03-01T00:00:00Z")
    assert {(version, plan) for _, _, version, plan in held(result)} == {(1, "basic")}


def test_a_new_version_of_the_plan_is_a_change_only_where_the_subscription_names_it() -> None:
    result = shelf()
    result.add("plan", PLAN | {"name": "dearer"})
    assert held(result) == [("2013-01-01", "", 1, "basic")]
    result.add("subscription", SUBSCRIPTION | {"plan_version": 2}, published="2013-04-01T04:00:00Z")
    assert held(result) == [("2013-01-01", "2013-04-01", 1, "basic"), ("2013-04-01", "", 2, "basic")]


def test_retired_and_published_again_it_starts_anew_and_nothing_between_is_billed() -> None:
    result = shelf()
    result.add("subscription", SUBSCRIPTION, retired=True, published="2013-02-10T00:00:00Z")
    result.add("subscription", SUBSCRIPTION | {"start": "2013-02-20"}, published="2013-02-20T00:00:00Z")
    assert held(result) == [("2013-01-01", "2013-02-10", 1, "basic"), ("2013-02-20", "", 1, "basic")]
    february = list(zip(spans(line_of(result), None), range(2), strict=False))[1][0]
    assert [(rfc3339(part.start_us)[:10], rfc3339(part.end_us)[:10]) for part in february.parts] == [
        ("2013-02-01", "2013-02-10"),
        ("2013-02-20", "2013-03-01"),
    ]


def test_what_never_was_in_force_has_no_timeline() -> None:
    result = shelf()
    result.add("subscription", SUBSCRIPTION, retired=True, published="2012-12-01T00:00:00Z")
    assert timeline(result.view(), "acme-basic") is None
    assert timeline(result.view(), "nobody") is None


def test_a_plan_in_another_currency_is_refused() -> None:
    result = shelf()
    result.add("plan", PLAN | {"code": "euro", "currency": "EUR"})
    result.add("subscription", SUBSCRIPTION | {"plan": "euro"}, published="2013-02-10T00:00:00Z")
    with pytest.raises(PlanningError, match="plan basic is in USD, plan euro in EUR; end it, and start another"):
        timeline(result.view(), "acme-basic")


@pytest.mark.parametrize(
    ("fields", "plan", "expected"),
    [
        ({"trial_end": "2013-01-15"}, {}, "2013-01-15T05:00:00Z"),
        ({"trial_end": "2013-01-15T12:00:00Z"}, {"trial_days": 90}, "2013-01-15T12:00:00Z"),
        ({}, {"trial_days": 14}, "2013-01-15T05:00:00Z"),
        ({}, {"trial_days": 80}, "2013-03-22T04:00:00Z"),  # the same local midnight, after the shift
        ({"start": "2013-02-10T17:30:00Z"}, {"trial_days": 30}, "2013-03-12T16:30:00Z"),  # 12:30 local, both days
    ],
)
def test_trials_end_at_an_instant_or_after_local_days(fields: Any, plan: Any, expected: str) -> None:
    item = Shelf()
    item.add("product", FEE)
    item.add("plan", PLAN | plan)
    item.add("account", {"code": "acme", "time_zone": "America/New_York"})
    item.add("subscription", SUBSCRIPTION | fields)
    line = line_of(item)
    assert line.trials == ((line.start_us, us(expected)),)


def test_a_trial_counts_from_the_start_on_the_plan_of_the_start() -> None:
    result = shelf()
    result.add("plan", PLAN | {"code": "pro", "trial_days": 30})
    result.add("subscription", SUBSCRIPTION | {"plan": "pro"}, published="2013-02-10T00:00:00Z")
    assert line_of(result).trials == ()
