"""Catalog models (pydantic) of what is sold and to whom, and of the namespace; those of what is measured are in
``meters``. Unknown fields are refused, so that a typo is never ignored."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from schemas.catalog.backfills import Backfill
from schemas.catalog.base import Code, Identifier, Model, is_stored
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.keys import ApiKey
from schemas.catalog.meters import EventType, Meter, PropertyPath
from schemas.catalog.terms import CreditGrant, Discount, PriceOverride, check_discounts
from schemas.catalog.webhooks import Webhook
from schemas.prices import PriceError, parse_price, set_by_close
from schemas.prices.decimals import NotNegative
from schemas.prices.json_schema import PriceJson
from schemas.values.currency import exponent, is_known
from schemas.values.fine_instants import InstantOrDate
from schemas.values.time_zones import NAMES

ProfileAddress = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)?$")]
Interval = Literal["day", "week", "month", "quarter", "year"]


NumberPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_. -]{0,24}(\{year\}[A-Za-z0-9/_. -]{0,24})?$")]


class Namespace(Model):
    """Settings of a namespace."""

    code: Code
    """its name, for ever"""
    name: str = ""
    """as people read it"""
    sandbox: bool = False
    """for trying things out; only said, nothing depends on it"""
    max_event_age_seconds: Annotated[int, Field(ge=60)] | None = 35 * 86_400
    """older events are refused; null lifts the limit, for history"""
    max_event_skew_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 3600
    """events from further in the future are refused"""
    account_paths: tuple[PropertyPath, ...] = (("account_id",), ("billingrails_account_id",))
    """where in the properties the account stands that an event does not name itself; the first that is there counts"""
    unknown_events: Literal["accept", "reject"] = "accept"
    """whether an event is taken whose name is neither an event type nor a meter's"""
    invoice_prefix: NumberPrefix = "INV-{year}-"
    """what invoice numbers given from now on begin with; `{year}` is the year (UTC) in which one is given"""
    credit_note_prefix: NumberPrefix = "CN-{year}-"
    """the same of credit notes"""
    webhook: Webhook | None = None
    """where versions of its invoices are sent"""
    bounds: NamespaceBounds | None = None
    """set by the operator alone; null: as they stand"""


class Feature(Model):
    """What an account is entitled to; a metered one names a profile, a limit and a reset."""

    code: Code
    """its name within the namespace, for ever"""
    name: str = ""
    """as people read it"""
    profile: ProfileAddress | None = None
    """`meter.profile` by which its use is counted; null: it is only granted"""
    limit: Annotated[str, StringConstraints(pattern=r"^\d{1,26}(\.\d{1,12})?$")] | None = None
    """how much of it; null: without limit"""
    reset: Interval | None = None
    """when counting begins anew"""

    @model_validator(mode="after")
    def _metered_is_whole(self) -> Self:
        if self.profile is None and (self.limit is not None or self.reset is not None):
            raise ValueError(f"feature {self.code}: limit and reset need a profile")
        return self


class Product(Model):
    """Something with a price: flat, or metered by one profile."""

    code: Code
    """its name within the namespace, for ever"""
    name: str = ""
    """as it stands on invoices"""
    unit: str = ""
    """of its quantities on invoices; the profile's where it is empty"""
    kind: Literal["flat", "metered"] = "metered"
    """whether usage counts, or a fee is billed"""
    profile: ProfileAddress | None = None
    """`meter.profile`, of a metered product"""

    @model_validator(mode="after")
    def _metered_has_profile(self) -> Self:
        if (self.kind == "metered") != (self.profile is not None):
            remedy = "needs a profile" if self.kind == "metered" else "takes no profile"
            raise ValueError(f"product {self.code}: kind {self.kind} {remedy}")
        return self


