"""From verdicts on an account's days to records of usage.alerts. Pure.

An anomaly is an alert whose threshold is its kind and whose period is the day: so it is said once, and where late
events or voids take it back, `recovered`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rating.alerts.anomalies.days import SETTLED_US, LocalDays
from rating.alerts.anomalies.verdict import HISTORY_DAYS, KINDS, READ_DAYS, DayUsage, DayVerdict, judge
from rating.alerts.crossings import AsOf
from rating.alerts.watched import ActiveRule
from schemas.ledgers.alert_record import Alert, AlertKey
from schemas.prices.decimals import plain


@dataclass(frozen=True, slots=True)
class JudgedAccount:
    """An account's usage on each of ``days``, as a rule that watches ``metric`` (meter.profile) judges it."""

    namespace: str
    active: ActiveRule
    metric: str
    account_id: str
    days: LocalDays
    usage: Sequence[DayUsage]


def next_anomalies(account: JudgedAccount, as_of: AsOf, version_of: Callable[[str], int]) -> Iterator[Alert]:
    """The records that follow: of each day that is judged, and each kind, one where it became an anomaly of that kind,
    or is one no more. ``version_of``: alert id → the version that stands, 0 for none."""
    for index, start_us, end_us in account.days.judged():
        history, day = account.usage[max(index - READ_DAYS, 0) : index], account.usage[index]
        verdict = judge(history, day, ended=as_of.instant_us >= end_us + SETTLED_US)
        if verdict is None:
            continue
        for kind in KINDS:
            key = AlertKey(account.namespace, account.active.rule.code, account.account_id, "", start_us, kind)
            version = version_of(key.alert_id)
            if (verdict.kind == kind) == bool(version % 2):
                continue
            yield Alert(
                key,
                version // 2 + 1,
                "fired" if verdict.kind == kind else "recovered",
                account.active.version,
                "anomaly",
                account.metric,
                end_us,
                plain(verdict.high if kind == "spike" else verdict.low),
                "rising" if kind == "spike" else "falling",
                plain(day.quantity),
                as_of.instant_us,
                as_of.checkpoint,
                as_of.catalog_offset,
                as_of.offsets,
                _evidence(verdict, history, day),
            )


def _evidence(verdict: DayVerdict, history: Sequence[DayUsage], day: DayUsage) -> str:
    """What an anomaly's record says beside its value, as JSON."""
    numbers = {name: plain(getattr(verdict, name)) for name in ("expected", "low", "high", "score")}
    past = [plain(earlier.quantity) for earlier in history[-HISTORY_DAYS:]]
    return json.dumps(numbers | {"events": day.events, "history": past}, separators=(",", ":"))
