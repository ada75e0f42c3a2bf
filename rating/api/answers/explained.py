"""What is answered about where a line came from."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from rating.api.answers.line_price import LinePrice
from rating.api.answers.prices import PriceStep
from schemas.catalog.meters import Aggregation, Filter
from schemas.http.openapi import Answer, DecimalText, EventPosition


class LinePeriod(Answer):
    """The time that a line is for."""

    start: datetime
    end: datetime
    time_zone: str
    local_start: datetime
    local_end: datetime
    seconds: int


class NextOffset(Answer):
    """Where a checkpoint ends in one partition of usage.events."""

    generation: int
    partition: int
    next_offset: int


class LineCheckpoint(Answer):
    """What the invoice is as of."""

    number: int
    as_of: datetime
    run_id: str
    catalog_offset: int
    offsets: list[NextOffset]


class ProfileVersion(Answer):
    """A rule of measuring that the line's usage was measured by."""

    version: int
    event_name: str
    aggregation: Aggregation
    property: list[str] | None
    filters: list[Filter]
    dimensions: list[str]
    valid_from: datetime | None
    valid_to: datetime | None


class LineProfile(Answer):
    """The profile of the line, and its versions in the period."""

    id: str
    aggregation: Aggregation
    unit: str
    versions: list[ProfileVersion]


class DayQuantity(Answer):
    """The quantity of one local day."""

    date: date
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    quantity: DecimalText | None
    events: int


class DimensionQuantity(Answer):
    """The quantity of one combination of dimension values."""

    values: dict[str, str | None]
    quantity: DecimalText | None
    events: int


class LineQuantity(Answer):
    """What was billed, and the same computed again from the records."""

    billed: DecimalText | None
    events: int | None
    unit: str
    recomputed: DecimalText | None
    recomputed_events: int
    agrees: bool
    """the records still give what was billed"""
    rule: str
    events_shown: int
    days_add_up: bool
    by_day: list[DayQuantity]
    by_dimensions: list[DimensionQuantity] | None
    events_at: str


class Rounding(Answer):
    """How the amount was rounded."""

    unrounded: DecimalText
    amount: DecimalText
    currency: str
    digits: int
    rule: str


class CountedEvent(Answer):
    """An event behind a line's quantity."""

    idempotency_key: str
    source: str
    event_name: str
    timestamp: datetime
    local_time: datetime
    quantity: DecimalText
    value: Any
    """of a unique count"""
    dimensions: dict[str, Any]
    profile_version: int
    position: EventPosition
    appended_at: datetime
    properties: dict[str, Any]
    """as they were sent, to the digit"""


class CountedEvents(Answer):
    """A page of the events behind a line."""

    events: list[CountedEvent]
    next_cursor: str | None


class LateEvents(CountedEvents):
    """The first of the events that came between two checkpoints."""

    count: int


class TakenBack(Answer):
    """An event that had counted and was voided between two checkpoints."""

    idempotency_key: str
    source: str
    event_name: str
    timestamp: datetime
    local_time: datetime
    quantity: DecimalText
    position: EventPosition
    voided_at: datetime
    reason: str
    author: str


class TakenBackEvents(Answer):
    """The first of the events that were voided between two checkpoints."""

    count: int
    events: list[TakenBack]


class BilledBefore(Answer):
    """A line that billed the same charge for the same period before."""

    invoice_id: str
    line: int
    kind: str
    checkpoint: int
    quantity: DecimalText | None
    amount: DecimalText


class TotalNow(Answer):
    """The total as of this invoice."""

    checkpoint: int
    as_of: datetime
    quantity: DecimalText | None
    events: int | None
    amount: DecimalText


class TotalBefore(TotalNow):
    """The total as of what was billed before."""

    recomputed: DecimalText | None


class Adjustment(Answer):
    """An adjustment line beside what was billed before it."""

    adjusts: str
    billed_before: list[BilledBefore]
    now: TotalNow
    difference: DecimalText
    before: TotalBefore | None
    late_events: LateEvents | None
    voided_events: TakenBackEvents | None


class LockedLine(Answer):
    """What came, or was voided, for a line behind the namespace's lock date, and is on no invoice."""

    lock_date: date
    checkpoint: int
    """of the last invoice that counted the line's usage"""
    late_events: int
    voided_events: int


class ExplainedLine(Answer):
    """Where a line's amount comes from."""

    invoice_id: str
    invoice_version: int
    state: Literal["draft", "finalized", "void", "paid", "withdrawn"]
    line: int
    kind: str
    charge: str
    product: str
    description: str
    namespace: str
    account_id: str
    subscription: str
    plan: str
    plan_version: int
    period: LinePeriod
    checkpoint: LineCheckpoint
    profile: LineProfile | None
    """null on a line without usage"""
    quantity: LineQuantity | None
    price: LinePrice
    steps: list[PriceStep]
    rounding: Rounding
    note: str
    adjustment: Adjustment | None
    locked: LockedLine | None
    """null unless it bills usage of a period behind the lock date of the present catalog"""
    sentence: str
    """all of it in a sentence for people"""
