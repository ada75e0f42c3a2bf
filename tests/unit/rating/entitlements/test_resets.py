"""What every limit of a feature says is used, held as it is held, is what the events of its own time add up to."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rating.entitlements.decision import LimitUse, use_in_money, use_in_quantity
from rating.entitlements.granted import granted_to
from rating.entitlements.held_usage import NO_ADVANCE, HeldUsage
from rating.entitlements.questions import LimitQuestion, questions_of
from rating.invoicing.charges import ChargeBook
from rating.usage import no_usage
from schemas.catalog.profiles import resolve
from schemas.values.instants import SECOND, instant, micros
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.entitlements.log import LOG, Event, Log

RESETS = ("minute", "hour", "day", "week", "month", "quarter", "year", "billing_period")
ROLLING = {"5 hours": timedelta(hours=5), "30 days": timedelta(days=30)}
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kathmandu", "UTC")
TURNS = [
    "2026-03-08T06:59:59.999999Z", "2026-03-08T07:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z",  # New York
    "2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z",  # Berlin
    "2026-03-31T22:00:00Z", "2026-12-31T23:59:59.999999Z", "2026-12-31T18:15:00Z", "2026-10-15T04:00:00Z",
]  # fmt: skip
"""Instants at which clocks change, and at which calendars turn."""
LIMITS: list[dict[str, Any]] = [
    {of: "40", "hard": hard} | when
    for of, hard in (("quantity", True), ("amount", False))
    for when in (*({"reset": reset} for reset in RESETS), *({"rolling": rolling} for rolling in ROLLING))
]
FEATURES = {"quantity": LIMITS[: len(LIMITS) // 2], "money": LIMITS[len(LIMITS) // 2 :]}
"""All of a feature's at once."""


