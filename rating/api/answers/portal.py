"""What is answered about a customer's portal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from rating.api.answers.balances import AccountBalance
from rating.api.answers.entitlements import EntitlementAnswer
from rating.api.answers.explained import DayQuantity, DimensionQuantity, LinePeriod, Rounding
from rating.api.answers.invoices import InvoiceHead
from rating.api.answers.prices import PriceStep
from rating.api.answers.usage import RunningPeriods, UsageAnswer
from schemas.catalog.meters import Aggregation
from schemas.http.openapi import Answer, DecimalText


class PortalToken(Answer):
    """A token for one account's portal."""

    account_id: str
    token: str
    """as bearer of GET /v1/portal"""
    expires_at: datetime
    url: str
    """path of the page, below the service's own address"""


class PortalMetric(Answer):
    """A metric that the account is billed by."""

    metric: str
    unit: str
    dimensions: list[str]
    """what its usage can be grouped by"""


class PortalAccount(Answer):
    """An account as its customer sees it."""

    account_id: str
    name: str
    time_zone: str
    running: RunningPeriods
    usage: list[UsageAnswer]
    """each metric that is billed, in its running period by day"""
    balance: AccountBalance | None
    entitlements: list[EntitlementAnswer]
    metrics: list[PortalMetric]
    """what it is billed by, and GET /v1/portal/usage tells"""
    invoices: list[InvoiceHead]
    """the latest ones"""
    incomplete: bool
    """whether something cannot be told at present"""


class PortalInvoiceLine(Answer):
    """A line as its customer reads it."""

    number: int
    kind: Literal["usage", "flat", "adjustment", "discount", "commitment", "credit"]
    product: str
    description: str
    profile: str | None
    period_start: datetime
    period_end: datetime
    quantity: DecimalText | None
    """null on a line without usage"""
    events: int | None
    unit: str
    amount: DecimalText
    steps: list[PriceStep]
    note: str
    adjusts: str | None
    """the invoice that an adjustment adjusts"""


class PortalInvoice(Answer):
    """An invoice with its lines."""

    invoice: InvoiceHead
    lines: list[PortalInvoiceLine]


class PortalQuantity(Answer):
    """What was billed of a line's metric."""

    billed: DecimalText | None
    events: int | None
    unit: str
    rule: str
    events_shown: int
    days_add_up: bool
    by_day: list[DayQuantity]
    by_dimensions: list[DimensionQuantity] | None


class PortalTotal(Answer):
    """A total before or after an adjustment."""

    quantity: DecimalText | None
    events: int | None
    amount: DecimalText


class PortalAdjustment(Answer):
    """An adjustment beside what was billed before it."""

    adjusts: str
    difference: DecimalText
    before: PortalTotal | None
    now: PortalTotal
    late_events: int | None
    taken_back_events: int | None


class PortalLine(Answer):
    """How a line came about."""

    invoice_id: str
    line: int
    kind: str
    product: str
    description: str
    period: LinePeriod
    as_of: datetime
    metric: str | None
    """null on a line without usage"""
    aggregation: Aggregation | None
    event_names: list[str]
    quantity: PortalQuantity | None
    steps: list[PriceStep]
    rounding: Rounding
    note: str
    adjustment: PortalAdjustment | None


class PortalLineEvent(Answer):
    """An event behind a line."""

    idempotency_key: str
    source: str
    event_name: str
    timestamp: datetime
    local_time: datetime
    quantity: DecimalText
    value: Any
    """of a unique count"""
    dimensions: dict[str, Any]
    properties: dict[str, Any]
    """as they were sent, to the digit"""


class PortalLineEvents(Answer):
    """A page of the events behind a line."""

    events: list[PortalLineEvent]
    next_cursor: str | None


class PortalEvent(Answer):
    """An event as it was sent."""

    timestamp: datetime
    event_name: str
    idempotency_key: str
    source: str
    properties: dict[str, Any]


class PortalEvents(Answer):
    """A page of events in order of time."""

    events: list[PortalEvent]
    next_cursor: str | None
