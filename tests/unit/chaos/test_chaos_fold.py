"""The fold that chaos runs are judged by, against totals worked out by hand, and the traffic that it is told of."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.alert_audit import Crossing, Place, crossings, wrong_alerts
from tests.chaos.audit import Verdict
from tests.chaos.fold import METRICS, fold
from tests.chaos.ledger import Ledger
from tests.chaos.report import Report, Struck, quantile
from tests.chaos.traffic import Identity, Sent, Writer

T = datetime(2026, 5, 4, 12, tzinfo=UTC)
BASES = {"recent": T, "history": T - timedelta(days=700)}


def call(key: str, value: str, *, second: int = 0, region: str = "eu", name: str = "call") -> Sent:
    return Sent(Identity("n", "", key), name, "a", T + timedelta(seconds=second), value, region)


def test_alerts_are_judged_by_what_was_acknowledged() -> None:
    now = T + timedelta(days=1)
    events = [call(f"k{number}", str(number % 7)) for number in range(6)]
    old = replace(call("old", "1"), timestamp=T - timedelta(days=700))
    day, year = (int(datetime(2026, *start, tzinfo=UTC).timestamp()) * 1_000_000 for start in ((5, 4), (1, 1)))
    places = [Place("n", "daily", "a", day, limit) for limit in (5, 20, 60)]
    places += [Place("n", "yearly", "a", year, limit) for limit in (10, 50, 200)]
    expected = crossings([*events, old], set(), now)
    assert expected == {place: Crossing(place is places[0], place is places[0], 0) for place in places}
    assert wrong_alerts(expected, {places[0]: 1}) == []
    lost, doubled, recovered, unknown = {}, {places[0]: 3}, {places[0]: 2}, {places[0]: 1, places[1]: 1}
    assert [len(wrong_alerts(expected, fired)) for fired in (lost, doubled, recovered, unknown)] == [1, 1, 1, 1]
    taken_back = crossings(events, {events[0].identity, events[1].identity}, now)
    assert taken_back[places[0]] == Crossing(False, True, 2)
    assert [wrong_alerts(taken_back, {places[0]: version}) == [] for version in range(7)] == [
        True, False, True, False, True, False, False
    ]  # fmt: skip


def test_all_six_aggregations_and_a_filter_by_hand() -> None:
    events = [
        call("k1", "2.50", second=9),
        call("k2", "2.5", second=1, region="us"),
        call("k3", "-1", second=9, region="us"),
        call("k4", "7", second=3, region="ap"),
        call("k5", "1", name="ping"),
        call("k6", "1", name="noise"),
    ]
    of = {name.partition("/")[0]: total for (_, name, _), total in fold(events).items() if name != "call.abroad"}
    assert of == {
        "call.count": Decimal(4),
        "call.sum": Decimal("11.00"),
        "call.count_unique": Decimal(4),
        "call.max": Decimal(7),
        "call.min": Decimal(-1),
        "call.latest": Decimal(-1),  # k1 and k3 at one instant: the greater key
        "ping.count": Decimal(1),
    }
    abroad = {account: total for (_, name, account), total in fold(events).items() if name == "call.abroad"}
    assert abroad == {"a/us": Decimal("1.5"), "a/ap": Decimal(7)}
    assert {name for _, name, _ in fold(events)} == set(METRICS)


def test_an_event_that_is_folded_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        fold([call("k", "1"), call("k", "2")])


@settings(max_examples=15)
@given(st.integers(0, 50), st.randoms())
def test_the_fold_does_not_depend_on_order(seed: int, dice: random.Random) -> None:
    writer = Writer(seed, "p", BASES, 0.02)
    events = {event.identity: event for _ in range(5) for event in writer.batch(100).sent}
    shuffled = list(events.values())
    dice.shuffle(shuffled)
    assert fold(shuffled) == fold(events.values())


@settings(max_examples=25)
@given(st.integers(0, 50))
def test_conflicts_contradict_only_what_was_acknowledged_before(seed: int) -> None:
    writer = Writer(seed, "p", BASES, 0.1)
    recorded: dict[Identity, Sent] = {}
    conflicts = 0
    for _ in range(12):
        batch = writer.batch(40)
        for document, event in zip(batch.documents, batch.sent, strict=True):
            same = document["properties"]["v"] == event.value
            assert same or recorded[event.identity] == event
            conflicts += not same
        assert len(batch.documents) == len({event.identity for event in batch.sent})
        assert json.loads(batch.body())["events"] == list(batch.documents)
        writer.acknowledged(batch)
        recorded |= {event.identity: recorded.get(event.identity, event) for event in batch.sent}
    assert conflicts > 0


def test_a_ledger_keeps_the_first_copy_of_each_event() -> None:
    ledger, writer = Ledger(), Writer(7, "p", BASES, 0.2)
    firsts: dict[Identity, Sent] = {}
    for _ in range(20):
        batch = writer.batch(50)
        ledger.acknowledged(batch)
        writer.acknowledged(batch)
        firsts = {event.identity: event for event in batch.sent} | firsts
    assert ledger.events() == firsts
    assert ledger.counts()["copies acknowledged"] > len(firsts)


@pytest.mark.parametrize(
    "verdict",
    [Verdict(lost=1), Verdict(double=1), Verdict(foreign=1), Verdict(differences=["x"]), Verdict(imbalances=["x"]),
        Verdict(verify=["x"])],
)  # fmt: skip
def test_whatever_is_wrong_fails_the_run(verdict: Verdict) -> None:
    assert Report(1).passed
    assert not Report(1, verdict=verdict).passed
    assert "FAILED" in Report(1, verdict=verdict).text()


def test_a_fault_that_was_not_recovered_from_fails_the_run() -> None:
    report = Report(1, faults=[Struck("kill -9 worker", "worker-0", 1.5), Struck("kill -9 worker", "worker-1")])
    assert not report.passed
    assert report.to_json()["kinds"] == [
        {"fault": "kill -9 worker", "count": 2, "recovery p50 s": 1.5, "recovery max s": None}
    ]
    assert "never" in report.text()


def test_quantiles_are_values_that_occurred() -> None:
    assert quantile([], 0.5) is None
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0], 0.5) == 1.0
    assert quantile([4.0], 0.99) == 4.0
