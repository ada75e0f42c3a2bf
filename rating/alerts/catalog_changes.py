"""What of a catalog changed that alerts depend on: noted in the thread that follows the catalog, taken in another."""

from __future__ import annotations

import threading
from typing import Final

from schemas.catalog.state import Entry

_OF_ALL: Final = frozenset({"alert_rule", "plan", "product", "meter", "backfill", "feature"})
_OF_ACCOUNT: Final = frozenset({"account", "subscription", "credit_grant"})
_DECLARED: Final = ("top_ups", "invoice_threshold")
_MOST_ACCOUNTS: Final = 10_000
Changes = set[str] | None
"""Accounts to look at again; None: all of the namespace."""


class CatalogChanges:
    """Thread-safe. ``ruled``: whether any namespace ever had an alert rule, or declared top-ups or an
    ``invoice_threshold``; ``ruled_us``: since when, by the append time of the first (microseconds UTC), 0: none had."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ruled: set[str] = set()
        self.ruled_us = 0
        self._changes: dict[str, Changes] = {}

    @property
    def ruled(self) -> bool:
        """See the class."""
        return bool(self._ruled)

    def note(self, entry: Entry) -> None:
        """Take in the next entry of the catalog. Those of namespaces that never had a rule are passed over: their first
        rule has all accounts looked at."""
        with self._lock:
            if entry.kind == "alert_rule" or any(map(entry.body.get, _DECLARED)):
                self._ruled.add(entry.namespace)
                self.ruled_us = self.ruled_us or entry.published_us
            if entry.namespace not in self._ruled:
                return
            if entry.kind in _OF_ALL or entry.body.get("clock_ahead_seconds"):
                self._changes[entry.namespace] = None
            elif entry.kind in _OF_ACCOUNT:
                # A credit grant of a subscription alone names no account: all of the namespace are looked at.
                accounts = self._changes.setdefault(entry.namespace, set())
                if accounts is None:
                    return
                account = entry.code if entry.kind == "account" else entry.body.get("account")
                if isinstance(account, str) and len(accounts) < _MOST_ACCOUNTS:
                    accounts.add(account)
                else:
                    self._changes[entry.namespace] = None

    def take(self) -> dict[str, Changes]:
        """What changed since, by namespace."""
        with self._lock:
            changes, self._changes = self._changes, {}
        return changes

    def namespaces(self) -> list[str]:
        """Namespaces that have or had rules."""
        with self._lock:
            return sorted(self._ruled)
