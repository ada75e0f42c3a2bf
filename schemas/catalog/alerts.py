"""Alert rules as catalog entries (pydantic): what is watched, and the thresholds at which an alert fires.
`rating/alerts/` evaluates them."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticKnownError

from schemas.catalog.base import BillingInterval, Code, Identifier, Model, ProfileAddress, is_stored
from schemas.catalog.prepaid.units import CurrencyOrUnit
from schemas.prices.decimals import MAX_EXACT_DIGITS, Positive, exact_decimal, plain
from schemas.values.currency import exponent

MAX_RULES: Final = 100
"""Alert rules in force in one namespace."""
MAX_THRESHOLDS: Final = 20
_EXACT: Final = Context(prec=MAX_EXACT_DIGITS)
AlertMeasure = Literal["usage", "spend", "balance", "entitlement", "anomaly"]
AlertDirection = Literal["rising", "falling"]


def _threshold(value: Any) -> str:
    """The canonical text of a threshold: a decimal, and ``%`` behind it where it is a percentage. Raises ValueError."""
    percent = isinstance(value, str) and value.strip().endswith("%")
    number = exact_decimal(value.strip().removesuffix("%") if percent else value)
    if number < 0:
        raise ValueError(f"{plain(number)} is negative; write 0 or more")
    return plain(number) + ("%" if percent else "")


Threshold = Annotated[
    str,
    BeforeValidator(_threshold),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?%?$", "examples": ["80%", "1000"]}),
]


def limit_of(threshold: str, base: Decimal | None) -> Decimal | None:
    """The value at which ``threshold`` (canonical text) is reached; ``base``: what percentages are of. None: it is a
    percentage of nothing."""
    number = Decimal(threshold.removesuffix("%"))
    if not threshold.endswith("%"):
        return number
    return None if base is None else _EXACT.multiply(number, base).scaleb(-2, _EXACT)


class AlertRule(Model):
    """Watches usage, the spend of running invoices or prepaid balances of a plan's subscriptions, one subscription, one
    account, or all accounts. Each subscription (for a balance, and for usage by ``interval``: each account) is watched
    by itself, and each of its periods anew."""

    code: Code
    """its name within the namespace, immutable"""
    name: str = ""
    """display name"""
    measure: AlertMeasure
    """usage: of a profile; spend: of the running invoice, after discounts and commitment, before prepaid credits;
    balance: what is left of prepaid credits after what running invoices would draw; entitlement: what is used of a
    metered feature, of what its limits grant; anomaly: days of an account on
    which the usage of a profile is a spike, a drop or silence by the eight weeks before"""
    profile: ProfileAddress | None = None
    """usage: the `meter.profile`, of any aggregation; anomaly: of a sum, count or count_unique"""
    feature: Code | None = None
    """entitlement: the metered feature; of several limits that of which the greatest share is used, none by minute or
    rolling window"""
    plan: Code | None = None
    """watches the subscriptions to this plan, in whichever version"""
    subscription: Code | None = None
    """watches this subscription"""
    account: Identifier | None = None
    """watches this account; with neither plan nor subscription nor account, all of the namespace are watched"""
    currency: CurrencyOrUnit | None = None
    """balance, and spend of an account or the namespace: what is in another currency is passed over"""
    interval: BillingInterval | None = None
    """usage: counted by calendar interval in the account's time zone; null: by the subscription's billing period;
    entitlement: of the limits that reset so; null: of all"""
    budget: Positive | None = None
    """what percentages are of; null: of the minimum commitment (spend), of what was granted (balance, entitlement)"""
    thresholds: Annotated[tuple[Threshold, ...], Field(max_length=MAX_THRESHOLDS)] = ()
    """values, or percentages with % behind them, at each of which an alert fires once a period; at least one, but for
    an anomaly, which has none"""
    direction: AlertDirection | None = None
    """rising: fires once the value is at the threshold or above, recovers below; falling: at it or below, recovers
    above; null: falling for a balance, else rising"""

    @property
    def falling(self) -> bool:
        """Whether it fires at or below its thresholds."""
        return self.direction == "falling" if self.direction else self.measure == "balance"

    @property
    def by_account(self) -> bool:
        """Whether accounts are watched rather than subscriptions."""
        by_interval = self.measure == "usage" and self.interval is not None
        return self.measure == "balance" or (by_interval and not (self.plan or self.subscription))

    @property
    def by_percentage(self) -> bool:
        """Whether some threshold is a percentage."""
        return any(threshold.endswith("%") for threshold in self.thresholds)

    @field_validator("thresholds")
    @classmethod
    def _number(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and info.data.get("measure") != "anomaly":
            raise PydanticKnownError("too_short", {"field_type": "Tuple", "min_length": 1, "actual_length": 0})
        return value

    @model_validator(mode="after")
    def _stands(self, info: ValidationInfo) -> Self:
        if self.currency is not None and not is_stored(info):
            exponent(self.currency)
        if fault := self._fault() or (None if is_stored(info) else self._fault_of_values()):
            raise ValueError(f"alert rule {self.code}: {fault}")
        return self

    def _fault_of_values(self) -> str | None:
        """A threshold that is reached before anything is used, or two that are one value: each crossing of it would be
        told twice."""
        nothing = [threshold for threshold in self.thresholds if not Decimal(threshold.removesuffix("%"))]
        if nothing and not self.falling and (self.measure != "usage" or nothing[0].endswith("%")):
            return (
                f"threshold {nothing[0]} is reached before anything is used; write more than 0, or direction: falling"
            )
        known: dict[Decimal, str] = {}
        for threshold in self.thresholds:
            value = limit_of(threshold, self.budget)
            if value is None:
                continue
            if value in known:
                return f"{threshold} and {known[value]} are both {plain(value)} of budget {self.budget}; leave one out"
            known[value] = threshold
        return None

    def _fault(self) -> str | None:
        """Why it cannot be evaluated, with the remedy."""
        subjects = [name for name in ("plan", "subscription", "account") if getattr(self, name) is not None]
        if len(subjects) > 1:
            return f"{' and '.join(subjects)} are both given; name one, or none for the whole namespace"
        if self.measure == "anomaly":
            return self._fault_of_anomaly(subjects)
        if not self.thresholds:
            return "thresholds are missing; write at least 1 item"
        if len(set(self.thresholds)) < len(self.thresholds):
            return "a threshold stands twice; leave one out"
        if (self.measure == "usage") != (self.profile is not None):
            return "usage needs a profile" if self.profile is None else f"{self.measure} takes no profile"
        if self.measure == "entitlement" or self.feature is not None:
            return self._fault_of_entitlement()
        if self.interval is not None and self.measure != "usage":
            return f"{self.measure} takes no interval, which is for usage and entitlement"
        if self.measure == "balance" and (self.plan is not None or self.subscription is not None):
            return "balances are of accounts; name an account, or none for the whole namespace"
        of_plan = self.plan is not None or self.subscription is not None
        takes_currency = self.measure == "balance" or (self.measure == "spend" and not of_plan)
        if takes_currency and self.currency is None:
            return f"{self.measure} needs a currency here, e.g. USD"
        if self.currency is not None and not takes_currency:
            why = "usage has none" if self.measure == "usage" else "it is the plan's"
            return f"leave out the currency: {why}"
        if self.by_percentage and self.budget is None and self.measure == "usage":
            return "percentages of usage need a budget, which they are of"
        if self.budget is not None and not self.by_percentage:
            return "a budget is what percentages are of; write thresholds as 80%, or leave it out"
        return None

    def _fault_of_entitlement(self) -> str | None:
        if self.feature is None or self.measure != "entitlement":
            return "entitlement needs a feature" if self.feature is None else f"{self.measure} takes no feature"
        if self.currency is not None or self.budget is not None:
            return "percentages of an entitlement are of what is granted; leave out currency and budget"
        if not all(threshold.endswith("%") for threshold in self.thresholds):
            return "thresholds of an entitlement are percentages of what is granted; write e.g. 80%"
        return None

    def _fault_of_anomaly(self, subjects: list[str]) -> str | None:
        if self.profile is None:
            return "anomaly needs a profile"
        if subjects not in ([], ["account"]):
            return f"anomalies are of accounts; leave out {subjects[0]}, name an account, or none for all of them"
        for name in ("feature", "currency", "interval", "budget", "direction", "thresholds"):
            if getattr(self, name):
                return f"anomaly takes no {name}: days are judged by the account's own weeks before"
        return None
