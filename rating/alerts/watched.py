"""Which accounts a rule watches, and what of each is measured over which period. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from rating.invoicing.expected_invoice import Running
from rating.periods import parse_zone, period_containing
from schemas.catalog.alerts import AlertRule
from schemas.catalog.models import Account, Subscription
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
    """The namespace's rules, in order of their publication."""
    return tuple(ActiveRule(entry.model, entry.version) for entry in view.all("alert_rule"))


def accounts_of(view: NamespaceView, rules: Iterable[ActiveRule]) -> Iterator[str]:
    """The accounts that some rule may watch; some of them twice."""
    for active in rules:
        rule = active.rule
        if rule.account is not None:
            yield rule.account
        elif rule.subscription is not None:
            yield from _accounts(view.history("subscription", rule.subscription)[-1:])
        elif rule.plan is not None:
            yield from _accounts(history[-1] for history in view.histories_referring("subscription", "plan", rule.plan))
        else:
            yield from (entry.code for entry in view.all("account"))


def _accounts(entries: Iterable[object]) -> Iterator[str]:
    for entry in entries:
        model = getattr(entry, "model", None)
        if isinstance(model, Subscription):
            yield model.account


def may_watch(view: NamespaceView, rule: AlertRule, account_id: str) -> bool:
    """Whether the rule may watch the account, which the catalog has or not."""
    if view.get("account", account_id) is None:
        return False
    if rule.account is not None:
        return rule.account == account_id
    if rule.plan is None and rule.subscription is None:
        return True
    return any(
        _is_of(rule, versions[0].code, [version.model.plan for version in versions])
        for versions in view.histories_referring("subscription", "account", account_id)
    )


def _is_of(rule: AlertRule, subscription: str, plans: Collection[str]) -> bool:
    return subscription == rule.subscription if rule.subscription is not None else rule.plan in plans


def watched_periods(
    view: NamespaceView, rule: AlertRule, accounts: Iterable[str], running: Iterable[Running], now_us: int
) -> Iterator[WatchedPeriod]:
    """What the rule watches of the accounts, whose running periods are ``running``, at an instant (microseconds UTC).
    A balance has no period. Raises ValueError where an account's time zone is not known."""
    if rule.by_account:
        for account_id in accounts:
            if may_watch(view, rule, account_id):
                start_us, end_us = _interval(view, rule, account_id, now_us)
                yield WatchedPeriod(account_id, "", start_us, end_us)
        return
    watched = set(accounts)
    for period in running:
        line, plan = period.line, period.span.plan
        if line.account_id not in watched or rule.account not in (None, line.account_id):
            continue
        if (rule.plan is None and rule.subscription is None) or _is_of(rule, line.subscription, (plan.code,)):
            if rule.interval is None:
                start_us, end_us = period.span.start_us, period.span.end_us
            else:
                start_us, end_us = _interval(view, rule, line.account_id, now_us)
            if rule.currency in (None, plan.currency):
                yield WatchedPeriod(line.account_id, line.subscription, start_us, end_us, period)


def _interval(view: NamespaceView, rule: AlertRule, account_id: str, now_us: int) -> tuple[int, int]:
    if rule.interval is None:
        return 0, 0
    entry = view.get("account", account_id)
    zone = entry.model.time_zone if entry is not None and isinstance(entry.model, Account) else "UTC"
    period = period_containing(instant(now_us), rule.interval, parse_zone(zone))
    return micros(period.start), micros(period.end)
