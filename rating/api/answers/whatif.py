"""What is answered about simulations and draft meters."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.catalog.meters import Aggregation
from schemas.http.openapi import Answer, DecimalText


class Compared(Answer):
    """An amount before and after."""

    before: DecimalText
    after: DecimalText
    difference: DecimalText


class ComparedCharge(Compared):
    """A charge before and after."""

    charge: str
    quantity: DecimalText | None


class ComparedSubscription(Compared):
    """A subscription before and after."""

    account_id: str
    subscription: str
    currency: str
    pays: Literal["less", "more", "the same"]
    charges: list[ComparedCharge]


class ComparedTotal(Compared):
    """All subscriptions of a currency."""

    currency: str
    subscriptions: int
    pay_less: int
    pay_more: int
    pay_the_same: int


class Simulation(Answer):
    """Another price or plan over a past period."""

    namespace: str
    period: str
    totals: list[ComparedTotal]
    problems: list[str]
    subscriptions: list[ComparedSubscription]
    """who would pay less comes first"""
    left_out: int


class CurrentUsage(Answer):
    """What the profile measures as it is published."""

    quantity: DecimalText | None
    events: int


class TriedAccount(Answer):
    """One account's usage by the draft."""

    account_id: str
    events: int
    quantity: DecimalText | None


class TriedProfile(Answer):
    """One profile of the draft on past events."""

    profile: str
    aggregation: Aggregation
    unit: str
    matched: int
    unmeterable: dict[str, int]
    """reason → events that passed its filters without a usable value"""
    not_matched: int
    quantity: DecimalText | None
    current: CurrentUsage | None
    accounts: list[TriedAccount]
    accounts_left_out: int


class Trial(Answer):
    """A draft meter on past events."""

    namespace: str
    time_zone: str
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    event_name: str
    events: int
    profiles: list[TriedProfile]
