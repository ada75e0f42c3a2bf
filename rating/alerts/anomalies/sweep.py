"""When which accounts are judged: all that a rule of anomalies watches, once an hour, and at once where a namespace's
rules of anomalies change. Blocking."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.anomalies.days import LocalDays, daily_totals
from rating.alerts.anomalies.next_anomalies import JudgedAccount, next_anomalies
from rating.alerts.basis import Basis, BasisReader
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.looks import Looks
from rating.alerts.observations import Look
from rating.alerts.pending import NEVER, PendingAccounts
from rating.alerts.watched import ActiveRule, anomaly_rules
from rating.periods import parse_zone
from schemas.catalog.meters import ZERO_WITHOUT_USAGE
from schemas.catalog.profiles import resolve
from schemas.catalog.state import Catalog, NamespaceView
from schemas.ledgers.alert_record import Alert
from schemas.ledgers.checkpoints import Cut, rolled_up

_SWEEP_SECONDS: Final = 3600.0
_ROUND_SECONDS: Final = 1.0


class AnomalySweep:
    """``round`` after those of the other rules: it looks for a second, at accounts of all namespaces in equal
    shares."""

    def __init__(
        self, client: Client, catalog: Catalog, changes: CatalogChanges, ledger: AlertLedger, basis: BasisReader
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._changes = changes
        self._ledger = ledger
        self._basis = basis
        self._pending = PendingAccounts()
        self._looks = Looks(client, ledger, basis, self._pending, self._evaluated)
        self._rules: dict[str, tuple[int, tuple[ActiveRule, ...]]] = {}  # with the view's offset
        self._swept: dict[str, tuple[float, tuple[ActiveRule, ...]]] = {}  # when, by which rules

    def round(self) -> bool:
        """Whether there is more to do at once. Raises what Kafka or ClickHouse raise where nothing can be looked
        at."""
        began = time.monotonic()
        for namespace in self._changes.namespaces():
            self._begin(self._catalog.view(namespace), began)
        if not len(self._pending):
            return False
        appended = self._looks.until(began + _ROUND_SECONDS)
        return appended is not None and (appended or self._pending.due(time.monotonic()))

    def _begin(self, view: NamespaceView, now: float) -> None:
        """Let the namespace's accounts wait, where they are due."""
        rules = self._rules_of(view)
        swept_at, by_rules = self._swept.get(view.namespace, (now, ()))
        if not rules:
            if by_rules:
                self._pending.forget(view.namespace)
                del self._swept[view.namespace]
        elif rules != by_rules or now - swept_at >= _SWEEP_SECONDS:
            self._swept[view.namespace] = now, rules
            named = {active.rule.account for active in rules}
            accounts = [entry.code for entry in view.all("account") if None in named or entry.code in named]
            self._pending.add(view.namespace, dict.fromkeys(accounts, NEVER))

    def _rules_of(self, view: NamespaceView) -> tuple[ActiveRule, ...]:
        before, rules = self._rules.get(view.namespace, (-1, ()))
        if before != view.before:
            rules = anomaly_rules(view)
            self._rules[view.namespace] = view.before, rules
        return rules

    def _evaluated(self, basis: Basis, taken: Mapping[str, int]) -> tuple[Look, Iterator[Alert]]:
        look, judged = Look(), list[JudgedAccount]()
        zones: dict[str, list[str]] = {}
        for account in taken:
            zones.setdefault(basis.view.time_zone(account), []).append(account)
        cut = self._rolled_up()
        for active in self._rules_of(basis.view):
            for zone, accounts in zones.items():
                rule_name = f"rule {active.rule.code}"
                named = [account for account in accounts if active.rule.account in (None, account)]
                if not named:
                    continue
                try:
                    judged += self._judged(basis, active, zone, named, cut)
                except (LookupError, ValueError) as error:  # of the profile, of the zone
                    look.problems[rule_name] = str(error)
                except Exception as error:  # the other rules' questions are answered nevertheless
                    look.failures[rule_name] = error
        version_of = self._ledger.valid.version
        return look, (alert for account in judged for alert in next_anomalies(account, basis.as_of, version_of))

    def _judged(
        self, basis: Basis, active: ActiveRule, zone: str, accounts: list[str], cut: Cut | None
    ) -> Iterator[JudgedAccount]:
        view = basis.view
        versions = resolve(view, active.rule.profile or "")
        if versions[-1].aggregation not in ZERO_WITHOUT_USAGE:
            raise ValueError(f"{versions[-1].profile_id} is a {versions[-1].aggregation}, which is not judged by day")
        days = LocalDays.until(basis.as_of.instant_us, parse_zone(zone))
        totals = daily_totals(self._client, view.namespace, versions, accounts, days, cut)
        for account, usage in totals.items():
            yield JudgedAccount(view.namespace, active, versions[-1].profile_id, account, days, usage)

    def _rolled_up(self) -> Cut | None:
        """The newest cut that is in windows and that was read."""
        last = self._basis.checkpoints.last
        number = min(rolled_up(self._client), last.number if last else 0)
        return self._basis.checkpoints.cut(number) if number else None
