"""Catalog models (pydantic): what a namespace declares. Unknown fields are refused, so that a typo is never ignored."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from schemas.catalog.backfills import Backfill
from schemas.catalog.base import Code, Identifier, Model, is_stored
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.keys import ApiKey
from schemas.catalog.terms import CreditGrant, Discount, PriceOverride, check_discounts
from schemas.catalog.webhooks import Webhook
from schemas.currency import exponent, is_known
from schemas.event_schema import parse_schema
from schemas.event_schema.compatibility import Compatibility
from schemas.filters import compile_filter
from schemas.fine_instants import InstantOrDate
from schemas.instants import parse_rfc3339
from schemas.prices import PriceError, parse_price, set_by_close
from schemas.prices.decimals import NotNegative
from schemas.prices.json_schema import PriceJson
from schemas.time_zones import NAMES

ProfileAddress = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)?$")]
PropertyPath = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...],
    Field(min_length=1, max_length=16),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]
Aggregation = Literal["sum", "count", "count_unique", "max", "min", "latest"]
Operator = Literal["in", "not_in", "eq", "ne", "gt", "gte", "lt", "lte", "exists", "contains", "starts_with"]
Window = Literal["minute", "hour", "day"]
Interval = Literal["day", "week", "month", "quarter", "year"]
WINDOW_SECONDS: dict[Window, int] = {"minute": 60, "hour": 3600, "day": 86_400}


def _plain_numbers(value: Any) -> Any:
    """Decimals as the int or float of the same text, so that a dump of the model has a JSON number again."""
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() and value.adjusted() < 19 else float(value)
        if Decimal(repr(number)) != value:
            raise ValueError(f"{value} has too many digits for a filter; write at most 15")
        return number
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain_numbers(item) for name, item in value.items()}
    return value


class Filter(Model):
    """One condition on a property; a profile's filters combine by AND."""

    property: PropertyPath
    operator: Operator
    value: Annotated[Any, BeforeValidator(_plain_numbers)] = None

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.operator == "exists" and self.value is None:
            object.__setattr__(self, "value", True)
        compile_filter(self.property, self.operator, self.value)
        return self


class Profile(Model):
    """One way of measuring a meter's events.

    ``carry_over`` (aggregation latest only): a period without events has the last value before it. ``compare`` (aggregation count_unique
    only): as JSON values, so that 42 and "42" are two, or by their text, so that they are one (42, 42.0 and "42"; true and "true").
    """

    code: Code
    name: str = ""
    unit: str = ""
    aggregation: Aggregation
    property: PropertyPath | None = None
    filters: tuple[Filter, ...] = ()
    dimensions: tuple[PropertyPath, ...] = ()
    carry_over: bool = False
    compare: Literal["value", "text"] = "value"

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if self.compare != "value" and self.aggregation != "count_unique":
            raise ValueError(f"profile {self.code}: compare goes with aggregation count_unique only; remove it")
        if self.carry_over and self.aggregation != "latest":
            raise ValueError(f"profile {self.code}: carry_over goes with aggregation latest only; remove it")
        if (self.aggregation == "count") != (self.property is None):
            remedy = "takes no property; remove it" if self.aggregation == "count" else "needs a property to aggregate"
            raise ValueError(f"profile {self.code}: aggregation {self.aggregation} {remedy}")
        return self


def _event_instant(value: Any) -> datetime:
    """In UTC, so that one instant has one text."""
    if isinstance(value, str):
        value = parse_rfc3339(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("write an RFC 3339 instant, e.g. 2026-01-31T00:00:00Z")
    if not 1970 <= value.year < 2200:
        raise ValueError("no event is of that time; write an instant between 1970 and 2200")
    return value.astimezone(UTC)


class Meter(Model):
    """An event type to measure, with one or more profiles.

    ``start``: what this version says holds for events of that instant and later, and ends what versions before it said there. In the
    past: events that came before it was published are backfilled. null: a first version counts what comes from now on, whatever
    its date; a later one holds from its publication.
    """

    code: Code
    name: str = ""
    unit: str = ""
    event_name: Identifier | None = None
    filters: tuple[Filter, ...] = ()
    window: Window = "day"
    start: Annotated[AwareDatetime, BeforeValidator(_event_instant)] | None = None
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _codes_differ(self) -> Self:
        codes = [profile.code for profile in self.profiles]
        if doubled := {code for code in codes if codes.count(code) > 1}:
            raise ValueError(
                f"meter {self.code}: profile code {min(doubled)} stands twice; codes of profiles must differ"
            )
        return self


NumberPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_. -]{0,24}(\{year\}[A-Za-z0-9/_. -]{0,24})?$")]


