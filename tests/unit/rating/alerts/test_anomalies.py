"""Days that are odd by the weeks before: by hand, over all histories, and once each however often they are judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.alerts import looks
from rating.alerts.anomalies import sweep
from rating.alerts.anomalies.days import SETTLED_US, LocalDays
from rating.alerts.anomalies.next_anomalies import JudgedAccount, next_anomalies
from rating.alerts.anomalies.sweep import AnomalySweep
from rating.alerts.anomalies.verdict import HISTORY_DAYS, NO_EVENTS, READ_DAYS, DayUsage, judge
from rating.alerts.basis import Basis
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.crossings import AsOf
from rating.alerts.watched import ActiveRule
from rating.periods import local_midnight
from schemas.catalog.alerts import AlertRule
from schemas.ledgers.alert_record import DAY_US, Alert, ValidAlerts
from schemas.values.instants import micros
from tests.unit.rating.alerts.builders import NO_CLIENT
from tests.unit.rating.builders import Shelf

RULE = ActiveRule(AlertRule.model_validate({"code": "odd", "measure": "anomaly", "profile": "calls.n"}), 1)


def day(quantity: int, events: int | None = None) -> DayUsage:
    return DayUsage(Decimal(quantity), quantity if events is None else events)


def weeks(*totals: int, number: int = 9) -> list[DayUsage]:
    """``number`` weeks of these daily totals, each total of as many events."""
    return [day(total) for total in totals] * number


WORKING = (100, 110, 120, 110, 100, 0, 0)
"""Monday to Sunday."""


@pytest.mark.parametrize(
    ("history", "today", "kind"),
    [
        (weeks(*WORKING), day(300), "spike"),
        (weeks(*WORKING), day(120), None),
        (weeks(*WORKING), day(20), "drop"),
        (weeks(*WORKING), NO_EVENTS, "silence"),
        (weeks(*WORKING)[:-2], NO_EVENTS, None),  # a Saturday is silent anyway
        (weeks(*WORKING)[:-2], day(110), "spike"),  # and busy as a weekday never
        (weeks(*WORKING)[:-2], day(3), None),
        (weeks(*WORKING, number=4), day(300), "spike"),
        (weeks(*WORKING, number=3), day(300), None),  # three Mondays tell nothing
        ([NO_EVENTS] * 40 + weeks(*WORKING, number=3), day(300), None),  # nor do days before it was a customer
        (weeks(1, 1, 1, 1, 1, 1, 1), NO_EVENTS, "silence"),  # one a day, but every day
        (weeks(1, 1, 1, 0, 1, 1, 1), NO_EVENTS, None),
        (weeks(1, 1, 1, 1, 1, 1, 1), day(2), None),
        (weeks(50, 50, 50, 50, 50, 50, 50), day(0, 50), "drop"),  # events, but nothing in them
        ([], day(9), None),
    ],
)
def test_days_by_hand(history: list[DayUsage], today: DayUsage, kind: str | None) -> None:
    verdict = judge(history, today)
    assert (verdict.kind if verdict else None) == kind


def test_a_day_that_goes_on_is_only_ever_a_spike() -> None:
    history = weeks(*WORKING)
    for today, kind in ((day(300), "spike"), (day(20), None), (NO_EVENTS, None)):
        verdict = judge(history, today, ended=False)
        assert verdict is not None
        assert verdict.kind == kind


def test_a_silence_of_many_days_is_one_anomaly() -> None:
    history, kinds = weeks(*WORKING), []
    for _ in range(9):
        verdict = judge(history, NO_EVENTS)
        kinds.append(verdict.kind if verdict else None)
        history = [*history, NO_EVENTS]
    assert kinds == ["silence", *[None] * 8]


totals = st.lists(st.integers(0, 50), min_size=0, max_size=READ_DAYS)


@given(totals, st.integers(0, 200), st.integers(2, 1000))
def test_the_verdict_is_one_of_its_own_range_and_of_any_unit(past: list[int], today: int, unit: int) -> None:
    history = [day(total) for total in past]
    verdict = judge(history, day(today))
    assert verdict == judge([NO_EVENTS, *history][-READ_DAYS:], day(today)) or len(past) >= HISTORY_DAYS
    scaled = judge(
        [DayUsage(each.quantity * unit, each.events) for each in history], DayUsage(Decimal(today * unit), today)
    )
    if verdict is None:
        assert scaled is None
        return
    assert scaled is not None
    assert (scaled.kind, scaled.expected) == (verdict.kind, verdict.expected * unit)
    assert verdict.low <= verdict.expected <= verdict.high
    assert (verdict.kind == "spike") == (today >= verdict.high)
    if verdict.kind == "drop":
        assert 0 < today <= verdict.low
    if verdict.kind == "silence":
        assert today == 0


# --- records

ZONE = ZoneInfo("America/New_York")
TODAY = date(2013, 7, 8)  # a Monday


def until_monday() -> list[DayUsage]:
    """As many days as are read, of which the last is the present one, a Monday."""
    return [*weeks(*WORKING, number=10), day(100)][-READ_DAYS - 4 :]


def noon_us(days: int = 0) -> int:
    return micros(local_midnight(TODAY + timedelta(days=days), ZONE)) + DAY_US // 2


def judged(usage: list[DayUsage], days: int = 0) -> JudgedAccount:
    return JudgedAccount("air", RULE, "calls.n", "acme", LocalDays.until(noon_us(days), ZONE), usage)


def as_of(now_us: int, offset: int = 1) -> AsOf:
    return AsOf(now_us, 0, 7, {(1, 0): offset})


def said(valid: ValidAlerts, account: JudgedAccount, now_us: int) -> list[tuple[str, str, int, str]]:
    """What is new by another look, however often it is repeated: (kind, state, episode, value)."""
    alerts = list(next_anomalies(account, as_of(now_us), valid.version))
    for _ in range(2):
        for alert in alerts:
            valid.apply(alert, now_us)
    assert not list(next_anomalies(account, as_of(now_us), valid.version))
    return [(alert.key.threshold, alert.state, alert.episode, alert.value) for alert in alerts]


def test_the_judged_days_are_local_ones_across_a_shift_of_the_zone() -> None:
    days = LocalDays.until(micros(local_midnight(date(2013, 3, 11), ZONE)), ZONE)
    assert len(days.starts) == READ_DAYS + 4
    lengths = [(end - start) // 3_600_000_000 for _, start, end in days.judged()]
    assert lengths == [24, 24, 23, 24], "Sunday, 10 March 2013, had 23 hours"


def test_an_anomaly_is_said_once_and_recovers_by_late_events() -> None:
    series, friday = until_monday(), -4
    valid, spiked = ValidAlerts(), [*series[:-1], day(400)]
    assert said(valid, judged(spiked), noon_us()) == [("spike", "fired", 1, "400")]
    silent = [*spiked]
    silent[friday] = NO_EVENTS
    assert said(valid, judged(silent), noon_us()) == [("silence", "fired", 1, "0")]
    silent[-1] = day(110)
    assert said(valid, judged(silent), noon_us()) == [("spike", "recovered", 1, "110")]
    assert said(valid, judged(spiked), noon_us()) == [("silence", "recovered", 1, "100"), ("spike", "fired", 2, "400")]


def test_a_day_is_found_silent_only_when_its_events_have_had_time_to_come() -> None:
    series = until_monday()
    account = judged(series)
    index, _, end_us = account.days.judged()[0]
    series[index] = NO_EVENTS
    for now_us, alerts in ((end_us + SETTLED_US - 1, 0), (end_us + SETTLED_US, 1)):
        assert len(list(next_anomalies(account, as_of(now_us), lambda _: 0))) == alerts


def test_the_record_says_why() -> None:
    series = until_monday()
    [alert] = next_anomalies(judged([*series[:-1], day(400)]), as_of(noon_us()), lambda _: 0)
    why = json.loads(alert.body)
    assert (why["expected"], why["events"], len(why["history"])) == ("100", 400, HISTORY_DAYS)
    assert why["history"][-7:] == ["100", "110", "120", "110", "100", "0", "0"]
    assert Decimal(why["low"]) < 100 < Decimal(why["high"]) <= 400
    assert (alert.limit, alert.direction, alert.measure) == (why["high"], "rising", "anomaly")
    bare = replace(alert, body="{}")
    assert bare.encode("x") != alert.encode("x")


# --- the sweep


class Bench:
    """A sweep over accounts a0, a1, … of the namespace air, whose history is ``series``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, accounts: int) -> None:
        self.shelf, self.valid, self.now = Shelf(), ValidAlerts(), 0.0
        self.series = until_monday()
        self.asked: list[list[str]] = []
        self.shelf.add("meter", METER)
        for number in range(accounts):
            self.shelf.add("account", {"code": f"a{number}", "time_zone": ZONE.key})
        self.changes = CatalogChanges()
        monkeypatch.setattr(sweep, "daily_totals", self.totals)
        monkeypatch.setattr(sweep, "rolled_up", lambda client: 0)
        for module in (sweep, looks):
            monkeypatch.setattr(module, "time", self)
        itself: Any = self  # in place of the log, and of who reads it
        self.sweep = AnomalySweep(NO_CLIENT, self.shelf.catalog, self.changes, itself, itself)
        self.checkpoints = self
        self.last: None = None

    def monotonic(self) -> float:
        return self.now

    def watch(self, code: str, **more: str) -> None:
        rule = {"code": code, "measure": "anomaly", "profile": "calls.n"} | more
        self.shelf.add("alert_rule", rule)
        self.changes.note(max(self.shelf.view().log(), key=lambda entry: entry.offset))

    def totals(self, client: Any, namespace: str, versions: Any, accounts: list[str], *_: Any) -> Any:
        self.asked.append(accounts)
        return {account: [*self.series[:-1], day(400)] for account in accounts}

    def read(self, namespace: str) -> Basis:
        return Basis(self.shelf.view(), as_of(noon_us()), 1000)

    def publish(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            assert self.valid.apply(alert, noon_us())


METER = {"code": "calls", "unit": "call", "event_name": "call", "profiles": [{"code": "n", "aggregation": "count"}]}


def test_accounts_are_judged_at_once_where_rules_change_and_then_every_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, 3)
    assert not bench.sweep.round()
    bench.watch("odd")
    assert bench.sweep.round(), "something was appended"
    assert not bench.sweep.round()
    assert (bench.asked, len(bench.valid)) == ([["a0", "a1", "a2"]], 3)
    bench.now = 3599.0
    assert not bench.sweep.round()
    bench.now = 3600.0
    assert not bench.sweep.round(), "it was said already"
    assert len(bench.asked) == 2
    bench.watch("mine", account="a1")
    assert bench.sweep.round()
    assert bench.asked[2:] == [["a0", "a1", "a2"], ["a1"]]
    assert len(bench.valid) == 4
