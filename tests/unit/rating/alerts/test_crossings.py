"""Each crossing fires once: thresholds by hand, and any interleaving of evaluators, kills, doubles and replays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.alerts.crossings import next_alerts
from schemas.catalog.alerts import AlertRule
from schemas.kafka.codec import codec
from schemas.ledgers.alert_record import DAY_US, REMEMBERED_DAYS, Alert, ValidAlerts, alert_of
from tests.unit.rating.alerts.builders import END, START, as_of, rule, seen


def looked(valid: ValidAlerts, watching: AlertRule, value: str, **more: str) -> list[tuple[str, str, int]]:
    alerts = list(next_alerts("shop", watching, 1, seen(value, base=more.get("base")), as_of(), valid.version))
    assert all(valid.apply(alert) for alert in alerts)
    return [(alert.key.threshold, alert.state, alert.episode) for alert in alerts]


def test_each_threshold_fires_once_recovers_and_fires_anew() -> None:
    valid, watching = ValidAlerts(), rule("50%", "80%", "120", budget="100")
    assert looked(valid, watching, "49.999999999999", base="100") == []
    assert looked(valid, watching, "80", base="100") == [("50%", "fired", 1), ("80%", "fired", 1)]
    assert looked(valid, watching, "119", base="100") == []
    assert looked(valid, watching, "79", base="100") == [("80%", "recovered", 1)]
    assert looked(valid, watching, "120", base="100") == [("80%", "fired", 2), ("120", "fired", 1)]
    assert looked(valid, watching, "0", base="100") == [
        ("50%", "recovered", 1), ("80%", "recovered", 2), ("120", "recovered", 1)
    ]  # fmt: skip


def test_falling_fires_at_the_threshold_and_a_percentage_of_nothing_never() -> None:
    valid, watching = ValidAlerts(), rule("10%", "0", direction="falling", budget="5")
    assert looked(valid, watching, "1") == []
    assert looked(valid, watching, "0") == [("0", "fired", 1)]
    assert looked(valid, watching, "0.01") == [("0", "recovered", 1)]
    assert looked(valid, watching, "0.5", base="5") == [("10%", "fired", 1)]


@pytest.mark.parametrize("direction", ["rising", "falling"])
def test_what_has_no_value_fires_nothing_and_what_fired_recovers_once_its_events_are_voided(direction: str) -> None:
    valid, watching = ValidAlerts(), rule("5", direction=direction)
    nothing = replace(seen("5"), value=None)
    assert list(next_alerts("shop", watching, 1, nothing, as_of(), valid.version)) == []
    assert looked(valid, watching, "5") == [("5", "fired", 1)]
    [alert] = next_alerts("shop", watching, 1, nothing, as_of(), valid.version)
    assert (alert.state, alert.value, alert_of(codec("usage_alert").decode(alert.encode("me")))) == (
        "recovered",
        "",
        alert,
    )


def test_another_period_is_another_alert_and_limits_are_exact() -> None:
    valid, watching = ValidAlerts(), rule("33.333333333333333333333333333333333333%", budget="3")
    [alert] = next_alerts(
        "shop", watching, 3, seen("1" + "0" * 40, base="123456789.123456789123456789"), as_of(), valid.version
    )
    assert alert.limit == "41152263.041152263041152262999999999999588477369588477369588477" + "37"
    other = seen("1" + "0" * 40, start_us=START + 1, base="3")
    assert next(next_alerts("shop", watching, 3, other, as_of(), valid.version)).key.alert_id != alert.key.alert_id


def test_a_record_reads_back_and_one_under_a_foreign_id_is_void() -> None:
    [alert] = next_alerts("shop", rule("1"), 2, seen("1.50"), as_of(9), lambda _: 0)
    decoded = codec("usage_alert").decode(alert.encode("me"))
    assert alert_of(decoded) == alert
    assert (decoded["value"], decoded["claim_id"], alert.message_id) == ("1.5", "me", f"{decoded['alert_id']}_v1")
    valid = ValidAlerts()
    for foreign in ({"rule": "q"}, {"episode": 0}, {"state": "open"}):
        assert valid.apply_bytes(codec("usage_alert").encode(decoded | foreign)) is None
    assert valid.apply_bytes(b"no record") is None
    assert valid.apply_bytes(alert.encode("me")) == alert
    assert valid.apply_bytes(alert.encode("somebody else")) is None, "the same crossing counts once"


@dataclass
class Evaluator:
    """Reads the log to its end, then measures, then writes what follows; it may be killed between any two."""

    fold: ValidAlerts = field(default_factory=ValidAlerts)
    read: int = 0
    unwritten: list[Alert] = field(default_factory=list)

    def look(self, log: list[Alert], history: list[int], position: int, rules: list[AlertRule]) -> None:
        for alert in log[self.read :]:
            self.fold.apply(alert)
        self.read = len(log)
        measured = as_of(position)
        if self.fold.covers(measured.offsets):
            return
        self.unwritten = [
            alert
            for watching in rules
            for alert in next_alerts("shop", watching, 1, seen(history[position]), measured, self.fold.version)
        ]


USAGE = st.tuples(st.just("usage"), st.integers(-60, 60))
LOOK = st.tuples(st.just("look"), st.integers(0, 1), st.sampled_from([0, 0, 2]), st.sampled_from([0, 1, 1, 2]))
OTHER = st.tuples(st.sampled_from(["write", "kill", "replay"]), st.integers(0, 1))


@given(st.lists(st.one_of(USAGE, LOOK, LOOK, OTHER), max_size=60))
def test_any_interleaving_of_two_evaluators_gives_each_crossing_once(steps: list[tuple[Any, ...]]) -> None:
    """Values by position. A look sees those up to now, or of a replica that is so many positions behind, and what
    follows is written so many times at once, or later, or never."""
    rules = [rule("20", "50"), rule("30", code="low", direction="falling")]
    history, log, pair = [0, 0], list[Alert](), [Evaluator(), Evaluator()]
    for step, number, *more in steps:
        if step == "usage":
            history.append(max(history[-1] + number, 0))
            continue
        evaluator = pair[number]
        if step == "look":
            evaluator.look(log, history, max(len(history) - 1 - more[0], 1), rules)
            log += evaluator.unwritten * more[1]
        elif step == "kill":
            pair[number] = Evaluator()
        elif step == "replay":
            log += log[-3:]
        else:
            log += evaluator.unwritten
    for evaluator in pair:
        evaluator.look(log, history, len(history) - 1, rules)
        log += evaluator.unwritten
    fold = ValidAlerts()
    valid = [alert for alert in log if fold.apply(alert)]
    for watching in rules:
        for threshold in watching.thresholds:
            mine = [one for one in valid if (one.key.rule, one.key.threshold) == (watching.code, threshold)]
            limit = int(threshold)
            crossed = [value <= limit if watching.falling else value >= limit for value in history[1:]]
            assert [one.state for one in mine] == ["fired", "recovered"] * (len(mine) // 2) + ["fired"] * (
                len(mine) % 2
            )
            assert bool(len(mine) % 2) == crossed[-1], "what stands at the end is what is true then"
            ups = sum(is_crossed for is_crossed, _ in groupby(crossed))
            assert sum(one.state == "fired" for one in mine) <= ups, "none without a crossing of its own"
            places = [one.offsets[1, 0] for one in mine]
            assert places == sorted(places)


@pytest.mark.parametrize("positions", [{}, {(1, 0): 4}, {(1, 1): 9}])
def test_what_is_measured_before_events_that_an_alert_counted_is_not_judged_by(
    positions: dict[tuple[int, int], int],
) -> None:
    valid = ValidAlerts()
    valid.apply(next(next_alerts("shop", rule("1"), 1, seen("1"), as_of(5), valid.version)))
    assert valid.covers(positions)
    assert not valid.covers({(1, 0): 5, (1, 1): 0})


def test_an_alert_says_by_which_catalog_it_was_made_so_that_an_older_one_does_not_judge() -> None:
    valid = ValidAlerts()
    [alert] = next_alerts("shop", rule("1"), 1, seen("1"), as_of(5), valid.version)
    valid.apply(alert)
    assert (valid.catalog_offset("shop"), valid.catalog_offset("other")) == (alert.catalog_offset, 0)
    valid.apply(alert)  # void, and of no later catalog
    assert valid.catalog_offset("shop") == 7


def test_alerts_of_periods_that_ended_long_ago_are_forgotten_and_their_records_are_void() -> None:
    valid, last_us = ValidAlerts(), END + (REMEMBERED_DAYS + 1) * DAY_US - 1
    [of_period] = next_alerts("shop", rule("1"), 1, seen("1"), as_of(), valid.version)
    of_balance = replace(of_period, key=replace(of_period.key, period_start_us=0), period_end_us=0)
    assert valid.apply(of_period, END)
    assert valid.apply(of_balance, last_us)
    recovered = replace(of_period, state="recovered")
    assert (len(valid), valid.version(of_period.key.alert_id)) == (2, 1)
    assert not valid.apply(recovered, last_us + 1)
    assert not valid.apply(of_period, END), "nor once the log's clock goes back: all followers judge by the latest one"
    assert (len(valid), valid.version(of_balance.key.alert_id)) == (1, 1)


def test_records_of_a_day_are_counted_by_namespace() -> None:
    valid, day = ValidAlerts(), END // DAY_US
    [alert] = next_alerts("shop", rule("1"), 1, seen("1"), as_of(), valid.version)
    for append_us in (END, END):
        valid.apply(alert, append_us)  # the second one is void
    valid.apply(replace(alert, state="recovered"), END + DAY_US - 1)
    assert [valid.number_on(name, on) for name, on in (("shop", day), ("shop", day + 1), ("other", day))] == [2, 0, 0]
    valid.apply(replace(alert, episode=2), END + DAY_US)
    assert valid.number_on("shop", day + 1) == 1
