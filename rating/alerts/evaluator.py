"""Looks at accounts, and appends to usage.alerts what follows. Blocking, in one thread; killed at any point or run
several times at once it makes the same alerts once (``crossings``).

    1. What changed: rules and terms in the catalog, and usage between the cursor of the last round and the present one.
    2. Of each account that some rule watches, in shares (``pending``): the log is read to its end, then the cursor,
       then the values. In this order: so whatever an alert in the log counted is in the values.
    3. The records that follow are appended. Which of them are valid, the next reading tells.

An account without changes is not looked at, except once an hour: grants expire and invoices are voided without usage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.crossings import AsOf, next_alerts
from rating.alerts.earlier_periods import earlier_looks
from rating.alerts.observations import PERMANENT, Look, observe, observe_state
from rating.alerts.pending import LONG_AGO, NEVER, PendingAccounts
from rating.alerts.usage_changes import UsageChanges
from rating.alerts.watched import ActiveRule, Watching, rules_in_force
from schemas.catalog.state import Catalog, NamespaceView
from schemas.clickhouse.client import connect
from schemas.errors import WeirError
from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.alert_record import DAY_US, EVALUATED_DAYS, Alert
from schemas.ledgers.checkpoints import Checkpoints, UnknownCheckpoint, read_progress
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from schemas.values.instants import instant

log = logging.getLogger(__name__)

_ROUND_SECONDS: Final = 2.0
_SWEEP_SECONDS: Final = 3600.0
_QUERY_SECONDS: Final = 20
_WRITTEN_AT_ONCE: Final = 1000
_MOST_PROBLEMS: Final = 1000
MOST_A_DAY: Final = 20_000
"""Records of a namespace in a day, UTC (several evaluators at once: as many more as they write in one look)."""


class _Behind(WeirError):
    """What this process has read is older than what an alert was made by: nothing may be judged by it yet."""


class _DayIsFull(WeirError):
    """The namespace has as many alerts as a day has room for."""

    def __init__(self, now_us: int) -> None:
        super().__init__(
            f"{MOST_A_DAY} alerts on {instant(now_us):%Y-%m-%d}, and more wait for the next day (UTC); write thresholds"
            " that fewer accounts reach, or a plan or account to the rule"
        )
        self.seconds = (DAY_US - now_us % DAY_US) / 1e6 + 1
        """Until the next day."""


@dataclass(frozen=True, slots=True)
class NamespaceRules:
    """The rules in force in a view of a namespace's catalog."""

    view: NamespaceView
    active: tuple[ActiveRule, ...]
    watching: Watching

    @classmethod
    def of(cls, view: NamespaceView) -> NamespaceRules:
        """Those of the view."""
        active = rules_in_force(view)
        return cls(view, active, Watching(active))


