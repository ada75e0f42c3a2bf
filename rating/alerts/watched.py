"""Which accounts a rule watches, and what of each is measured over which period. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rating.invoicing.expected_invoice import Running
from rating.periods import parse_zone, period_containing
from rating.topups.floors import FloorOwners
from schemas.catalog.alerts import AlertRule
from schemas.catalog.state import NamespaceView
from schemas.values.instants import instant, micros


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule in force, with its version."""

    rule: AlertRule
    version: int


@dataclass(frozen=True, slots=True)
class WatchedPeriod:
    """An account, or a subscription of it ("": the account), in a period: half-open, microseconds UTC."""

    account_id: str
    subscription: str
    start_us: int
    end_us: int
    running: Running | None = None


def rules_in_force(view: NamespaceView) -> tuple[ActiveRule, ...]:
    """The namespace's rules with thresholds, in order of their publication."""
    return tuple(active for active in _active(view) if active.rule.measure != "anomaly")


def anomaly_rules(view: NamespaceView) -> tuple[ActiveRule, ...]:
    """The namespace's rules of anomalies."""
    return tuple(active for active in _active(view) if active.rule.measure == "anomaly")


def _active(view: NamespaceView) -> Iterator[ActiveRule]:
    return (ActiveRule(entry.model, entry.version) for entry in view.all("alert_rule"))


class Watching:
    """Which accounts some of ``rules`` may watch, or ``owners`` of floors or thresholds have looked at."""

    def __init__(self, rules: Iterable[ActiveRule], *owners: FloorOwners) -> None:
        self._everybody = False
        self._accounts = {code for of in owners for code in of.accounts}
        self._subscriptions = {code for of in owners for code in of.subscriptions}
        self._plans = {code for of in owners for code in of.plans}
        for rule in (active.rule for active in rules):
            if rule.account is not None:
                self._accounts.add(rule.account)
            elif rule.subscription is not None:
                self._subscriptions.add(rule.subscription)
            elif rule.plan is not None:
                self._plans.add(rule.plan)
            else:
                self._everybody = True

    def accounts(self, view: NamespaceView) -> set[str]:
        """All of them, and those that rules name and the catalog does not have."""
        if self._everybody:
            return {entry.code for entry in view.all("account")}
        latest = [view.history("subscription", subscription)[-1:] for subscription in self._subscriptions]
        for plan in self._plans:
            latest += [history[-1:] for history in view.histories_referring("subscription", "plan", plan)]
        return self._accounts | {entry.model.account for entries in latest for entry in entries}

    def may_watch(self, view: NamespaceView, account_id: str) -> bool:
        """Whether the catalog has the account, and some rule may watch it: in one look, however many rules there
        are."""
        if view.get("account", account_id) is None:
            return False
        if self._everybody or account_id in self._accounts:
            return True
        if not (self._subscriptions or self._plans):
            return False
        return any(
            versions[0].code in self._subscriptions or any(version.model.plan in self._plans for version in versions)
            for versions in view.histories_referring("subscription", "account", account_id)
        )


class Subjects:
    """The accounts of a look and their running periods, by what rules name: so a rule is compared with what it names
    alone."""

    def __init__(self, accounts: Sequence[str], running: Sequence[Running]) -> None:
        self._accounts = accounts
        self._known = frozenset(accounts)
        self._running = running
        self._named: dict[tuple[str, str], list[Running]] = {}
        for period in running:
            line = period.line
            for subject in (
                ("account", line.account_id), ("subscription", line.subscription), ("plan", period.span.plan.code)
            ):  # fmt: skip
                self._named.setdefault(subject, []).append(period)

    def of(self, rule: AlertRule) -> tuple[Sequence[str], Sequence[Running]]:
        """The accounts and the running periods that the rule may watch, of those of the look."""
        for kind in ("subscription", "account", "plan"):
            if (code := getattr(rule, kind)) is not None:
                running = self._named.get((kind, code), [])
                named = [code] if kind == "account" else dict.fromkeys(period.line.account_id for period in running)
                return [account for account in named if account in self._known], running
        return self._accounts, self._running


def watched_periods(
    view: NamespaceView, rule: AlertRule, accounts: Iterable[str], running: Iterable[Running], now_us: int
) -> Iterator[WatchedPeriod]:
    """What the rule watches of the accounts, whose running periods are ``running``, at an instant (microseconds UTC).
    A balance has no period. Raises ValueError where an account's time zone is not known."""
    if rule.by_account:  # such a rule names an account, or none
        for account_id in accounts:
            if rule.account in (None, account_id) and view.get("account", account_id) is not None:
                start_us, end_us = _interval(view, rule, account_id, now_us)
                yield WatchedPeriod(account_id, "", start_us, end_us)
        return
    watched = set(accounts)
    for period in running:
        line, plan = period.line, period.span.plan
        if line.account_id not in watched or rule.account not in (None, line.account_id):
            continue
        if rule.subscription in (None, line.subscription) and rule.plan in (None, plan.code):
            if rule.interval is None:
                start_us, end_us = period.span.start_us, period.span.end_us
            else:
                start_us, end_us = _interval(view, rule, line.account_id, now_us)
            if rule.currency in (None, plan.currency):
                yield WatchedPeriod(line.account_id, line.subscription, start_us, end_us, period)


def _interval(view: NamespaceView, rule: AlertRule, account_id: str, now_us: int) -> tuple[int, int]:
    if rule.interval is None:
        return 0, 0
    period = period_containing(instant(now_us), rule.interval, parse_zone(view.time_zone(account_id)))
    return micros(period.start), micros(period.end)
