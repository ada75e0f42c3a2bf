"""A log of events and voids in memory, and what it comes to below a cut by a fold that is as plain as can be."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import reduce

from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.held_values import STEP_US, Appended, Held, rolling_from
from rating.entitlements.merging import merges
from rating.entitlements.questions import Asked, RollingNeed
from rating.usage import Measured, Usage, UsageGroup, no_usage

_EXACT = Context(prec=100)  # quantities have up to 38 digits

LOG = (1, 0)


@dataclass(frozen=True)
class Event:
    profile_id: str
    account_id: str
    at_us: int
    quantity: Decimal


@dataclass
class Log:
    """One partition: events, and voids of events (the offset of one)."""

    records: list[Event | int] = field(default_factory=list)

    def end(self, now_us: int) -> MeasuredAsOf:
        return MeasuredAsOf({LOG: len(self.records)}, now_us)

    def counted(self, start: int, until: int) -> list[Event]:
        """The events at offsets [start, until) that no void below ``until`` takes back."""
        voided = {record for record in self.records[:until] if isinstance(record, int)}
        return [
            record
            for offset, record in enumerate(self.records[:until])
            if offset >= start and isinstance(record, Event) and offset not in voided
        ]

    def voided_accounts(self, start: int, until: int) -> set[str]:
        offsets = [record for record in self.records[start:until] if isinstance(record, int)]
        return {event.account_id for offset in offsets if isinstance(event := self.records[offset], Event)}

    def appended(self, start: int, until: int, profiles: dict[str, Measured]) -> list[Appended]:
        steps: dict[tuple[str, str, int], list[Event]] = {}
        for event in self.counted(start, until):
            if event.profile_id in profiles:
                place = event.profile_id, event.account_id, event.at_us // STEP_US * STEP_US
                steps.setdefault(place, []).append(event)
        rows: list[Appended] = []
        for place, events in steps.items():
            profile = profiles[place[0]]
            rows.append((*place, str(total(profile, events).quantity) if merges(profile) else None, len(events)))
        return rows

    def whole(self, key: UsageKey, until: int, now_us: int) -> Held:
        """What is held of a key once it is measured as a whole."""
        account_id, asked = key
        own = [
            event
            for event in self.counted(0, until)
            if (event.profile_id, event.account_id) == (asked.profile.profile_id, account_id)
        ]
        if isinstance(asked, RollingNeed):
            from_us, _ = rolling_from(asked, now_us)
            steps: dict[int, list[Event]] = {}
            for event in own:
                if event.at_us >= from_us:
                    steps.setdefault(event.at_us // asked.step_us * asked.step_us, []).append(event)
            each = {step: total(asked.profile, events) for step, events in steps.items()}
            return Held((), each, from_us, now_us)
        inside = [event for event in own if asked.start_us <= event.at_us < asked.end_us]
        return Held((UsageGroup(total(asked.profile, inside)),) if inside else (), asked_us=now_us)


def total(profile: Measured, events: list[Event]) -> Usage:
    if not events:
        return no_usage(profile.aggregation)
    quantities = [event.quantity for event in events]
    value = {
        "sum": reduce(_EXACT.add, quantities, Decimal(0)),
        "count": Decimal(len(events)),
        "max": max(quantities),
        "min": min(quantities),
        "count_unique": Decimal(len(set(quantities))),
        "latest": max(events, key=lambda event: (event.at_us, event.quantity)).quantity,
    }[profile.aggregation]
    return Usage(value, len(events))


def used(log: Log, account_id: str, asked: Asked, until: int, now_us: int) -> Usage:
    """What the account used, counted event by event."""
    if isinstance(asked, RollingNeed):
        if asked.resets:
            start_us = now_us - now_us % asked.window_us
            end_us = start_us + asked.window_us
        else:
            end_us = now_us // asked.step_us * asked.step_us + asked.step_us
            start_us = end_us - asked.step_us - asked.window_us
    else:
        start_us, end_us = asked.start_us, asked.end_us
    inside = [
        event
        for event in log.counted(0, until)
        if (event.profile_id, event.account_id) == (asked.profile.profile_id, account_id)
        and start_us <= event.at_us < end_us
    ]
    return total(asked.profile, inside)
