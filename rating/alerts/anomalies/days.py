"""Which local days are judged at an instant, and the daily totals of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from rating.alerts.anomalies.verdict import NO_EVENTS, READ_DAYS, DayUsage
from rating.periods import local_midnight
from rating.usage import UsageQuery, measured, usage_totals
from schemas.catalog.profiles import ProfileVersion
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import instant, micros

JUDGED_DAYS: Final = 4
"""The present day and three before: so late is a day judged again, and its anomaly recovers."""
SETTLED_US: Final = 2 * 3_600_000_000
"""So long after its end a day has its events, and may be found silent."""


@dataclass(frozen=True, slots=True)
class LocalDays:
    """Successive local days of a zone, the last of which is the present one. ``starts``: microseconds UTC, ascending;
    ``end_us``: of the last."""

    starts: tuple[int, ...]
    end_us: int

    @classmethod
    def until(cls, now_us: int, zone: ZoneInfo) -> LocalDays:
        """The day of the instant and all before it that it takes. Raises ValueError far outside of this time."""
        today = instant(now_us).astimezone(zone).date()
        first = today - timedelta(days=READ_DAYS + JUDGED_DAYS - 1)
        dates = [first + timedelta(days=number) for number in range((today - first).days + 2)]
        *starts, end = sorted({micros(local_midnight(date, zone)) for date in dates})
        return cls(tuple(starts), end)

    def judged(self) -> list[tuple[int, int, int]]:
        """(index, start, end) of each day that is judged, the oldest first."""
        ends = (*self.starts[1:], self.end_us)
        return [
            (index, self.starts[index], ends[index])
            for index in range(max(len(self.starts) - JUDGED_DAYS, 0), len(self.starts))
        ]


def daily_totals(
    client: Any,
    namespace: str,
    versions: Sequence[ProfileVersion],
    accounts: Sequence[str],
    days: LocalDays,
    rolled_up: Cut | None,
) -> dict[str, list[DayUsage]]:
    """Account → its usage on each of ``days``, of those that have any; live, from windows as far as they reach. One
    query; blocking. ``rolled_up``: the newest cut that is in windows."""
    start_us = days.starts[0]
    profile = measured(versions, start_us, days.end_us)
    query = UsageQuery(
        namespace,
        profile,
        start_us,
        days.end_us,
        accounts=tuple(accounts),
        by_account=True,
        buckets_us=days.starts,
        rolled_up=rolled_up,
        plan="records" if rolled_up is None else "windows",
    )
    index = {start: number for number, start in enumerate(days.starts)}
    totals: dict[str, list[DayUsage]] = {}
    for group in usage_totals(client, query):
        assert group.account_id is not None, "grouped by account"
        assert group.bucket_us is not None, "grouped by day"
        if group.usage.quantity is not None:
            of_account = totals.setdefault(group.account_id, [NO_EVENTS] * len(days.starts))
            of_account[index[group.bucket_us]] = DayUsage(group.usage.quantity, group.usage.events)
    return totals
