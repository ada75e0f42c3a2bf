"""What is answered about usage, running periods, credits, voided events, backfills and the books."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from rating.api.answers.as_of import LiveAsOf
from rating.api.answers.prices import PriceStep
from schemas.catalog.meters import Aggregation
from schemas.catalog.terms import Recurrence
from schemas.http.openapi import Answer, DecimalText, absent


class UsageTotal(Answer):
    """A measured quantity."""

    quantity: DecimalText | None
    """null where there is no maximum, minimum or latest"""
    events: int
    """how many events are behind it"""


class UsageRow(UsageTotal):
    """The quantity of one group; it has the members of what was grouped by."""

    account_id: str = absent()
    start: datetime = absent(alias="from")
    end: datetime = absent(alias="to")
    dimensions: dict[str, str | None] = absent()


class UsageAnswer(Answer):
    """Usage of a metric in [``from``, ``to``)."""

    namespace: str
    metric: str = Field(examples=["calls.abroad"])
    aggregation: Aggregation
    unit: str
    account_id: str | None
    """the one account that was asked for, else null"""
    account_ids: list[str]
    """those that were asked for; empty: of all accounts"""
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    time_zone: str = Field(examples=["America/New_York"])
    checkpoint: int | None
    """what it is as of; null: live"""
    group_by: list[str]
    total: UsageTotal
    rows: list[UsageRow]


class FirstEvent(Answer):
    """The earliest event of some usage."""

    idempotency_key: str
    source: str
    timestamp: datetime


class UnpricedUsage(Answer):
    """Usage for which a matrix price has no amount, so that it is not billed."""

    account_id: str
    subscription: str
    invoice_id: str | None
    charge: str
    profile_id: str
    period_start: datetime
    period_end: datetime
    dimensions: dict[str, str]
    quantity: DecimalText
    events: int | None
    first_event: FirstEvent | None
    plan: str
    plan_version: int
    remedy: str
    text: str


class Trend(Answer):
    """The same charge on the invoice of the period directly before."""

    invoice_id: str
    quantity: DecimalText | None
    amount: DecimalText
    change_percent: DecimalText | None


class RunningCharge(Answer):
    """A charge of a running period."""

    charge: str
    product: str
    kind: Literal["flat", "metered"]
    period_start: datetime
    period_end: datetime
    metric: str | None
    unit: str
    quantity: DecimalText | None
    events: int | None
    amount: DecimalText
    steps: list[PriceStep]
    note: str
    unpriced: list[UnpricedUsage]
    projected_quantity: DecimalText | None
    projected_amount: DecimalText
    trend: Trend | None


class Reduction(Answer):
    """What the invoice has beside its charges: fees settled and late usage, a discount, a commitment's true-up, what
    prepaid credits pay."""

    kind: Literal["adjustment", "discount", "commitment", "credit"]
    code: str
    amount: DecimalText
    text: str


class LastPeriod(Answer):
    """The invoice of the period directly before."""

    invoice_id: str
    period_start: datetime
    period_end: datetime


class RunningSubscription(Answer):
    """The running period of one subscription."""

    subscription: str
    time_zone: str
    plan: str
    plan_version: int
    period_start: datetime
    period_end: datetime
    currency: str = Field(examples=["USD"])
    estimated_subtotal: DecimalText
    estimated_total: DecimalText
    """what the invoice's total would be as of now"""
    projected_subtotal: DecimalText
    projected_total: DecimalText
    last_period: LastPeriod | None
    charges: list[RunningCharge]
    reductions: list[Reduction]


class RunningPeriods(Answer):
    """The running periods of an account, rated as invoices would be."""

    account_id: str
    time_zone: str
    at: datetime
    as_of: LiveAsOf
    """of the usage that is priced; ``at`` is its instant"""
    projection: str
    """how what is to come is estimated"""
    subscriptions: list[RunningSubscription]
    problems: list[str]
    """what could not be rated, in sentences"""


class CreditGrantBalance(Answer):
    """A grant, and what is left of it: ``granted`` = ``used`` + ``left`` + ``expired``."""

    code: str
    name: str
    account_id: str
    subscription: str | None
    currency: str
    priority: int
    effective: datetime | None
    expires: datetime | None
    state: Literal["pending", "active", "used", "expired", "retired"]
    granted: DecimalText
    used: DecimalText
    left: DecimalText
    expired: DecimalText
    products: list[str]
    """pays their lines alone; empty: whatever is billed"""
    source: Literal["paid", "promotional"]
    cost_basis: DecimalText | None
    """what was paid for the amount; null: not stated"""
    cost_currency: str | None
    """of ``cost_basis``: the currency, and of a grant in an own unit the money"""
    recurrence: Recurrence | None
    """null: granted once; else ``granted`` is what has been by now"""


class AccountCredits(Answer):
    """Prepaid credits of an account, in the order in which invoices draw on them."""

    account_id: str
    at: datetime
    balances: dict[str, DecimalText]
    """currency → what is left"""
    grants: list[CreditGrantBalance]


class BackfillStatus(Answer):
    """How far a profile version that was published with a start in the past is counted."""

    backfill: str
    meter: str
    version: int
    profiles: list[str]
    event_name: str
    start: datetime
    published_at: datetime
    state: Literal["waiting", "running", "done"]
    percent: int
    events_read: int
    events_total: int
    records: int
    checkpoint: int | None
    """from which on its older events count"""
    oldest_event: datetime | None


class BackfillList(Answer):
    """All backfills of a namespace."""

    backfills: list[BackfillStatus]


class StoredEvents(Answer):
    """How many events of a name are stored from an instant on."""

    event_name: str
    start: datetime = Field(alias="from")
    events: int
    oldest: datetime | None
    """the time of the first of them; null: there is none"""


class Books(Answer):
    """received = refused + accepted; accepted = metered + unmatched + duplicates + conflicts."""

    received: int
    namespace: str
    refused: int
    accepted: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    voided: int
    given_up: int
    lost: int
    balanced: bool
    """whether each accepted event is in exactly one place"""
