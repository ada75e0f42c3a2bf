"""Catalog models (pydantic) of namespaces, products, plans, accounts and subscriptions; those of meters are in
``meters``. Unknown fields are refused, so that a typo is never ignored."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from schemas.catalog.access.users import User
from schemas.catalog.alerts import AlertRule
from schemas.catalog.backfill_reach import Backfill
from schemas.catalog.base import BillingInterval, Code, Identifier, Model, ProfileAddress, doubled, is_stored
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.entitlements.features import Feature, FeatureGrant, check_grants
from schemas.catalog.keys import ApiKey
from schemas.catalog.meters import EventType, Meter, PropertyPath
from schemas.catalog.parties.invoice_parties import Buyer, Seller
from schemas.catalog.parties.site_origin import SiteOrigin
from schemas.catalog.prepaid.top_ups import TopUps, check_top_ups
from schemas.catalog.prepaid.units import CurrencyOrUnit, ExchangeRate, Unit
from schemas.catalog.terms import CreditGrant, Discount, PriceOverride, check_discounts
from schemas.catalog.webhook_setting import MAX_NAMED, NamedWebhook, Webhook
from schemas.prices import PriceError, price_in, set_by_close
from schemas.prices.decimals import NotNegative, Positive
from schemas.prices.json_schema import PriceJson
from schemas.values.currency import exponent, is_known, is_own_unit, is_too_fine
from schemas.values.fine_instants import InstantOrDate
from schemas.values.instants import SECOND
from schemas.values.time_zones import NAMES

NumberPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_. -]{0,24}(\{year\}[A-Za-z0-9/_. -]{0,24})?$")]


MAX_CLOCK_AHEAD_SECONDS: Final = 10 * 366 * 86_400


class Namespace(Model):
    """Settings of a namespace."""

    code: Code
    """its name, immutable"""
    name: str = ""
    """display name"""
    sandbox: bool = False
    """marks a namespace for experiments, which may have a clock of its own; settled once it is declared, and left out
    of a document it stays as it is"""
    clock_ahead_seconds: Annotated[int, Field(ge=0, le=MAX_CLOCK_AHEAD_SECONDS)] | None = None
    """of a sandbox: how far its clock is ahead of the present. It only grows, since what was billed is not taken back;
    null: unchanged, at first 0"""
    max_event_age_seconds: Annotated[int, Field(ge=60)] | None = 35 * 86_400
    """older events are refused; null: no limit, for importing history"""
    max_event_skew_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 3600
    """events further in the future are refused"""
    account_paths: tuple[PropertyPath, ...] = (("account_id",), ("billingrails_account_id",))
    """property paths in which the account of an event without account_id is looked up; the first that exists counts"""
    unknown_events: Literal["accept", "reject"] = "accept"
    """whether to accept events whose name belongs neither to an event type nor to a meter"""
    inbox: bool = False
    """whether it has a Kafka topic `usage.inbox.<code>`, for producers that write to Kafka themselves; one that exists
    stays, and is read, whatever this says"""
    invoice_prefix: NumberPrefix = "INV-{year}-"
    """prefix of invoice numbers assigned from now on; `{year}` is the year (UTC) of the assignment"""
    credit_note_prefix: NumberPrefix = "CN-{year}-"
    """prefix of credit note numbers, likewise"""
    seller: Seller | None = None
    """who makes out its invoices, as their PDF says; null: its display name alone"""
    portal_origins: Annotated[tuple[SiteOrigin, ...], Field(max_length=16)] = ()
    """sites whose pages may show a customer's portal in a frame, e.g. `https://app.example.com`; none: no page may"""
    lock_date: Annotated[date, Field(ge=date(1970, 1, 1), lt=date(8999, 1, 1))] | None = None
    """invoices of periods that ended at or before the beginning of this date (in their own time zone) are not adjusted
    any more: usage that comes, or is voided, for them later is listed as left out, and billed by nothing. It goes only
    forward, to today (UTC) at most; null: unchanged, at first none"""
    webhook: Webhook | None = None
    """receiver of its messages"""
    webhooks: Annotated[tuple[NamedWebhook, ...], Field(max_length=MAX_NAMED)] = ()
    """further receivers, each with the messages that it wants"""
    bounds: NamespaceBounds | None = None
    """limits that only the operator can set; null: unchanged"""

    @model_validator(mode="after")
    def _webhooks_differ(self) -> Self:
        codes = [webhook.code for webhook in self.webhooks]
        if code := doubled(codes):
            raise ValueError(f"webhooks: code {code} stands twice; give each a code of its own")
        return self

    @property
    def seconds_ahead(self) -> int:
        """How far its clock is ahead of the present; 0 for a live namespace, whatever its entry says."""
        return (self.clock_ahead_seconds or 0) if self.sandbox else 0

    @property
    def ahead(self) -> timedelta:
        """As ``seconds_ahead``."""
        return timedelta(seconds=self.seconds_ahead)

    @property
    def ahead_us(self) -> int:
        """As ``seconds_ahead``, in microseconds."""
        return self.seconds_ahead * SECOND

    def now_us(self, real_us: int) -> int:
        """The namespace's present, microseconds UTC, at the real present ``real_us``. Append times, checkpoints, API
        keys and sessions go by the real one."""
        return real_us + self.ahead_us

    def now(self, real: datetime) -> datetime:
        """As ``now_us``."""
        return real + self.ahead