class Charge(Model):
    """A product with its price on a plan."""

    code: Code | None = None
    """its name on the plan; the product's where it is null"""
    product: Code
    """what it bills"""
    price: PriceJson
    """one of the price models; its currency is the plan's"""
    prorated: bool = True
    """false: a flat amount and a minimum are billed whole also for a part of a period"""
    in_advance: bool = False
    """flat products at flat prices: billed at the beginning of its period, and credited in part where that is cut
    short"""
    included: Literal["shared", "whole", "prorated"] | None = None
    """what a change of price in mid-period does to included and free units: shared: what was used before counts; whole:
    they begin anew; prorated: so many as the part of the period has of it, also where a period is short; null: shared
    on the same plan, anew on another"""
    tiers: Literal["continue", "reset"] | None = None
    """the same of tiers, started packages and the maximum: continue: they go on; reset: they begin anew; null: they go
    on on the same plan"""

    @property
    def key(self) -> str:
        """The charge's code, which defaults to the product's."""
        return self.code or self.product


class Plan(Model):
    """Charges in one currency, billed every interval."""

    code: Code
    """its name within the namespace, for ever"""
    name: str = ""
    """as people read it"""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    """ISO 4217 code of all its prices"""
    interval: Interval = "month"
    """how long a period is"""
    grace_seconds: Annotated[int, Field(ge=0, le=31 * 86_400)] = 3600
    """wait after a period's end before it is billed"""
    trial_days: Annotated[int, Field(ge=0, le=3660)] = 0
    """local days from the start of a subscription that begins on this plan, in which nothing is billed"""
    charges: Annotated[tuple[Charge, ...], Field(max_length=256)] = ()
    """what is billed"""
    discounts: Annotated[tuple[Discount, ...], Field(max_length=64)] = ()
    """for all its subscriptions"""
    minimum_commitment: NotNegative | None = None
    """a period's charges, after discounts, come to at least this; a true-up line says so"""
    payment_terms_days: Annotated[int, Field(ge=0, le=3660)] = 30
    """an invoice is due so many days after the local date on which it was finalised"""
    approval: Literal["none", "required"] = "none"
    """required: its invoices stay drafts until somebody approves them"""

    @model_validator(mode="after")
    def _charges_stand(self, info: ValidationInfo) -> Self:
        if is_stored(info) and not is_known(self.currency):
            return self  # its charges were judged when it was published; what needs the currency says so
        exponent(self.currency)
        check_discounts(self.discounts)
        codes: set[str] = set()
        for number, charge in enumerate(self.charges):
            if charge.key in codes:
                raise ValueError(
                    f"charges.{number}: code {charge.key} stands twice; give one of them a code of its own"
                )
            codes.add(charge.key)
            try:
                price = parse_price(charge.price, self.currency)
            except PriceError as error:
                raise ValueError(f"charges.{number} ({charge.key}): {error}") from None
            if charge.in_advance and price.model != "flat":
                raise ValueError(
                    f"charges.{number} ({charge.key}): in_advance needs a price of model flat, which can be credited "
                    "in part"
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
    """Who pays."""

    code: Identifier
    """the `account_id` of its events"""
    name: str = ""
    """as people read it"""
    time_zone: TimeZone = "UTC"
    """IANA name of the zone in which its periods and dates are"""


class Subscription(Model):
    """An account on a plan version from an instant.

    ``account``, ``start`` and ``end`` are the newest version's alone: an ``end`` is an instant itself. Discounts and
    commitment of a period are those of its last moment.
    """

    code: Code
    """its name within the namespace, for ever"""
    account: Identifier
    """who pays"""
    plan: Code
    """what it is billed by"""
    plan_version: Annotated[int, Field(ge=1)] | None = None
    """null: the version current at publication, pinned then"""
    start: InstantOrDate
    """billed from here on; a date means local midnight in the account's time zone"""
    end: InstantOrDate | None = None
    """billed until here, not included; null: without end"""
    billing_anchor: date | None = None
    """null: periods follow the calendar; a date: its day, clamped to the month's end, starts each period"""
    change_at: InstantOrDate | None = None
    """the instant from which all that a new version says holds, and all versions before it no longer; null: its
    publication; usage and fees are split there, what is billed already stays as billed"""
    trial_end: InstantOrDate | None = None
    """nothing is billed before it; null: the trial_days of the plan at the start count"""
    overrides: Annotated[tuple[PriceOverride, ...], Field(max_length=256)] = ()
    """replace prices of the plan's charges"""
    discounts: Annotated[tuple[Discount, ...], Field(max_length=64)] = ()
    """come after the plan's"""
    minimum_commitment: NotNegative | None = None
    """in place of the plan's; "0": none"""

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