class Evaluator:
    """``now_us``: microseconds UTC. Close it."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        changes: CatalogChanges,
        ledger: AlertLedger,
        now_us: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._changes = changes
        self._ledger = ledger
        self._now_us = now_us
        self._client: Client = connect(
            settings, timeout_seconds=2 * _QUERY_SECONDS, settings_of_queries={"max_execution_time": _QUERY_SECONDS}
        )
        self._checkpoints = Checkpoints()
        self._reader = LedgerReader(settings, CHECKPOINTS)
        self._usage = UsageChanges(self._client)
        self._rules: dict[str, NamespaceRules] = {}
        self._pending = PendingAccounts()
        self._swept_at = LONG_AGO
        self._problems: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
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
        if not self._rules:
            return False
        for namespace, changed in self._usage.read(self._rules.keys(), began).items():
            self._wait(namespace, changed)
        appended = False
        while time.monotonic() - began < _ROUND_SECONDS and (due := self._pending.take(time.monotonic())) is not None:
            try:
                appended = self._look(*due) or appended
            except _Behind as error:
                log.info("%s: %s; looked at again", due[0], error)
                return False
            except _DayIsFull as error:
                self._report(due[0], {"alerts": str(error)})
                self._pending.hold(due[0], time.monotonic() + error.seconds)
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
            if not rules.active:
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

    def _look(self, namespace: str, taken: dict[str, int]) -> bool:
        """Whether anything was appended."""
        began = time.monotonic()
        try:
            look, alerts = self._evaluated(namespace, taken)
            for start in range(0, len(alerts), _WRITTEN_AT_ONCE):
                self._ledger.publish(alerts[start : start + _WRITTEN_AT_ONCE])
            if look.failures:
                read_progress(self._client)  # where ClickHouse is away, that is nobody's fault
        except Exception:
            self._pending.add(namespace, taken)
            raise
        seconds = time.monotonic() - began
        self._report(namespace, look.problems)
        if not look.failures:
            self._pending.done(namespace, taken, seconds)
            return bool(alerts)
        place, failure = next(iter(look.failures.items()))
        permanent = isinstance(failure, PERMANENT) and not isinstance(failure, UnknownCheckpoint)
        if self._pending.failed(namespace, taken, seconds, time.monotonic(), permanent):
            log.warning("%s: %d accounts are looked at again: %s: %s", namespace, len(taken), place, failure)
        else:
            (account,) = taken
            said = f"account {account[:64]}: {place}: {type(failure).__name__}: {failure}"
            log.error("%s: alerts are left out until its usage or terms change: %s", namespace, said)
        return bool(alerts)

    def _evaluated(self, namespace: str, taken: Mapping[str, int]) -> tuple[Look, list[Alert]]:
        self._ledger.refresh()
        for record in self._reader.read_to(self._reader.end_offsets()):
            self._checkpoints.apply_bytes(record.value)
        offsets = read_progress(self._client)
        view, now_us, newest = self._catalog.view(namespace), self._now_us(), self._checkpoints.last
        if self._ledger.valid.covers(offsets):
            raise _Behind("ClickHouse is behind what an alert counted")
        if view.before < self._ledger.valid.catalog_offset(namespace):
            raise _Behind("the catalog that was read is behind what an alert was made by")
        room = MOST_A_DAY - self._ledger.valid.number_on(namespace, now_us // DAY_US)
        if room <= 0:
            raise _DayIsFull(now_us)
        rules = self._rules_of(view).active
        as_of = AsOf(now_us, newest.number if newest else 0, view.before, offsets)
        try:
            look = observe(self._client, view, self._checkpoints, rules, list(taken), now_us)
        except Exception as error:  # of these accounts: fewer are tried, down to the one that it is of
            return Look(failures={"accounts": error}), []
        periodic = [active for active in rules if active.rule.measure != "balance"]

        def look_at(accounts: Sequence[str], instant_us: int) -> Look:
            assert look.state is not None, "observe has read the accounts"
            return observe_state(self._client, self._checkpoints, periodic, look.state.at(accounts, instant_us))

        looks, left_over = earlier_looks(look, taken, look_at) if periodic else ([], {})
        self._pending.add(namespace, left_over)
        for earlier in looks:
            look.observed += earlier.observed
            look.failures |= earlier.failures
        alerts: dict[str, Alert] = {}
        oldest_us = now_us - EVALUATED_DAYS * DAY_US
        for alert in _alerts_of(namespace, look, as_of, self._ledger.valid.version, oldest_us):
            if len(alerts) >= room:  # what has no room is seen anew when there is some
                self._pending.add(namespace, taken)
                break
            alerts[alert.key.alert_id] = alert
        return look, list(alerts.values())

    def _report(self, namespace: str, problems: Mapping[str, str]) -> None:
        """Log each problem once, until it is another one."""
        for place, why in problems.items():
            if self._problems.get((namespace, place)) != why:
                if len(self._problems) >= _MOST_PROBLEMS:
                    self._problems.clear()
                self._problems[namespace, place] = why
                log.warning("%s: %s: no alerts of it: %s", namespace, place, why)


def _alerts_of(
    namespace: str, look: Look, as_of: AsOf, version_of: Callable[[str], int], oldest_us: int
) -> Iterator[Alert]:
    """What follows from a look. ``oldest_us``: periods that ended before it are passed over."""
    for active, observation in look.observed:
        if not 0 < observation.end_us < oldest_us:
            yield from next_alerts(namespace, active.rule, active.version, observation, as_of, version_of)
