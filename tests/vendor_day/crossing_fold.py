"""Which alerts must have been said after each stage: a state for each rule, account and threshold. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from tests.vendor_day import vendor
from tests.vendor_day.fold import Fold, month_of

Alert = tuple[str, str, str, str, int]
"""account, rule, threshold, state, episode"""


class Crossings:
    """Alerts of one namespace's running month. Between two calls of ``settle`` values move in one direction alone:
    a crossing that is taken back before anybody looks is none."""

    def __init__(self) -> None:
        self._episodes: dict[tuple[str, str, str], int] = {}
        self._open: set[tuple[str, str, str]] = set()
        self.alerts: list[Alert] = []

    def settle(self, fold: Fold, account: str, now: datetime, live: Decimal) -> None:
        """Takes the values of an account as the fold has them, and its live balance."""
        for rule, threshold, crossed in _states(fold, account, now, live):
            name = account, rule, threshold
            if crossed and name not in self._open:
                self._open.add(name)
                self._episodes[name] = self._episodes.get(name, 0) + 1
                self.alerts.append((*name, "fired", self._episodes[name]))
            elif not crossed and name in self._open:
                self._open.remove(name)
                self.alerts.append((*name, "recovered", self._episodes[name]))


def _states(fold: Fold, account: str, now: datetime, live: Decimal) -> Iterator[tuple[str, str, bool]]:
    month = month_of(account, now)
    for share in vendor.SHARES:
        part = Decimal(share) / 100
        yield "usage", f"{share}%", fold.usage(account, "all", *month) >= vendor.USAGE_BUDGET * part
        yield "spend", f"{share}%", fold.spend(account, *month) >= vendor.SPEND_BUDGET * part
    if vendor.PREPAID[account]:
        yield "low", str(vendor.LOW_BALANCE), live <= vendor.LOW_BALANCE
