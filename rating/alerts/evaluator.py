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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.changed_accounts import changed_accounts, changed_namespaces, ranges_between
from rating.alerts.crossings import AsOf, next_alerts
from rating.alerts.observations import PERMANENT, Look, observe
from rating.alerts.pending import NEVER, PendingAccounts
from rating.alerts.watched import ActiveRule, accounts_of, may_watch, rules_in_force
from schemas.catalog.state import Catalog, NamespaceView
from schemas.clickhouse.client import connect
from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.alert_record import Alert
from schemas.ledgers.checkpoints import Checkpoints, UnknownCheckpoint, read_progress
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.generations import Offsets
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings

log = logging.getLogger(__name__)

_ROUND_SECONDS: Final = 2.0
_SWEEP_SECONDS: Final = 3600.0
_QUERY_SECONDS: Final = 20
_WRITTEN_AT_ONCE: Final = 1000
_MOST_PROBLEMS: Final = 1000


class Evaluator:
    """``now_us``: microseconds UTC. Close it."""

    def __init__(
        self, settings: Settings, catalog: Catalog, changes: CatalogChanges, ledger: AlertLedger,
        now_us: Callable[[], int],
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._changes = changes
        self._ledger = ledger
        self._now_us = now_us
        self._client: Client = connect(
            settings, timeout_seconds=2 * _QUERY_SECONDS, settings_of_queries={"max_execution_time": _QUERY_SECONDS}
        )
        self._checkpoints = Checkpoints()
        self._reader = LedgerReader(settings, CHECKPOINTS)
        self._rules: dict[str, tuple[ActiveRule, ...]] = {}
        self._pending = PendingAccounts()
        self._cursor: Offsets | None = None
        self._swept_at = float("-inf")
        self._problems: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
        self._client.close()

    def round(self) -> bool:
        """Look at what changed, for some seconds; whether there is more to do at once: accounts that wait, or records
        that were appended. Raises what Kafka or ClickHouse raise where nothing can be looked at."""
        began = time.monotonic()
        self._take_catalog_changes(began)
        if not self._rules:
            return False
        self._take_usage_changes()
        appended = False
        while time.monotonic() - began < _ROUND_SECONDS and (due := self._pending.take(time.monotonic())) is not None:
            appended = self._look(*due) or appended
        return appended or self._pending.due(time.monotonic())

    # --- what changed

    def _take_catalog_changes(self, now: float) -> None:
        changes = self._changes.take()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._swept_at = now
            changes = dict.fromkeys(self._changes.namespaces())
        for namespace, accounts in changes.items():
            view = self._catalog.view(namespace)
            rules = rules_in_force(view)
            if not rules:
                self._rules.pop(namespace, None)
                self._pending.forget(namespace)
                continue
            self._rules[namespace] = rules
            self._wait(view, rules, dict.fromkeys(accounts_of(view, rules) if accounts is None else accounts, NEVER))

    def _take_usage_changes(self) -> None:
        cursor = read_progress(self._client)
        earlier = cursor if self._cursor is None else self._cursor  # at first all accounts wait anyway
        ranges = ranges_between(earlier, cursor)
        for namespace, appended_ms in changed_namespaces(self._client, ranges).items():
            if (rules := self._rules.get(namespace)) is not None:
                changed = changed_accounts(self._client, namespace, ranges, appended_ms)
                self._wait(self._catalog.view(namespace), rules, changed)
        self._cursor = cursor

    def _wait(self, view: NamespaceView, rules: Sequence[ActiveRule], accounts: Mapping[str, int]) -> None:
        watched = {
            account: first_us
            for account, first_us in accounts.items()
            if any(may_watch(view, active.rule, account) for active in rules)
        }
        self._pending.add(view.namespace, watched)

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
        if self._ledger.valid.covers(offsets):
            raise LedgerUnavailable("ClickHouse is behind what an alert counted; it is asked again")
        view, now_us, newest = self._catalog.view(namespace), self._now_us(), self._checkpoints.last
        rules = self._rules.get(namespace, ())
        as_of = AsOf(now_us, newest.number if newest else 0, view.before, offsets)
        try:
            look = observe(self._client, view, self._checkpoints, rules, list(taken), now_us)
        except Exception as error:  # of these accounts: fewer are tried, down to the one that it is of
            return Look(failures={"accounts": error}), []
        for instant_us, accounts in _before(look, taken).items():
            periodic = [active for active in rules if active.rule.measure != "balance"]
            earlier = observe(self._client, view, self._checkpoints, periodic, accounts, instant_us)
            look.observed += earlier.observed
            look.failures |= earlier.failures
        alerts = [
            alert
            for active, observation in look.observed
            for alert in next_alerts(
                namespace, active.rule, active.version, observation, as_of, self._ledger.valid.version
            )
        ]
        return look, alerts

    def _report(self, namespace: str, problems: Mapping[str, str]) -> None:
        """Log each problem once, until it is another one."""
        for place, why in problems.items():
            if self._problems.get((namespace, place)) != why:
                if len(self._problems) >= _MOST_PROBLEMS:
                    self._problems.clear()
                self._problems[namespace, place] = why
                log.warning("%s: %s: no alerts of it: %s", namespace, place, why)


def _before(look: Look, taken: Mapping[str, int]) -> dict[int, list[str]]:
    """Last instant of the period before → the accounts whose usage changed in it, or earlier: an event of its last
    moments, or a late one, can cross its thresholds as well. Pure."""
    starts: dict[str, set[int]] = {}
    for _, observation in look.observed:
        if observation.start_us > 0 and taken.get(observation.account_id, NEVER) < observation.start_us:
            starts.setdefault(observation.account_id, set()).add(observation.start_us)
    instants: dict[int, list[str]] = {}
    for account, own in _ordered(starts):
        for start_us in own:
            instants.setdefault(start_us - 1, []).append(account)
    return instants


def _ordered(starts: Mapping[str, set[int]]) -> Iterable[tuple[str, list[int]]]:
    return ((account, sorted(own)) for account, own in sorted(starts.items()))
