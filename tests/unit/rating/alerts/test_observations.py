"""What a rule measures of whom, over which period, and what of a catalog's changes has accounts looked at again."""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any

import pytest

from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.evaluator import _before
from rating.alerts.observations import Look, usage_of
from rating.alerts.pending import NEVER
from rating.alerts.watched import ActiveRule, accounts_of, may_watch, rules_in_force, watched_periods
from rating.estimates.account_state import AccountState
from rating.invoicing.charges import Totals
from rating.invoicing.need import Need
from rating.subscriptions.timeline import timeline
from rating.usage import Usage, UsageGroup
from schemas.catalog.alerts import AlertRule
from tests.unit.rating.alerts.builders import rule, seen
from tests.unit.rating.builders import PLAN, Shelf, shelf, us

NOW = us("2013-02-10T12:00:00-05:00")
FEBRUARY = us("2013-02-01T00:00:00-05:00"), us("2013-03-01T00:00:00-05:00")
DAY = us("2013-02-10T00:00:00-05:00"), us("2013-02-11T00:00:00-05:00")


@pytest.fixture
def catalog() -> Shelf:
    """Two accounts; acme has a subscription to basic, and one to other in euros; berta one to basic from March on."""
    held = shelf()
    profiles = [{"code": "n", "aggregation": "count"}, {"code": "most", "aggregation": "max", "property": ["x"]}]
    held.add("meter", {"code": "calls", "profiles": profiles})
    held.add("plan", PLAN | {"code": "other", "currency": "EUR"})
    held.add("account", {"code": "berta"})
    start = {"start": "2013-01-01T05:00:00Z"}
    held.add("subscription", {"code": "acme-other", "account": "acme", "plan": "other", **start})
    held.add("subscription", {"code": "b", "account": "berta", "plan": "basic", "start": "2013-03-01T00:00:00Z"})
    return held


def state(held: Shelf) -> AccountState:
    view = held.view()
    lines = [line for code in ("acme-basic", "acme-other", "b") if (line := timeline(view, code)) is not None]
    return AccountState(view, ["acme", "berta"], NOW, lines, {}, [])


def watched(held: Shelf, watching: AlertRule) -> set[tuple[str, str, int, int]]:
    accounts = state(held)
    periods = watched_periods(held.view(), watching, accounts.accounts, accounts.running({}), NOW)
    return {(period.account_id, period.subscription, period.start_us, period.end_us) for period in periods}


def spend(**more: Any) -> AlertRule:
    return AlertRule.model_validate({"code": "r", "measure": "spend", "thresholds": ["5"]} | more)


def test_subscriptions_are_watched_in_their_running_periods_and_accounts_by_their_calendars(catalog: Shelf) -> None:
    basic, other = ("acme", "acme-basic", *FEBRUARY), ("acme", "acme-other", *FEBRUARY)
    assert watched(catalog, rule("5")) == {basic, other}, "what has not begun has no period"
    assert watched(catalog, rule("5", plan="basic")) == {basic}
    assert watched(catalog, spend(subscription="acme-other")) == {other}
    assert watched(catalog, spend(account="berta", currency="USD")) == set()
    assert watched(catalog, spend(currency="EUR")) == {other}
    assert watched(catalog, rule("5", plan="other", interval="day")) == {("acme", "acme-other", *DAY)}
    utc = us("2013-02-10T00:00:00Z"), us("2013-02-11T00:00:00Z")
    assert watched(catalog, rule("5", interval="day")) == {("acme", "", *DAY), ("berta", "", *utc)}
    balance = AlertRule.model_validate({"code": "r", "measure": "balance", "currency": "USD", "thresholds": ["5"]})
    assert watched(catalog, balance) == {("acme", "", 0, 0), ("berta", "", 0, 0)}


def test_who_may_be_watched_is_who_the_catalog_has(catalog: Shelf) -> None:
    view = catalog.view()
    for watching, accounts in (
        (rule("5"), {"acme", "berta"}), (rule("5", plan="other"), {"acme"}), (rule("5", account="berta"), {"berta"}),
        (rule("5", subscription="b"), {"berta"}),
    ):  # fmt: skip
        assert {name for name in ("acme", "berta", "nobody") if may_watch(view, watching, name)} == accounts
        assert set(accounts_of(view, [ActiveRule(watching, 1)])) == accounts


def test_usage_is_measured_by_one_question_a_period_and_what_has_no_value_is_passed_over(catalog: Shelf) -> None:
    asked: list[Mapping[Need, Set[str]]] = []

    def measure(needs: Mapping[Need, Set[str]]) -> Totals:
        asked.append(needs)
        return {need: {"acme": [UsageGroup(Usage(Decimal(7), 7), "acme")]} for need in needs}

    accounts = state(catalog)
    running = list(accounts.running({}))
    counted = list(usage_of(catalog.view(), ActiveRule(rule("5", budget=None), 1), accounts, running, measure))
    assert [(one.subscription, one.value, one.metric) for one in counted] == [
        ("acme-basic", 7, "calls.n"), ("acme-other", 7, "calls.n")
    ]  # fmt: skip
    assert [list(needs.values()) for needs in asked] == [[{"acme"}]]
    of_day = ActiveRule(rule("5", interval="week", budget=None), 1)
    assert {one.account_id: one.value for one in usage_of(catalog.view(), of_day, accounts, running, measure)} == {
        "acme": 7, "berta": 0
    }  # fmt: skip
    most = ActiveRule(rule("5", interval="week", profile="calls.most"), 1)
    assert [one.account_id for one in usage_of(catalog.view(), most, accounts, running, measure)] == ["acme"]
    with pytest.raises(LookupError, match=r"no profile calls\.gone"):
        list(usage_of(catalog.view(), ActiveRule(rule("5", profile="calls.gone"), 1), accounts, running, measure))


def test_a_change_before_the_running_period_has_the_one_before_looked_at() -> None:
    look = Look(observed=[(ActiveRule(rule("5"), 1), seen(1, start_us=start)) for start in (100, 50, 0)])
    assert _before(look, {"acme": 70}) == {99: ["acme"]}
    assert _before(look, {"acme": 3}) == {49: ["acme"], 99: ["acme"]}
    assert _before(look, {"acme": NEVER}) == _before(look, {"acme": 100}) == {}


def test_changes_of_a_catalog_concern_all_accounts_or_one_and_nobody_where_there_never_was_a_rule(
    catalog: Shelf,
) -> None:
    changes = CatalogChanges()
    log = sorted(catalog.view().log(), key=lambda entry: entry.offset)
    for entry in log:
        changes.note(entry)
    assert (changes.ruled, changes.take()) == (False, {})
    catalog.add("alert_rule", rule("5").model_dump(mode="json"))
    for entry in [*catalog.view().log()][:1]:
        changes.note(entry)
    assert (changes.ruled, changes.take(), changes.take()) == (True, {"air": None}, {})
    assert [active.rule.code for active in rules_in_force(catalog.view())] == ["r"]
    for entry in log:
        if entry.kind in ("account", "subscription"):
            changes.note(entry)
    assert changes.take() == {"air": {"acme", "berta"}}