class Product(Model):
    """Something with a price: flat, or metered by one profile."""

    code: Code
    """its name within the namespace, immutable"""
    name: str = ""
    """name shown on invoices"""
    unit: str = ""
    """unit shown on invoices; empty: the profile's"""
    kind: Literal["flat", "metered"] = "metered"
    """metered: bills usage; flat: bills a fee"""
    profile: ProfileAddress | None = None
    """`meter.profile` of a metered product"""

    @model_validator(mode="after")
    def _metered_has_profile(self) -> Self:
        if (self.kind == "metered") != (self.profile is not None):
            remedy = "needs a profile" if self.kind == "metered" else "takes no profile"
            raise ValueError(f"product {self.code}: kind {self.kind} {remedy}")
        return self


class Charge(Model):
    """A product with its price on a plan."""

    code: Code | None = None
    """its name on the plan; null: the product's"""
    product: Code
    """the product it bills"""
    price: PriceJson
    """one of the price models, in the plan's currency"""
    prorated: bool = True
    """false: a flat amount and a minimum are billed in full even for a part of a period"""
    in_advance: bool = False
    """flat products at flat prices only: billed at the beginning of the period, and credited in part if the period is
    cut short"""
    included: Literal["shared", "whole", "prorated"] | None = None
    """included and free units after a change of price within a period: shared: units used before the change count;
    whole: the full number is available again; prorated: the number is proportional to the part of the period, and also
    for a short period; null: shared if the plan stays the same, whole if it changes"""
    tiers: Literal["continue", "reset"] | None = None
    """tiers, started packages and the maximum after such a change: continue: usage before the change counts; reset:
    they start again; null: continue if the plan stays the same, reset if it changes"""

    @property
    def key(self) -> str:
        """The charge's code, which defaults to the product's."""
        return self.code or self.product


class Plan(Model):
    """Charges in one currency, billed every interval."""

    code: Code
    """its name within the namespace, immutable"""
    name: str = ""
    """display name"""
    currency: CurrencyOrUnit
    """ISO 4217 code, or a unit of the namespace's own, of all its prices"""
    interval: BillingInterval = "month"
    """length of a billing period"""
    grace_seconds: Annotated[int, Field(ge=0, le=31 * 86_400)] = 3600
    """seconds to wait after a period's end before it is billed"""
    trial_days: Annotated[int, Field(ge=0, le=3660)] = 0
    """days (in the account's time zone) from the start of a subscription that begins on this plan in which nothing is
    billed"""
    charges: Annotated[tuple[Charge, ...], Field(max_length=256)] = ()
    """products and prices that are billed"""
    discounts: Annotated[tuple[Discount, ...], Field(max_length=64)] = ()
    """discounts for all its subscriptions"""
    minimum_commitment: NotNegative | None = None
    """minimum total of a period's charges after discounts; the difference is billed as a true-up line"""
    invoice_threshold: Annotated[Positive | None, Field(exclude_if=lambda value: value is None)] = None
    """once so much use of a running period is not billed (after discounts), an interim invoice bills it"""
    features: Annotated[tuple[FeatureGrant, ...], Field(max_length=256)] = ()
    """features that an account has while a subscription to this plan is active"""
    payment_terms_days: Annotated[int, Field(ge=0, le=3660)] = 30
    """days after the local date of finalisation on which an invoice is due"""
    approval: Literal["none", "required"] = "none"
    """required: its invoices remain drafts until they are approved"""
    top_ups: TopUps = ()
    """when accounts with a subscription to this plan buy prepaid credit anew"""
    overage: ExchangeRate | None = None
    """of a plan in an own unit: the money to be paid for what grants do not cover; null: none"""

    @model_validator(mode="after")
    def _charges_stand(self, info: ValidationInfo) -> Self:
        if is_stored(info) and not is_known(self.currency):
            return self  # its charges were validated at publication; code that needs the currency reports the fault
        exponent(self.currency)
        check_discounts(self.discounts)
        check_grants(self.features)
        check_top_ups(self.top_ups)
        threshold = self.invoice_threshold
        if threshold is not None and is_too_fine(threshold, self.currency):
            raise ValueError(
                f"invoice_threshold: {threshold} has more than {self.currency}'s {exponent(self.currency)} decimals; "
                "round it to an amount that can be paid"
            )
        if self.overage is not None and not is_own_unit(self.currency):
            raise ValueError(f"overage is what an own unit comes to; {self.currency} is money: remove it")
        codes: set[str] = set()
        for number, charge in enumerate(self.charges):
            if charge.key in codes:
                raise ValueError(
                    f"charges.{number}: code {charge.key} stands twice; give one of them a code of its own"
                )
            codes.add(charge.key)
            try:
                price = price_in(charge.price, self.currency)
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
    # A stored account always loads. If its zone was removed from tzdata, only its own subscriptions report a fault.
    if not isinstance(value, str) or (value not in NAMES and not is_stored(info)):
        raise ValueError(f"{value!r} is no IANA time zone; write e.g. America/New_York or UTC")
    return value


