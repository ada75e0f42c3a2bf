"""Features, their limits, and how plans and subscriptions grant them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from schemas.catalog.base import Code, Model, ProfileAddress, doubled
from schemas.catalog.entitlements.credit_floors import CreditFloor
from schemas.catalog.entitlements.rolling import RollingWindow, seconds_of
from schemas.prices.decimals import NotNegative

ResetInterval = Literal["billing_period", "minute", "hour", "day", "week", "month", "quarter", "year"]
_WHOLE: Final = range(-(2**63), 2**63)
_MOST_CHARACTERS: Final = 1024


def _static_value(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and value in _WHOLE):
        return value
    if isinstance(value, str) and len(value) <= _MOST_CHARACTERS:
        return value
    written = str(value) if len(str(value)) <= 40 else f"{str(value)[:40]}…"
    remedy = f"write true, false, a whole number of 64 bits, or a text of at most {_MOST_CHARACTERS} characters"
    text = f"{written} is no static value; {remedy}"
    raise PydanticCustomError("static_value", "{text}", {"text": text})


StaticValue: TypeAlias = Annotated[
    StrictBool
    | Annotated[StrictInt, Field(ge=_WHOLE.start, lt=_WHOLE.stop)]
    | Annotated[str, StringConstraints(strict=True, max_length=_MOST_CHARACTERS)],
    BeforeValidator(_static_value),
]
LimitKey: TypeAlias = tuple[str, str, int]
"""What is limited (quantity or amount), reset, seconds of a rolling window (0: none)."""


class FeatureLimit(Model):
    """A limit on the use of a metered feature: in quantity, or in money. Several hold side by side."""

    quantity: NotNegative | None = None
    """at most so much of the profile's quantity; either this or an amount"""
    amount: NotNegative | None = None
    """at most so much as the use costs by the plan's prices, in the plan's currency: over another time than the billing
    period, as if that time were a whole period of the terms that hold now"""
    hard: bool = True
    """true: use beyond it is not allowed; false: it is allowed, and the overage is told"""
    block: Annotated[bool, Field(exclude_if=lambda value: value is False)] = False
    """true, of a limit that is not hard: use beyond it is not allowed as long as an interim invoice of the subscription
    (`invoice_threshold`) is not paid"""
    reset: ResetInterval | None = None
    """interval after which the count restarts: the subscription's billing period, or the calendar in the account's
    time zone; null, without a rolling window: it never restarts"""
    rolling: RollingWindow | None = None
    """the last so many minutes, hours or days instead of a reset, e.g. `5 hours`; it moves in steps of at most a
    sixtieth, and what was used counts at least so long as it says"""

    @model_validator(mode="after")
    def _stands(self) -> Self:
        if (self.quantity is None) == (self.amount is None):
            raise ValueError("a limit is in quantity or in amount (money); give one of them")
        if self.reset is not None and self.rolling is not None:
            raise ValueError("a limit has a reset or a rolling window; give one of them, or two limits")
        if self.block and self.hard:
            raise ValueError("a hard limit refuses use beyond it, paid or not; write hard: false, or remove block")
        return self

    @property
    def key(self) -> LimitKey:
        """What makes two limits of one feature alike, whatever their numbers."""
        window = 0 if self.rolling is None else seconds_of(self.rolling)
        return "quantity" if self.amount is None else "amount", self.reset or "", window


LimitList = Annotated[tuple[FeatureLimit, ...], Field(max_length=16)]


class Feature(Model):
    """Something an account can be entitled to: on or off, a static value, or use that is metered by a profile."""

    code: Code
    """its name within the namespace, immutable"""
    name: str = ""
    """display name"""
    profile: ProfileAddress | None = None
    """`meter.profile` that measures its use; null: it is granted without being measured"""
    value: StaticValue | None = None
    """a static value (text, a whole number, true or false) that who has the feature is told; not beside a profile"""
    limits: LimitList = ()
    """limits of a metered feature, where the plan or the subscription has none of its own; none: unlimited"""
    limit: NotNegative | None = None
    """a single hard limit in quantity, written shorter; not beside `limits`"""
    reset: Literal["day", "week", "month", "quarter", "year"] | None = None
    """the reset of `limit`; null: it never restarts"""

    @model_validator(mode="after")
    def _stands(self) -> Self:
        if self.profile is None and (self.limit is not None or self.reset is not None):
            raise ValueError(f"feature {self.code}: limit and reset need a profile")
        if self.profile is None and self.limits:
            raise ValueError(f"feature {self.code}: limits need a profile, which measures the use; name one")
        if self.profile is not None and self.value is not None:
            raise ValueError(f"feature {self.code}: it has a value or a profile; remove one of them")
        if self.limits and (self.limit is not None or self.reset is not None):
            raise ValueError(f"feature {self.code}: limit and reset stand beside limits; move them into the list")
        check_limits(self.limits)
        return self

    @property
    def all_limits(self) -> tuple[FeatureLimit, ...]:
        """Its limits, the one of the short form as well."""
        if self.limit is None:
            return self.limits
        return (FeatureLimit(quantity=Decimal(self.limit), reset=self.reset),)


class FeatureGrant(Model):
    """A feature as a plan or a subscription grants it."""

    feature: Code
    """the feature"""
    granted: bool = True
    """false, on a subscription: takes a feature away that the plan grants"""
    value: StaticValue | None = None
    """replaces the feature's static value"""
    limits: LimitList | None = None
    """replace all limits of the feature; an empty list: unlimited; null: the feature's own"""
    block: Annotated[bool, Field(exclude_if=lambda value: value is False)] = False
    """true: not allowed as long as an interim invoice of the subscription (`invoice_threshold`) is not paid"""
    credit_floor: Annotated[CreditFloor | None, Field(exclude_if=lambda value: value is None)] = None
    """not allowed while the account's prepaid balance is at this floor or below, until credit is granted or a top-up is
    paid; null: whatever is left of it"""

    @model_validator(mode="after")
    def _stands(self) -> Self:
        if not self.granted and (self.value is not None or self.limits or self.block or self.credit_floor):
            raise ValueError(
                f"feature {self.feature}: granted is false; remove value, limits, block and credit_floor, or grant it"
            )
        check_limits(self.limits or ())
        return self


def check_limits(limits: tuple[FeatureLimit, ...]) -> None:
    """Raises ValueError if two limits count the same over the same time."""
    keys = [limit.key for limit in limits]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise ValueError(
                f"limits[{number}] counts {key[0]} over the same time as limits[{keys.index(key)}]; keep one of them"
            )


def check_grants(grants: tuple[FeatureGrant, ...]) -> None:
    """Raises ValueError if a feature is granted twice."""
    codes = [grant.feature for grant in grants]
    if code := doubled(codes):
        raise ValueError(f"features: {code} stands twice; grant it once")