class Namespace(Model):
    """Settings of a namespace. ``max_event_age_seconds: null`` lifts the age limit (for history). ``unknown_events``: whether
    an event is taken whose name is neither an event type nor a meter's. ``invoice_prefix``: what invoice numbers given from now on
    begin with; ``{year}`` is the year (UTC) in which one is given; ``credit_note_prefix``: the same of credit notes. ``webhook``: where versions of its invoices are sent. ``bounds``: set by the
    operator alone; null: as they stand."""

    code: Code
    name: str = ""
    sandbox: bool = False
    max_event_age_seconds: Annotated[int, Field(ge=60)] | None = 35 * 86_400
    max_event_skew_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 3600
    account_paths: tuple[PropertyPath, ...] = (("account_id",), ("billingrails_account_id",))
    unknown_events: Literal["accept", "reject"] = "accept"
    invoice_prefix: NumberPrefix = "INV-{year}-"
    credit_note_prefix: NumberPrefix = "CN-{year}-"
    webhook: Webhook | None = None
    bounds: NamespaceBounds | None = None


class EventType(Model):
    """A documented event name. ``schema``: an Avro record schema of its events' properties, for plain JSON (see
    ``schemas/event_schema``); ``compatibility``: what a changed schema must be able to read."""

    model_config = ConfigDict(serialize_by_alias=True)

    code: Identifier
    name: str = ""
    description: str = ""
    compatibility: Compatibility = "backward"
    avro: Annotated[dict[str, Any] | None, BeforeValidator(_plain_numbers), Field(alias="schema")] = None

    @model_validator(mode="after")
    def _schema_stands(self) -> Self:
        if self.avro is not None:
            parse_schema(self.avro)
        return self


class Feature(Model):
    """What an account is entitled to; a metered one names a profile, a limit and a reset."""

    code: Code
    name: str = ""
    profile: ProfileAddress | None = None
    limit: Annotated[str, StringConstraints(pattern=r"^\d{1,26}(\.\d{1,12})?$")] | None = None
    reset: Interval | None = None

    @model_validator(mode="after")
    def _metered_is_whole(self) -> Self:
        if self.profile is None and (self.limit is not None or self.reset is not None):
            raise ValueError(f"feature {self.code}: limit and reset need a profile")
        return self


class Product(Model):
    """Something with a price: flat, or metered by one profile."""

    code: Code
    name: str = ""
    unit: str = ""
    kind: Literal["flat", "metered"] = "metered"
    profile: ProfileAddress | None = None

    @model_validator(mode="after")
    def _metered_has_profile(self) -> Self:
        if (self.kind == "metered") != (self.profile is not None):
            remedy = "needs a profile" if self.kind == "metered" else "takes no profile"
            raise ValueError(f"product {self.code}: kind {self.kind} {remedy}")
        return self


class Charge(Model):
    """A product with its price on a plan. ``price`` is DESIGN section 7's JSON; its currency is the plan's.

    ``prorated`` false: a flat amount and a minimum are billed whole also for a part of a period. ``in_advance`` (flat
    products at flat prices): billed on the invoice at the beginning of its period, and credited in part where that is cut short.

    ``included`` and ``tiers`` say what a change of price in mid-period does to a charge of the same code on the same profile:
    ``shared``: what was used of its included and free units before counts; ``whole``: they begin anew; ``prorated``: so many as the
    part of the period has of it, also where a period is short. ``continue``: tiers, started packages and the maximum go on; ``reset``:
    they begin anew. null: shared and continue as long as the plan is the same, in whichever version; on another plan, anew.
    """

    code: Code | None = None
    product: Code
    price: PriceJson
    prorated: bool = True
    in_advance: bool = False
    included: Literal["shared", "whole", "prorated"] | None = None
    tiers: Literal["continue", "reset"] | None = None

    @property
    def key(self) -> str:
        """The charge's code, which defaults to the product's."""
        return self.code or self.product


