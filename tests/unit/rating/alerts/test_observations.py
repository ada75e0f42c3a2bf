"""What a rule measures of whom, over which period, and what of a catalog's changes has accounts looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rating.alerts import observations
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.crossings import Observation
from rating.alerts.earlier_periods import MOST_BACK, MOST_LOOKS, earlier_looks
from rating.alerts.observations import Look, Spend, balance_of, has_no_base, observe_state, spend_of, usage_of
from rating.alerts.pending import NEVER
from rating.alerts.watched import ActiveRule, Subjects, Watching, rules_in_force, watched_periods
from rating.estimates.account_state import AccountEstimate, AccountState
from rating.invoices.amounts.prepaid_credits import Owned, Wallet, grants_of_account
from rating.invoices.chain import begun_us, interims_of
from rating.invoices.ledger import StandingInvoices
from rating.invoices.stored_invoice import StoredInvoiceHead, WholeInvoice
from rating.invoicing.charges import Totals
from rating.invoicing.expected_invoice import EstimateInputs
from rating.invoicing.need import Need
from rating.subscriptions.timeline import timeline
from rating.usage import Usage, UsageGroup
from schemas.catalog.alerts import AlertRule
from schemas.ledgers.checkpoints import Checkpoints, Run
from schemas.ledgers.invoice_details import Body
from schemas.values.instants import rfc3339
from tests.unit.rating.alerts.builders import NO_CLIENT, rule
from tests.unit.rating.builders import PLAN, SUBSCRIPTION, Shelf, shelf, us

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


def test_a_rule_is_compared_with_what_it_names_alone_and_watches_the_same(catalog: Shelf) -> None:
    accounts = state(catalog)
    running = list(accounts.running({}))
    subjects = Subjects(accounts.accounts, running)
    for watching, compared in (
        (rule("5"), (2, 2)), (rule("5", plan="basic"), (1, 1)), (rule("5", subscription="acme-other"), (1, 1)),
        (rule("5", account="acme", interval="day"), (1, 2)), (rule("5", account="berta", interval="day"), (1, 0)),
        (rule("5", account="nobody"), (0, 0)), (rule("5", plan="gone"), (0, 0)),
    ):  # fmt: skip
        narrowed = subjects.of(watching)
        assert (len(narrowed[0]), len(narrowed[1])) == compared
        expected = list(watched_periods(accounts.view, watching, accounts.accounts, running, NOW))
        assert list(watched_periods(accounts.view, watching, *narrowed, NOW)) == expected


def test_rules_that_name_no_account_of_a_look_cost_it_nothing(catalog: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(view: Any, watching: AlertRule, names: Sequence[str], running: Sequence[Any], now_us: int) -> list[Any]:
        compared.append(len(names) + len(running))
        return []

    monkeypatch.setattr(observations, "watched_periods", counted)
    rules = [ActiveRule(rule("5", account=f"a{number}", interval="day"), 1) for number in range(100)]
    observe_state(NO_CLIENT, Checkpoints(), rules, state(catalog))
    assert sum(compared) == 0


def test_who_may_be_watched_is_who_the_catalog_has(catalog: Shelf) -> None:
    view = catalog.view()
    for watching, accounts in (
        (rule("5"), {"acme", "berta"}), (rule("5", plan="other"), {"acme"}), (rule("5", account="berta"), {"berta"}),
        (rule("5", subscription="b"), {"berta"}),
    ):  # fmt: skip
        of_rule = Watching([ActiveRule(watching, 1)])
        assert {name for name in ("acme", "berta", "nobody") if of_rule.may_watch(view, name)} == accounts
        assert of_rule.accounts(view) == accounts


def test_usage_is_measured_by_one_question_a_period_also_of_who_has_no_value(catalog: Shelf) -> None:
    asked: list[Mapping[Need, Set[str]]] = []

    def measure(needs: Mapping[Need, Set[str]]) -> Totals:
        asked.append(needs)
        return {need: {"acme": [UsageGroup(Usage(Decimal(7), 7), "acme")]} for need in needs}

    def usage(watching: AlertRule) -> list[Observation]:
        accounts = state(catalog)
        periods = list(watched_periods(accounts.view, watching, accounts.accounts, accounts.running({}), NOW))
        return list(usage_of(accounts.view, ActiveRule(watching, 1), periods, measure))

    assert [(one.subscription, one.value, one.metric) for one in usage(rule("5"))] == [
        ("acme-basic", 7, "calls.n"), ("acme-other", 7, "calls.n")
    ]  # fmt: skip
    assert [list(needs.values()) for needs in asked] == [[{"acme"}]]
    assert {one.account_id: one.value for one in usage(rule("5", interval="week"))} == {"acme": 7, "berta": 0}
    most = usage(rule("5", interval="week", profile="calls.most"))
    assert {seen.account_id: seen.value for seen in most} == {"acme": 7, "berta": None}
    with pytest.raises(LookupError, match=r"no profile calls\.gone"):
        usage(rule("5", profile="calls.gone"))


def test_percentages_of_the_commitment_are_of_what_is_spent_without_the_true_up(catalog: Shelf) -> None:
    catalog.add("plan", PLAN | {"minimum_commitment": "100"})
    catalog.add("subscription", SUBSCRIPTION | {"plan_version": 2})
    accounts = state(catalog)
    periods = list(watched_periods(accounts.view, spend(plan="basic"), ["acme"], accounts.running({}), NOW))

    def seen_of(watching: AlertRule) -> list[tuple[Decimal, Decimal | None]]:
        of = spend_of(ActiveRule(watching, 1), periods, {"acme-basic": Spend(Decimal(100), Decimal(90))})
        return [(one.value, one.base) for one in of]

    assert seen_of(spend(plan="basic", thresholds=["50%", "100%"])) == [(10, 100)]
    assert seen_of(spend(plan="basic", thresholds=["50"])) == [(100, 100)]
    assert seen_of(spend(plan="basic", thresholds=["50%"], budget="40")) == [(100, 40)]


def test_a_rule_with_percentages_of_nothing_says_so_in_the_log(catalog: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = state(catalog)
    for thresholds, more, silent in ((["50%"], {}, True), (["50"], {}, False), (["50%"], {"budget": "9"}, False)):
        active = ActiveRule(spend(currency="USD", thresholds=thresholds, **more), 1)
        periods = list(watched_periods(accounts.view, active.rule, ["acme"], accounts.running({}), NOW))
        of = list(spend_of(active, periods, {"acme-basic": Spend(Decimal(5), Decimal(0))}))
        assert (len(of), has_no_base(active, of)) == (1, silent)
    watching = ActiveRule(spend(currency="USD", thresholds=["50%"]), 1)
    monkeypatch.setattr(observations, "spend_of", lambda *_: iter([Observation("acme", "s", "USD", *DAY, Decimal(5))]))
    look = observe_state(NO_CLIENT, Checkpoints(), [watching], Estimated(accounts.view, ["acme"], NOW, [], {}, []))
    assert "write budget" in look.problems["rule r"]


def test_a_balance_is_nothing_once_its_last_grant_has_expired_or_is_retired(catalog: Shelf) -> None:
    balance = AlertRule.model_validate({"code": "r", "measure": "balance", "currency": "USD", "thresholds": ["20%"]})

    def seen_at(text: str) -> list[tuple[str, Decimal, Decimal | None]]:
        accounts = AccountState(catalog.view(), ["acme", "berta"], us(text), [], {}, [])
        periods = list(watched_periods(accounts.view, balance, accounts.accounts, (), us(text)))
        wallet = Wallet([owned for name in accounts.accounts for owned in grants_of_account(accounts.view, name)], {})
        of = balance_of(accounts.view, ActiveRule(balance, 1), periods, wallet, us(text))
        return [(one.account_id, one.value, one.base) for one in of]

    assert seen_at("2013-02-10T12:00:00Z") == []
    grant = {"code": "g", "account": "acme", "amount": "40", "currency": "USD"}
    catalog.add("credit_grant", grant | {"effective": "2013-02-01T00:00:00Z", "expires": "2013-03-01T00:00:00Z"})
    catalog.add("credit_grant", grant | {"code": "e", "currency": "EUR", "account": "berta"})
    assert seen_at("2013-01-31T12:00:00Z") == [], "it is not in force yet"
    assert seen_at("2013-02-10T12:00:00Z") == [("acme", 40, 40)]
    assert seen_at("2013-03-02T12:00:00Z") == [("acme", 0, 40)]
    catalog.add("credit_grant", grant, retired=True)
    assert seen_at("2013-02-10T12:00:00Z") == [("acme", 0, 40)]


class Estimated(AccountState):
    """Accounts with an estimate that is known beforehand."""

    def estimate(self, client: Any, checkpoints: Checkpoints, also: Iterable[Owned] = ()) -> AccountEstimate:
        inputs = EstimateInputs(self.view, StandingInvoices(), self.lines, grants_of_account(self.view, "acme"))
        return AccountEstimate(inputs, [], FAULTS.get(self.now_us, {}), Run("", 1, 0, self.now_us, {}), {}, {})


FAULTS: dict[int, dict[str, str]] = {}


def test_a_balance_is_not_judged_while_a_subscription_of_its_account_cannot_be_rated(catalog: Shelf) -> None:
    catalog.add("credit_grant", {"code": "g", "account": "acme", "amount": "40", "currency": "USD"})
    balance = AlertRule.model_validate({"code": "r", "measure": "balance", "currency": "USD", "thresholds": ["20%"]})
    for faults, observed in (({}, 1), ({"acme-basic": "no price"}, 0), ({"b": "berta's"}, 1)):
        FAULTS[NOW] = faults
        accounts = Estimated(catalog.view(), ["acme", "berta"], NOW, state(catalog).lines, {}, [])
        look = observe_state(NO_CLIENT, Checkpoints(), [ActiveRule(balance, 1)], accounts)
        assert len(look.observed) == observed


DAY_US = 86_400_000_000


def days(taken: dict[str, int], *, now_us: int, watched_now: bool = True) -> tuple[list[tuple[int, list[str]]], Any]:
    """Days that a rule by day has looked at, as (its number, accounts), and the accounts that are left over."""
    looked: list[tuple[int, list[str]]] = []

    def look_at(accounts: Sequence[str], instant_us: int) -> Look:
        looked.append((instant_us // DAY_US, list(accounts)))
        return Look(starts={account: {instant_us // DAY_US * DAY_US} for account in accounts})

    now = Look(starts={account: {now_us // DAY_US * DAY_US} for account in taken} if watched_now else {})
    return looked, earlier_looks(now, taken, look_at)[1]


def test_periods_are_looked_at_back_to_the_earliest_change_and_no_further() -> None:
    today = 20 * DAY_US
    assert days({"a": today + 5, "b": NEVER}, now_us=today + 9) == ([], {})
    assert days({"a": today - 1, "b": today - 7}, now_us=today + 9) == ([(19, ["a", "b"])], {})
    assert days({"a": today - 2 * DAY_US - 1}, now_us=today) == ([(19, ["a"]), (18, ["a"]), (17, ["a"])], {})
    assert len(days({"a": 0}, now_us=1_000 * DAY_US)[0]) == MOST_BACK


def test_an_account_of_which_nothing_is_watched_any_more_is_looked_at_where_its_usage_changed() -> None:
    assert days({"a": 3 * DAY_US + 7, "b": NEVER}, now_us=20 * DAY_US, watched_now=False) == ([(3, ["a"])], {})


def test_accounts_with_periods_of_their_own_share_what_one_look_may_take() -> None:
    taken = {f"a{number:03}": number * DAY_US for number in range(200)}
    looked: list[int] = []

    def look_at(accounts: Sequence[str], instant_us: int) -> Look:
        looked.append(instant_us)
        return Look()

    starts = {account: {first_us + 1_000 + number} for number, (account, first_us) in enumerate(taken.items())}
    _, left_over = earlier_looks(Look(starts=starts), taken, look_at)
    assert (len(looked), len(left_over)) == (MOST_LOOKS, 200 - MOST_LOOKS)


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


def test_a_running_period_is_watched_beside_invoices_that_were_made_before_its_end(catalog: Shelf) -> None:
    """Of fees in advance at its start, and of use before it ended; those of the future tell nothing of an instant
    before."""
    begin, (_, end) = FEBRUARY[0], FEBRUARY
    made_us = NOW - 5

    def invoice(until_us: int, **fields: Any) -> WholeInvoice:
        head = StoredInvoiceHead(
            "air", "i", 1, "", "acme-basic", 0, "acme", "basic", 1, begin, until_us, "America/New_York", "run", 1, 0,
            made_us, "finalized", "USD", "5.00", "5.00", body=Body(fields),
        )  # fmt: skip
        return WholeInvoice(head, ())

    interim = invoice(begin, change=rfc3339(made_us), interim={"episode": 1})
    for billed, watched_now in ((invoice(begin), True), (interim, True), (invoice(end), False)):
        accounts = replace(state(catalog), billed=[billed])
        assert ("acme-basic" in {period.line.subscription for period in accounts.unbilled({})}) is watched_now
    assert begun_us(interim.record()) == made_us
    assert begun_us(invoice(begin).record()) == begin
    assert interims_of([interim.record(), invoice(begin).record()], begin) == [interim.record()]
