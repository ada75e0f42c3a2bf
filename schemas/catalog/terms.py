"""Terms agreed in addition to a plan's prices: discounts, price overrides of a subscription, prepaid credits.

An invoice uses the discounts and credits in force at the last moment of its period (start inclusive, end
exclusive). A date means local midnight in the account's time zone.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.catalog.base import Code, Identifier, Model, doubled, is_stored
from schemas.catalog.prepaid.units import CurrencyOrUnit, MoneyCode
from schemas.prices import PriceError, price_in, set_by_close
from schemas.prices.decimals import NotNegative, Positive
from schemas.prices.json_schema import PriceJson
from schemas.values.currency import exponent, is_known, is_own_unit, is_too_fine
from schemas.values.fine_instants import InstantOrDate
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject
from schemas.values.local_time import local_midnight, parse_zone

_EVER: Final = 2**63
_FIRST_YEAR: Final = 2000
"""Of grants that recur, so that what has to be looked at is bounded."""
_LAST_YEAR: Final = 2200


def _at_most_all(number: Decimal) -> Decimal:
    if number > 100:
        raise PydanticCustomError("percent", "{text}", {"text": f"{number} is above 100; write 100 for all of it"})
    return number


def _in_order(start: datetime | date | None, end: datetime | date | None, names: str) -> None:
    """Check the order of two dates or two instants. A date and an instant cannot be compared without a time zone,
    so that is left to the time of use."""
    for value in (start, end):
        if value is not None:
            try:
                boundary(value, "UTC")
            except ValueError as error:
                raise ValueError(f"{names}: {error}") from None
    if (
        start is not None
        and end is not None
        and isinstance(start, datetime) == isinstance(end, datetime)
        and end <= start
    ):
        raise ValueError(f"{names}: the second must be after the first")


class Discount(Model):
    """A percentage or a fixed amount per period off a product's lines, or off the whole invoice. Totals never fall
    below zero, and discounts are not prorated for short periods."""

    code: Code
    """its name, unique within its plan or subscription"""
    name: str = ""
    """name shown on invoices"""
    percent: Annotated[Positive, AfterValidator(_at_most_all)] | None = None
    """percentage, at most 100; either this or an amount"""
    amount: Positive | None = None
    """amount per period in the plan's currency; either this or a percentage"""
    product: Code | None = Field(None, description="applies to this product's lines; null: to the whole invoice")
    start: InstantOrDate | None = None
    """in force from this instant on; null: from the beginning"""
    end: InstantOrDate | None = None
    """no longer in force from this instant on; null: no end"""
    periods: Annotated[int, Field(ge=1)] | None = None
    """limits it to the subscription's first so many periods in which it was in force"""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            raise ValueError(f"discount {self.code}: give either percent or amount")
        _in_order(self.start, self.end, f"discount {self.code}, start and end")
        return self


def check_discounts(discounts: tuple[Discount, ...]) -> None:
    """Raises ValueError if two discounts have the same code."""
    codes = [discount.code for discount in discounts]
    if code := doubled(codes):
        raise ValueError(f"discounts: code {code} stands twice; give each a code of its own")


class PriceOverride(Model):
    """A different price for one charge of the plan, for one subscription."""

    charge: Code
    """the charge's code (by default its product's)"""
    price: PriceJson
    """replaces the charge's price"""

    @field_validator("price")
    @classmethod
    def _is_a_price(cls, price: JsonObject) -> JsonObject:
        try:
            parsed = price_in(price)
        except PriceError as error:
            raise ValueError(str(error)) from None
        if fault := set_by_close(parsed):
            raise ValueError(fault)
        return price


class Recurrence(Model):
    """A grant that is given again and again: its amount at ``effective``, and at each local midnight an interval later,
    until it expires. An invoice draws on the recurrence in which its period's last moment lies."""

    every: Literal["week", "month", "quarter", "year"]
    """counted from the local date of ``effective``"""
    rollover: NotNegative = Decimal(0)
    """what is left at the next recurrence is carried over up to this amount; what is beyond it expires"""