class Plan(Model):
    """Charges in one currency, billed every interval. ``grace_seconds``: wait after a period's end before billing.

    ``minimum_commitment``: a period's charges, after discounts, come to at least this; a true-up line says so.
    ``payment_terms_days``: an invoice is due so many days after the local date on which it was finalised.
    ``approval`` required: its invoices stay drafts until somebody approves them.
    ``trial_days``: local days from the start of a subscription that begins on this plan, in which nothing is billed.
    """

    code: Code
    name: str = ""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    interval: Interval = "month"
    grace_seconds: Annotated[int, Field(ge=0, le=31 * 86_400)] = 3600
    trial_days: Annotated[int, Field(ge=0, le=3660)] = 0
    charges: Annotated[tuple[Charge, ...], Field(max_length=256)] = ()
    discounts: Annotated[tuple[Discount, ...], Field(max_length=64)] = ()
    minimum_commitment: NotNegative | None = None
    payment_terms_days: Annotated[int, Field(ge=0, le=3660)] = 30
    approval: Literal["none", "required"] = "none"

    @model_validator(mode="after")
    def _charges_stand(self, info: ValidationInfo) -> Self:
        if is_stored(info) and not is_known(self.currency):
            return self  # its charges were judged when it was published; what needs the currency says so
        exponent(self.currency)
        check_discounts(self.discounts)
        seen: set[str] = set()
        for number, charge in enumerate(self.charges):
            if charge.key in seen:
                raise ValueError(
                    f"charges.{number}: code {charge.key} stands twice; give one of them a code of its own"
                )
            seen.add(charge.key)
            try:
                price = parse_price(charge.price, self.currency)
            except PriceError as error:
                raise ValueError(f"charges.{number} ({charge.key}): {error}") from None
            if charge.in_advance and price.model != "flat":
                raise ValueError(
                    f"charges.{number} ({charge.key}): in_advance needs a price of model flat, which can be credited in part"
                )
            if fault := set_by_close(price):
                raise ValueError(f"charges.{number} ({charge.key}): {fault}")
        return self


def _known_zone(value: Any, info: ValidationInfo) -> str:
    # A stored account always loads: where its zone has left the rules, its subscriptions say so, and nobody else's.
    if not isinstance(value, str) or (value not in NAMES and not is_stored(info)):
        raise ValueError(f"{value!r} is no IANA time zone; write e.g. America/New_York or UTC")
    return value


TimeZone = Annotated[str, BeforeValidator(_known_zone)]


class Account(Model):
    """Who pays. Its code is the ``account_id`` of its events."""

    code: Identifier
    name: str = ""
    time_zone: TimeZone = "UTC"


class Subscription(Model):
    """An account on a plan version from an instant.

    ``start`` and ``end``: an instant, or a date, which means local midnight in the account's time zone (the gateway
    turns it into an instant when it publishes). ``plan_version`` null: the version current at publication, pinned then.
    ``billing_anchor`` null: periods follow the calendar; a date: its day (clamped to the month's end) starts each period.
    ``overrides`` replace prices of the plan's charges, ``discounts`` come after the plan's, and ``minimum_commitment`` stands in place of
    the plan's ("0": none), for this subscription alone.
    ``change_at``: the instant from which all that a new version says holds, and all versions before it no longer; null: its
    publication. Usage and fees are split where plan or prices change, a period's discounts and commitment are those of its last moment;
    what is billed already stays as billed. ``account``, ``start`` and ``end`` are the newest version's alone: an ``end`` is an instant itself.
    ``trial_end``: nothing is billed before it; null: the trial_days of the plan at the start count.
    """

    code: Code
    account: Identifier
    plan: Code
    plan_version: Annotated[int, Field(ge=1)] | None = None
    start: InstantOrDate
    end: InstantOrDate | None = None
    billing_anchor: date | None = None
    change_at: InstantOrDate | None = None
    trial_end: InstantOrDate | None = None
    overrides: Annotated[tuple[PriceOverride, ...], Field(max_length=256)] = ()
    discounts: Annotated[tuple[Discount, ...], Field(max_length=64)] = ()
    minimum_commitment: NotNegative | None = None

    @model_validator(mode="after")
    def _terms_stand(self) -> Self:
        check_discounts(self.discounts)
        charges = [override.charge for override in self.overrides]
        if doubled := {code for code in charges if charges.count(code) > 1}:
            raise ValueError(f"overrides: charge {min(doubled)} stands twice; give it one price")
        return self

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if isinstance(self.start, datetime) and isinstance(self.end, datetime) and self.end <= self.start:
            raise ValueError(f"subscription {self.code}: end must be after start")
        return self


KINDS: dict[str, type[Model]] = {
    # In the order in which entries are published: what is referred to comes first.
    "namespace": Namespace,
    "event_type": EventType,
    "meter": Meter,
    "feature": Feature,
    "product": Product,
    "plan": Plan,
    "account": Account,
    "subscription": Subscription,
    "credit_grant": CreditGrant,
    "api_key": ApiKey,
    "backfill": Backfill,
}
