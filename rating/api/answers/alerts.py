"""What is answered about alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.http.openapi import Answer


class AlertPosition(Answer):
    """The next offset of a partition of usage.events."""

    generation: int
    partition: int
    next_offset: int


class AlertAsOf(Answer):
    """When an alert's value was measured."""

    instant: datetime
    checkpoint: int | None
    """the last one then"""
    catalog_offset: int
    """catalog entries below it were known"""
    offsets: list[AlertPosition]
    """all events below these were counted"""


class Anomaly(Answer):
    """Why a day is an anomaly; quantities are decimal strings."""

    kind: Literal["spike", "drop", "silence"]
    """a spike at `high` or above; a drop, of a day that has ended, at `low` or below; silence: no event"""
    expected: str
    """the median of the same weekday in the eight weeks before"""
    low: str
    high: str
    score: str
    """how many spreads the value lies from `expected`"""
    events: int
    """of the day"""
    history: list[str]
    """the totals of the days before, up to 56, the oldest first"""


class UsageAlert(Answer):
    """An alert, or an anomaly, fired, or recovered."""

    alert_id: str
    """of rule, account, subscription, period and threshold"""
    version: int
    state: Literal["fired", "recovered"]
    episode: int
    """1, 2, …: how often it has fired in this period"""
    at: datetime
    """when it was said"""
    rule: str
    rule_version: int
    account_id: str
    subscription: str | None
    """null: the account is watched"""
    measure: Literal["usage", "spend", "balance", "entitlement", "anomaly"]
    metric: str | None
    """meter.profile of usage and anomalies"""
    feature: str | None
    """of entitlements"""
    currency: str | None
    """of spend and balance"""
    period_start: datetime | None
    """null: balances and entitlements have no period"""
    period_end: datetime | None
    """exclusive"""
    direction: Literal["rising", "falling"]
    threshold: str
    """as in the rule, e.g. 80%; of an anomaly its kind"""
    limit: str
    """the value that the threshold came to"""
    value: str
    """what was measured"""
    anomaly: Anomaly | None
    """null: the alert has a threshold"""
    as_of: AlertAsOf


class AlertPage(Answer):
    """A page of alerts, newest first."""

    alerts: list[UsageAlert]
    next_cursor: str | None


class AnomalyPage(Answer):
    """A page of anomalies, newest first."""

    anomalies: list[UsageAlert]
    next_cursor: str | None