TimeZone = Annotated[str, BeforeValidator(_known_zone)]


class Account(Model):
    """The customer who pays."""

    code: Identifier
    """the `account_id` of its events"""
    name: str = ""
    """display name"""
    time_zone: TimeZone = "UTC"
    """IANA name of the time zone of its periods and dates"""
    buyer: Buyer | None = None
    """whom its invoices are made out to, as their PDF says; null: its display name alone"""
    top_ups: TopUps = ()
    """when it buys prepaid credit anew, instead of what its subscriptions and plans say of that currency"""

    @model_validator(mode="after")
    def _top_ups_differ(self) -> Self:
        check_top_ups(self.top_ups)
        return self


class Subscription(Model):
    """An account's subscription to a plan version from an instant on.

    ``account``, ``start`` and ``end`` are taken from the newest version for all periods, since they name instants
    themselves. Discounts and commitment of a period are those in force at its last moment.
    """

    code: Code
    """its name within the namespace, immutable"""
    account: Identifier
    """the account that pays"""
    plan: Code
    """the plan that is billed"""
    plan_version: Annotated[int, Field(ge=1)] | None = None
    """null: the version in force at publication is pinned"""
    start: InstantOrDate
    """billed from this instant on; a date means local midnight in the account's time zone"""
    end: InstantOrDate | None = None
    """billed until this instant (exclusive); null: no end"""
    billing_anchor: date | None = None
    """null: periods follow the calendar; a date: each period starts on its day, clamped to the month's end"""
    change_at: InstantOrDate | None = None
    """the instant from which on a new version replaces the earlier ones; null: its publication; usage and fees are
    split there, and what is billed already stays billed"""
    trial_end: InstantOrDate | None = None
    """nothing is billed before this instant; null: determined by the trial_days of the plan at the start"""
    overrides: Annotated[tuple[PriceOverride, ...], Field(max_length=256)] = ()
    """replace prices of the plan's charges"""
    discounts: Annotated[tuple[Discount, ...], Field(max_length=64)] = ()
    """applied after the plan's discounts"""
    minimum_commitment: NotNegative | None = None
    """replaces the plan's; "0": none"""
    invoice_threshold: Annotated[Positive | None, Field(exclude_if=lambda value: value is None)] = None
    """replaces the plan's"""
    features: Annotated[tuple[FeatureGrant, ...], Field(max_length=256)] = ()
    """features in addition to the plan's; one that the plan grants, too, is replaced as a whole"""
    top_ups: TopUps = ()
    """when its account buys prepaid credit anew, instead of what the plan says of that currency"""

    @model_validator(mode="after")
    def _terms_stand(self) -> Self:
        check_discounts(self.discounts)
        check_grants(self.features)
        check_top_ups(self.top_ups)
        charges = [override.charge for override in self.overrides]
        if code := doubled(charges):
            raise ValueError(f"overrides: charge {code} stands twice; give it one price")
        return self

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if isinstance(self.start, datetime) and isinstance(self.end, datetime) and self.end <= self.start:
            raise ValueError(f"subscription {self.code}: end must be after start")
        return self


KINDS: dict[str, type[Model]] = {
    # In order of publication: entries come after those they refer to.
    "namespace": Namespace,
    "event_type": EventType,
    "meter": Meter,
    "feature": Feature,
    "unit": Unit,
    "product": Product,
    "plan": Plan,
    "account": Account,
    "subscription": Subscription,
    "credit_grant": CreditGrant,
    "alert_rule": AlertRule,
    "api_key": ApiKey,
    "user": User,
    "backfill": Backfill,
}