class CreditGrant(Model):
    """Prepaid credit of an account (or of one subscription); invoices draw on it until it is used up or expires.

    Grants are drawn in order of priority (lowest number first), expiry (earliest first, no expiry last), effective
    instant, code.
    """

    code: Code
    """its name within the namespace, immutable"""
    name: str = ""
    """display name"""
    account: Identifier | None = None
    """the account that owns it; either this or a subscription"""
    subscription: Code | None = None
    """the subscription whose invoices alone draw on it; either this or an account"""
    amount: Positive
    """the prepaid amount"""
    currency: CurrencyOrUnit
    """ISO 4217 code, or a unit of the namespace's own; only invoices in it draw on the grant"""
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """grants with lower numbers are drawn first"""
    effective: InstantOrDate | None = Field(None, description="in force from this instant on; null: from the beginning")
    expires: InstantOrDate | None = Field(None, description="no longer in force from this instant on; null: never")
    source: Literal["paid", "promotional"] = "paid"
    """whether the customer bought it, or was given it"""
    cost_basis: NotNegative | None = None
    """what the customer paid for the amount (of each recurrence), in its currency; null: not stated"""
    cost_currency: MoneyCode | None = None
    """of a grant in an own unit: the money of `cost_basis`, which pins the rate at which it was bought"""
    recurrence: Recurrence | None = None
    """given again at each interval; null: once"""

    products: Annotated[tuple[Code, ...], Field(max_length=100)] = ()
    """pays lines of these products alone; empty: whatever an invoice bills"""

    def written(self) -> JsonObject:
        """The body for the catalog, without fields that say what bodies of before them say."""
        body: JsonObject = self.model_dump(mode="json")
        without: JsonObject = {
            "source": "paid",
            "cost_basis": None,
            "cost_currency": None,
            "recurrence": None,
            "products": [],
        }
        return {name: value for name, value in body.items() if name not in without or value != without[name]}

    @model_validator(mode="after")
    def _belongs(self, info: ValidationInfo) -> Self:
        if (self.account is None) == (self.subscription is None):
            raise ValueError(f"credit grant {self.code}: give either account or subscription")
        if is_stored(info) and not is_known(self.currency):
            return self
        rollover = None if self.recurrence is None else self.recurrence.rollover
        for name, amount, currency in (
            ("amount", self.amount, self.currency),
            ("cost_basis", self.cost_basis, self.paid_in),
            ("rollover", rollover, self.currency),
        ):
            if amount is not None and is_too_fine(amount, currency):
                text = f"{name} {amount} has more than {currency}'s {exponent(currency)} decimals; round it"
                raise ValueError(f"credit grant {self.code}: {text}")
        _in_order(self.effective, self.expires, f"credit grant {self.code}, effective and expires")
        return self

    @model_validator(mode="after")
    def _origin(self, info: ValidationInfo) -> Self:
        if is_stored(info):
            return self
        if code := doubled(self.products):
            raise ValueError(f"credit grant {self.code}: product {code} stands twice; name it once")
        if self.source == "promotional" and self.cost_basis:
            raise ValueError(
                f"credit grant {self.code}: a promotional one costs nothing; remove cost_basis, or set source to paid"
            )
        if self.cost_currency is not None and (self.cost_basis is None or not is_own_unit(self.currency)):
            raise ValueError(
                f"credit grant {self.code}: cost_currency is of the cost_basis of a grant in an own unit; remove it"
            )
        if self.cost_basis is not None and is_own_unit(self.currency) and self.cost_currency is None:
            raise ValueError(
                f"credit grant {self.code}: cost_basis of {self.currency} is in money; write its cost_currency"
            )
        start = self.effective
        if self.recurrence is not None and (
            start is None or isinstance(start, datetime) or not _FIRST_YEAR <= start.year <= _LAST_YEAR
        ):
            raise ValueError(
                f"credit grant {self.code}: recurrences are counted from effective; set it to a date (YYYY-MM-DD) of"
                f" {_FIRST_YEAR} to {_LAST_YEAR}"
            )
        return self

    @property
    def paid_in(self) -> str:
        """The currency of ``cost_basis``."""
        return self.cost_currency or self.currency

    def order(self, zone: str) -> tuple[int, int, int, str]:
        """Sort key: grants are drawn in ascending order. ``zone``: the account's time zone."""
        effective, expires = boundary(self.effective, zone), boundary(self.expires, zone)
        return (
            self.priority,
            _EVER if expires is None else expires,
            -_EVER if effective is None else effective,
            self.code,
        )


def boundary(value: datetime | date | None, zone: str) -> int | None:
    """Microseconds UTC; a date means local midnight in ``zone``."""
    if value is None:
        return None
    return micros(value if isinstance(value, datetime) else local_midnight(value, parse_zone(zone)))


def in_force(start: datetime | date | None, end: datetime | date | None, moment_us: int, zone: str) -> bool:
    """Whether ``moment_us`` lies in [start, end); None: no limit on that side."""
    start_instant, end_instant = boundary(start, zone), boundary(end, zone)
    return (start_instant is None or start_instant <= moment_us) and (end_instant is None or moment_us < end_instant)