def shop(zone: str) -> Shelf:
    shelf = Shelf()
    shelf.add("meter", {"code": "calls", "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]}]})
    for code, limits in FEATURES.items():
        shelf.add("feature", {"code": code, "profile": "calls.n", "limits": limits})
    shelf.add("product", {"code": "call", "profile": "calls.n"})
    features = [{"feature": code} for code in FEATURES]
    charge = {"product": "call", "price": {"model": "per_unit", "unit_amount": "0.5"}}
    shelf.add("plan", {"code": "p", "currency": "USD", "charges": [charge], "features": features})
    shelf.add("account", {"code": "acme", "time_zone": zone})
    terms = {"account": "acme", "plan": "p", "start": "2020-01-15", "billing_anchor": "2020-01-15"}
    shelf.add("subscription", terms | {"code": "s"})
    return shelf


VIEWS = {zone: shop(zone).view() for zone in ZONES}


def uses_of(zone: str, log: Log, now_us: int) -> dict[int, tuple[LimitQuestion, LimitUse]]:
    """By place in LIMITS, each limit with its use, measured once and told from what is held."""
    view = VIEWS[zone]
    grants = granted_to(view, "acme", now_us).grants
    book, versions = ChargeBook(view), resolve(view, "calls.n")
    questions = [
        question
        for code in FEATURES
        for grant in grants[code]
        for question in questions_of(book, versions, grant, zone, now_us)
    ]
    held, as_of = HeldUsage(), log.end(now_us)
    keys = {("acme", asked) for question in questions for asked in question.asked}
    held.take(held.ahead(NO_ADVANCE, {key: log.whole(key, as_of.offsets[LOG], now_us) for key in keys}, as_of))
    uses: dict[int, tuple[LimitQuestion, LimitUse]] = {}
    for place, question in enumerate(questions):
        (asked,) = question.asked
        groups = held.usage("acme", asked, now_us)
        assert groups is not None
        if question.items:
            totals = {question.needs[0]: {"acme": list(groups)}}
            uses[place] = question, use_in_money(question, totals, "acme", "USD", now_us, None)
        else:
            usage = groups[0].usage if groups else no_usage("sum")
            uses[place] = question, use_in_quantity(question, usage, None)
    return uses


def edges_of(reset: str, day: date) -> list[date]:
    """The days with which the calendar interval that has a day begins, and the one after it."""
    months = {"month": 1, "quarter": 3, "year": 12, "billing_period": 1}
    if reset in months:
        first = (day.year * 12 + day.month - 1) // months[reset] * months[reset]
        if reset == "billing_period" and day.day < 15:
            first -= 1
        of_month = 15 if reset == "billing_period" else 1
        each = [first + months[reset] * step for step in (0, 1)]
        return [date(month // 12, month % 12 + 1, of_month) for month in each]
    days = 7 if reset == "week" else 1
    first_day = day - timedelta(days=day.weekday() if reset == "week" else 0)
    return [first_day, first_day + timedelta(days=days)]


def interval(limit: dict[str, Any], zone: str, now_us: int) -> tuple[int, int, int | None]:
    """[start, end) and the restart, by a calendar of the standard library."""
    now = instant(now_us)
    if "rolling" in limit:
        step = ROLLING[limit["rolling"]] // 60
        begun = datetime(1970, 1, 1, tzinfo=UTC) + (now - datetime(1970, 1, 1, tzinfo=UTC)) // step * step
        return micros(begun - ROLLING[limit["rolling"]]), micros(begun + step), None
    local = now.astimezone(ZoneInfo(zone))
    if limit["reset"] in ("minute", "hour"):
        into = timedelta(seconds=local.second, microseconds=local.microsecond)
        length = timedelta(minutes=1)
        if limit["reset"] == "hour":
            into, length = into + timedelta(minutes=local.minute), timedelta(hours=1)
        return micros(now - into), micros(now - into + length), micros(now - into + length)
    start_us, end_us = (
        micros(datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC))
        for day in edges_of(limit["reset"], local.date())
    )
    return start_us, end_us, end_us


moments = st.integers(us("2026-01-01T00:00:00Z"), us("2027-02-01T00:00:00Z")) | st.sampled_from(TURNS).map(us)
places = st.tuples(st.integers(0, 2 * len(LIMITS) - 1), st.integers(-2, 1), st.integers(1, 99))
ago = st.tuples(st.integers(0, 40 * 24 * 3600 * SECOND), st.integers(1, 99))


@given(st.sampled_from(ZONES), moments, st.lists(places, max_size=12), st.lists(ago, max_size=12))
def test_each_of_several_limits_counts_the_events_of_its_own_time(
    zone: str, now_us: int, edges: list[tuple[int, int, int]], spread: list[tuple[int, int]]
) -> None:
    """Events lie anywhere before the instant, and about where a limit's time begins and ends."""
    intervals = [interval(limit, zone, now_us) for limit in LIMITS]
    events = [(now_us - before, quantity) for before, quantity in spread]
    events += [(intervals[place // 2][place % 2] + beside, quantity) for place, beside, quantity in edges]
    log = Log([Event("calls.n", "acme", at_us, Decimal(quantity)) for at_us, quantity in events])
    uses = uses_of(zone, log, now_us)
    assert len(uses) == len(LIMITS)
    for place, limit in enumerate(LIMITS):
        (question, use), (start_us, end_us, resets_us) = uses[place], intervals[place]
        assert (question.interval.start_us, question.interval.end_us) == (start_us, end_us), (limit, zone)
        assert question.interval.resets_us == resets_us, (limit, zone)
        inside = sum(quantity for at_us, quantity in events if start_us <= at_us < end_us)
        used = Decimal(inside) * Decimal("0.5" if "amount" in limit else 1)
        assert (use.used or 0) == used, (limit, zone)
        assert (use.remaining, use.overage) == (max(40 - used, 0), max(used - 40, 0))
        assert use.within == (used < 40)
        assert use.refuses == (limit["hard"] and used >= 40)


def test_the_times_of_a_limit_follow_one_another() -> None:
    """The calendar of this test, too."""
    for limit in LIMITS[: len(RESETS)]:
        for zone in ZONES:
            at_us = us("2026-03-01T00:00:00Z")
            each = []
            for _ in range(3):
                each.append(interval(limit, zone, at_us))
                at_us = each[-1][1]
            assert all(before[1] == after[0] for before, after in pairwise(each)), (limit, zone)
