"""What is answered about entitlements."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from rating.entitlements.decision import DenialReason
from schemas.catalog.entitlements.features import ResetInterval
from schemas.http.openapi import Answer, DecimalText, Position
from schemas.ledgers.reservations.valid_reservations import ReservationState


class MeasuredInstant(Answer):
    """What an answer is as of: all that the log had below ``positions``, read at ``at``, and the catalog below
    ``catalog_offset``."""

    at: datetime
    positions: list[Position]
    """next offsets of the log's partitions; empty where nothing had to be measured"""
    last_checkpoint: int | None
    """the last checkpoint, to which the live tail was added; null: there is none"""
    catalog_offset: int


class FeatureLimitUse(Answer):
    """A limit and its use."""

    of: Literal["quantity", "amount"]
    """quantity, or amount: in money"""
    hard: bool
    block: bool
    """whether use beyond it is not allowed as long as an interim invoice is not paid"""
    reset: ResetInterval | None
    rolling: str | None
    step_seconds: int | None
    """in which a rolling window moves; null for another"""
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    within: bool
    """whether the use, with the quantity asked for, stays within it"""
    unit: str
    """the metric's, or the currency"""
    granted: DecimalText
    used: DecimalText | None
    """null where there is no maximum, minimum or latest"""
    reserved: DecimalText
    """held by reservations that are open, or finalised and not in ``used`` yet"""
    remaining: DecimalText
    overage: DecimalText
    resets_at: datetime | None
    """null for a rolling window, and for one that never restarts"""


class FlooredBalance(Answer):
    """An account's prepaid balance beside a grant's floor."""

    currency: str
    """of the amounts; ISO 4217, or an own unit"""
    balance: DecimalText | None
    """grants in force, less what ended and running periods would draw, less what they would leave to be paid in money;
    null: it cannot be told"""
    floor: DecimalText
    block: bool
    """whether nothing is allowed that is not ``within``"""
    above: bool | None
    """whether the balance is above the floor, whatever is reserved and asked for"""
    reserved: DecimalText | None
    """what the account's open reservations would draw, of all its features, and those finalised and not in ``balance``
    yet; null: it cannot be priced before"""
    cost: DecimalText | None
    """what the quantity asked for would draw besides; null: none is asked for, or it cannot be priced before"""
    remaining: DecimalText | None
    """``balance`` less ``reserved`` and ``floor``, at least 0; null: it cannot be told"""
    within: bool | None
    """whether that is more than 0, and not less than ``cost``; null: it cannot be told"""
    at: datetime
    """the instant of the balance, at most some seconds ago"""
    positions: list[Position]
    """next offsets of the log's partitions: all below is in it, perhaps more; empty where it cannot be told"""


class CheckedEntitlement(Answer):
    """An account's entitlement to a feature. Numbers beside ``limits`` are of the limit that refuses, else of the hard
    one, or of soft ones any, of which least is left in proportion."""

    account_id: str
    feature: str
    kind: Literal["boolean", "static", "metered"] | None
    """null where it is not granted"""
    allowed: bool
    reason: DenialReason | None
    """why it is not allowed; null where it is"""
    detail: str
    """the same for people"""
    value: bool | int | str | None
    subscription: str | None
    plan: str | None
    plan_version: int | None
    metric: str | None
    unit: str | None
    granted: DecimalText | None
    """null: unlimited, or not metered"""
    used: DecimalText | None
    reserved: DecimalText | None
    """held by reservations"""
    remaining: DecimalText | None
    overage: DecimalText | None
    resets_at: datetime | None
    limits: list[FeatureLimitUse]
    credit: FlooredBalance | None
    """the account's prepaid balance, where the grant has a `credit_floor`"""


class EntitlementAnswer(CheckedEntitlement):
    """The same, with what it is as of."""

    as_of: MeasuredInstant


class EntitlementPage(Answer):
    """What an account may use now."""

    account_id: str
    time_zone: str
    entitlements: list[CheckedEntitlement]
    problems: list[str]
    """of subscriptions that cannot be read, which grant nothing"""
    next_cursor: str | None
    as_of: MeasuredInstant


class EntitlementChecks(Answer):
    """The answers of several checks, in their order."""

    results: list[CheckedEntitlement]
    as_of: MeasuredInstant


class ReservationAnswer(Answer):
    """So much of a feature is set apart for an account, or was."""

    reservation_id: str
    account_id: str
    feature: str
    state: ReservationState
    quantity: DecimalText
    """reserved"""
    used: DecimalText | None
    """with which it was finalised; 0 where it was released"""
    idempotency_key: str
    """of the request that reserved it"""
    reserved_at: datetime
    expires_at: datetime
    closed_at: datetime | None


class ReservationPage(Answer):
    """Reservations of a feature, the last one first."""

    account_id: str
    feature: str
    reservations: list[ReservationAnswer]
    next_cursor: int | None
