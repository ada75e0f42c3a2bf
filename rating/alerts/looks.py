"""Looks at accounts that wait, in shares (``pending``), and appends what follows to usage.alerts. Blocking, in one
thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.basis import Basis, BasisReader, Behind, DayIsFull
from rating.alerts.observations import Look
from rating.alerts.pending import PendingAccounts
from rating.estimates.account_state import PERMANENT
from schemas.ledgers.alert_record import Alert
from schemas.ledgers.checkpoints import UnknownCheckpoint, read_progress

log = logging.getLogger(__name__)

_WRITTEN_AT_ONCE: Final = 1000
_MOST_PROBLEMS: Final = 1000
Evaluate = Callable[[Basis, Mapping[str, int]], tuple[Look, Iterator[Alert]]]
"""From accounts, as ``PendingAccounts.take`` gives them, to what was measured and the records that follow."""


class Looks:
    """At the accounts of ``pending``, by ``evaluate``."""

    def __init__(
        self, client: Client, ledger: AlertLedger, basis: BasisReader, pending: PendingAccounts, evaluate: Evaluate
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._basis = basis
        self._pending = pending
        self._evaluate = evaluate
        self._problems: dict[tuple[str, str], str] = {}

    def until(self, deadline: float) -> bool | None:
        """Look until nothing is due, or the instant ``deadline`` (monotonic): whether anything was appended; None:
        nothing can be judged yet. Raises what Kafka or ClickHouse raise where nothing can be looked at."""
        appended = False
        while (now := time.monotonic()) < deadline and (due := self._pending.take(now)) is not None:
            try:
                appended = self._look(*due) or appended
            except Behind as error:
                log.info("%s: %s; looked at again", due[0], error)
                return None
            except DayIsFull as error:
                self._report(due[0], {"alerts": str(error)})
                self._pending.hold(due[0], time.monotonic() + error.seconds)
        return appended

    def _look(self, namespace: str, taken: dict[str, int]) -> bool:
        """Whether anything was appended."""
        began = time.monotonic()
        try:
            basis = self._basis.read(namespace)
            look, following = self._evaluate(basis, taken)
            alerts = self._within(basis.room, following, namespace, taken)
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
        subject, failure = next(iter(look.failures.items()))
        permanent = isinstance(failure, PERMANENT) and not isinstance(failure, UnknownCheckpoint)
        if self._pending.failed(namespace, taken, seconds, time.monotonic(), permanent):
            log.warning("%s: %d accounts are looked at again: %s: %s", namespace, len(taken), subject, failure)
        else:
            (account,) = taken
            said = f"account {account[:64]}: {subject}: {type(failure).__name__}: {failure}"
            until = "until its usage or terms change, or the next look in an hour"
            log.error("%s: alerts are left out %s: %s", namespace, until, said)
        return bool(alerts)

    def _within(self, room: int, following: Iterator[Alert], namespace: str, taken: Mapping[str, int]) -> list[Alert]:
        """Those for which there is room; what has none is seen anew when there is some."""
        alerts: dict[str, Alert] = {}
        for alert in following:
            if len(alerts) >= room:
                self._pending.add(namespace, taken)
                break
            alerts[alert.key.alert_id] = alert
        return list(alerts.values())

    def _report(self, namespace: str, problems: Mapping[str, str]) -> None:
        """Log each problem once, until it is another one."""
        for subject, why in problems.items():
            if self._problems.get((namespace, subject)) != why:
                if len(self._problems) >= _MOST_PROBLEMS:
                    self._problems.clear()
                self._problems[namespace, subject] = why
                log.warning("%s: %s: no alerts of it: %s", namespace, subject, why)
