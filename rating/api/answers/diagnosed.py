"""What is answered about an account's events for a metric."""

from __future__ import annotations

from datetime import datetime

from schemas.catalog.meters import Aggregation
from schemas.http.openapi import Answer, DecimalText


class DiagnosedInterval(Answer):
    """Half-open, of event time."""

    start: datetime
    end: datetime


class EventSample(Answer):
    """A counted event; `value`: what stands at the property in question, as JSON text, empty where none is."""

    idempotency_key: str
    timestamp: datetime
    value: str


class EventGroup(Answer):
    """Events with one fate; `why`: the filter, the reason, the span."""

    why: str
    events: int
    examples: list[EventSample]


class RejectionCount(Answer):
    """Events of the account that were refused, at any time."""

    stage: str
    reason: str
    events: int
    detail: str


class OutsideInterval(Answer):
    """Counted events beyond the interval, and the times of the nearest; empty for none."""

    before: int
    nearest_before: str
    after: int
    nearest_after: str


class DiagnosedBilling(Answer):
    """Whether the usage is billed."""

    account_known: bool
    subscriptions: list[str]
    """those that overlap the interval"""
    charges: list[str]
    """those of the subscriptions that bill the profile"""
    unpriced: list[str]
    """usage that is metered and has no price, in sentences"""


class DiagnosisAnswer(Answer):
    """What became of an account's events for a metric. `received` events counted once; of these `matched` have records
    and are not voided, the others stand in the groups or were not looked at (`unexamined`)."""

    namespace: str
    account_id: str
    profile_id: str
    event_names: list[str]
    interval: DiagnosedInterval
    aggregation: Aggregation
    quantity: DecimalText | None
    received: int
    matched: int
    filtered: list[EventGroup]
    """refused by a filter"""
    unmeterable: list[EventGroup]
    """without a usable value"""
    not_valid: list[EventGroup]
    """at a time at which no version was valid"""
    too_early: list[EventGroup]
    """arrived before the metric was published"""
    unexamined: int
    duplicates: int
    rejections: list[RejectionCount]
    outside: OutsideInterval
    other_names: dict[str, int]
    """events of the account under names that the metric does not count"""
    similar_names: list[str]
    similar_accounts: list[str]
    billing: DiagnosedBilling
    waiting: int
    """packed batches of all accounts that are in the log and not metered yet"""
    voided: list[EventGroup]
    rounded: list[EventGroup]
    """matched events whose value had more than 12 decimals"""
    backfilling: str
    findings: list[str]
    """one to three sentences: what is the matter, most telling first, and what to do next"""
