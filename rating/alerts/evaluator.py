"""Looks at accounts, and appends to usage.alerts what follows. Blocking, in one thread; killed at any point or run
several times at once it makes the same alerts once (``crossings``).

    1. What changed: rules and terms in the catalog, and usage between the cursor of the last round and the present one.
    2. Of each account that some rule watches, in shares (``pending``): the log is read to its end, then the cursor,
       then the values. In this order: so whatever an alert in the log counted is in the values.
    3. The records that follow are appended. Which of them are valid, the next reading tells.

An account without changes is not looked at, except once an hour, since grants expire and invoices are voided without
usage, and where a limit restarts that has passed a threshold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.anomalies.sweep import AnomalySweep
from rating.alerts.basis import Basis, BasisReader
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.crossings import AsOf, next_alerts
from rating.alerts.earlier_periods import earlier_looks
from rating.alerts.looks import Looks
from rating.alerts.observations import Look, observe, observe_state
from rating.alerts.pending import LONG_AGO, NEVER, PendingAccounts
from rating.alerts.shares.resets import Resets
from rating.alerts.usage_changes import UsageChanges
from rating.alerts.watched import ActiveRule, Watching, rules_in_force
from rating.estimates.reached_thresholds import threshold_owners
from rating.topups.floors import floor_owners
from rating.topups.requests import next_topups
from rating.topups.topup_ledger import TopupLedger
from schemas.catalog.state import Catalog, NamespaceView
from schemas.clickhouse.client import connect
from schemas.ledgers.alert_record import DAY_US, EVALUATED_DAYS, Alert
from schemas.settings import Settings

TellReached = Callable[[str, Collection[str]], None]
_ROUND_SECONDS: Final = 2.0
_SWEEP_SECONDS: Final = 3600.0
_QUERY_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class NamespaceRules:
    """The rules in force in a view of a namespace's catalog; ``top_up``: whether somebody has a floor of credit;
    ``thresholds``: whether some plan or subscription has an ``invoice_threshold``."""

    view: NamespaceView
    active: tuple[ActiveRule, ...]
    watching: Watching
    top_up: bool
    thresholds: bool

    def __bool__(self) -> bool:
        return bool(self.active or self.top_up or self.thresholds)

    @classmethod
    def of(cls, view: NamespaceView) -> NamespaceRules:
        """Those of the view."""
        active, floors, thresholds = rules_in_force(view), floor_owners(view), threshold_owners(view)
        return cls(view, active, Watching(active, floors, thresholds), bool(floors), bool(thresholds))


class Evaluator:
    """``now_us``: microseconds UTC; ``reached``: told (namespace, subscriptions) that have reached their
    ``invoice_threshold``, at each look at them. Close it."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        changes: CatalogChanges,
        ledger: AlertLedger,
        topups: TopupLedger,
        now_us: Callable[[], int],
        reached: TellReached,
    ) -> None:
        self._catalog = catalog
        self._changes = changes
        self._ledger = ledger
        self._topups = topups
        self._reached = reached
        self._client: Client = connect(
            settings, timeout_seconds=2 * _QUERY_SECONDS, settings_of_queries={"max_execution_time": _QUERY_SECONDS}
        )
        self._basis = BasisReader(settings, self._client, catalog, ledger, now_us)
        self._usage = UsageChanges(self._client, changes.ruled_us or now_us())
        self._rules: dict[str, NamespaceRules] = {}
        self._pending = PendingAccounts()
        self._resets = Resets()
        self._now_us = now_us
        self._looks = Looks(self._client, ledger, self._basis, self._pending, self._evaluated)
        self._anomalies = AnomalySweep(self._client, catalog, changes, ledger, self._basis)
        self._swept_at = LONG_AGO

    def close(self) -> None:
        """Disconnect."""
        self._basis.close()
        self._client.close()

    def round(self) -> bool:
        """Look at what changed, for some seconds; whether there is more to do at once: accounts that wait, or records
        that were appended. Raises what Kafka or ClickHouse raise where nothing can be looked at."""
        began = time.monotonic()
        try:
            self._take_catalog_changes(began)
        except BaseException:
            self._swept_at = LONG_AGO  # what was taken is not lost: all are looked at
            raise
        more = self._of_rules(began) if self._rules else False
        return self._anomalies.round() or more

    def _of_rules(self, began: float) -> bool:
        """The same of rules with thresholds."""
        changes = self._usage.read(self._rules.keys(), began)
        for changed in (changes, self._resets.due(self._now_us())):
            for namespace in changed.keys() & self._rules.keys():
                self._wait(namespace, changed[namespace])
        self._topups.refresh()  # before the catalog and the values that are judged by them
        appended = self._looks.until(began + _ROUND_SECONDS)
        if appended is None:
            return False
        if not len(self._pending):
            self._usage.evaluated(time.monotonic())
        return appended or self._pending.due(time.monotonic())

    # --- what changed

    def _take_catalog_changes(self, now: float) -> None:
        changes = self._changes.take()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._swept_at = now
            changes = dict.fromkeys(self._changes.namespaces())
        for namespace, accounts in changes.items():
            rules = self._rules_of(self._catalog.view(namespace))
            if not rules:
                self._rules.pop(namespace, None)
                self._pending.forget(namespace)
                continue
            everybody = rules.watching.accounts(rules.view) if accounts is None else accounts
            self._wait(namespace, dict.fromkeys(everybody, NEVER))

    def _rules_of(self, view: NamespaceView) -> NamespaceRules:
        """The rules as the view has them, which a look takes from the same view as its prices."""
        known = self._rules.get(view.namespace)
        if known is None or known.view.before != view.before:
            known = self._rules[view.namespace] = NamespaceRules.of(view)
        return known

    def _wait(self, namespace: str, accounts: Mapping[str, int]) -> None:
        rules = self._rules[namespace]
        watched = {
            account: first_us for account, first_us in accounts.items() if rules.watching.may_watch(rules.view, account)
        }
        self._pending.add(namespace, watched)

    # --- a look

    def _evaluated(self, basis: Basis, taken: Mapping[str, int]) -> tuple[Look, Iterator[Alert]]:
        view, as_of = basis.view, basis.as_of
        in_force = self._rules_of(view)
        rules, also = in_force.active, (in_force.top_up, in_force.thresholds)
        try:
            look = observe(self._client, view, self._basis.checkpoints, rules, list(taken), as_of.instant_us, *also)
        except Exception as error:  # of these accounts: fewer are tried, down to the one that it is of
            return Look(failures={"accounts": error}), iter(())
        if requests := list(next_topups(view, look.balances, self._topups.valid, as_of)):
            self._topups.publish(requests)
        if look.reached:
            self._reached(view.namespace, look.reached)
        periodic = [active for active in rules if active.rule.measure in ("usage", "spend")]

        def look_at(accounts: Sequence[str], instant_us: int) -> Look:
            assert look.state is not None, "observe has read the accounts"
            state = look.state.at(accounts, instant_us)
            return observe_state(self._client, self._basis.checkpoints, periodic, state)

        looks, left_over = earlier_looks(look, taken, look_at) if periodic else ([], {})
        self._pending.add(view.namespace, left_over)
        self._resets.note(view.namespace, look.resets)
        for earlier in looks:
            look.observed += earlier.observed
            look.failures |= earlier.failures
        oldest_us = as_of.instant_us - EVALUATED_DAYS * DAY_US
        return look, _alerts_of(view.namespace, look, as_of, self._ledger.valid.version, oldest_us)


def _alerts_of(
    namespace: str, look: Look, as_of: AsOf, version_of: Callable[[str], int], oldest_us: int
) -> Iterator[Alert]:
    """What follows from a look. ``oldest_us``: periods that ended before it are passed over."""
    for active, observation in look.observed:
        if not 0 < observation.end_us < oldest_us:
            yield from next_alerts(namespace, active.rule, active.version, observation, as_of, version_of)
