"""Automatic top-ups of prepaid credit, as accounts, plans and subscriptions declare them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from schemas.catalog.base import Model, doubled, is_stored
from schemas.catalog.prepaid.units import CurrencyOrUnit, ExchangeRate
from schemas.prices.decimals import NotNegative, Positive
from schemas.values.currency import exponent, is_known, is_own_unit, is_too_fine


class TopUp(Model):
    """When prepaid credit is to be bought anew: a request is published, which whoever takes payments answers.

    What is compared is the live balance: grants in force, less what ended and running periods would draw, less what
    they would leave to be paid in money.
    """

    currency: CurrencyOrUnit
    """ISO 4217 code, or own unit, of the balance and of the amounts below"""
    floor: NotNegative
    """a request is made once the balance is this, or less"""
    target: Positive
    """the balance that the request restores"""
    daily_limit: Positive
    """in any 24 hours no more than this is requested; refused and withdrawn requests are not counted"""
    cost: ExchangeRate | None = None
    """of an own unit: what one is bought for, pinned by each request"""

    @model_validator(mode="after")
    def _closes_a_gap(self, info: ValidationInfo) -> Self:
        if is_stored(info) and not is_known(self.currency):
            return self
        for name in ("floor", "target", "daily_limit"):
            amount = getattr(self, name)
            if is_too_fine(amount, self.currency):
                raise ValueError(
                    f"{name} {amount} has more than {self.currency}'s {exponent(self.currency)} decimals; round it"
                )
        if is_own_unit(self.currency) != (self.cost is not None):
            text = "has no cost; write what one is bought for" if self.cost is None else "is money: remove cost"
            raise ValueError(f"{self.currency} {text}")
        if self.target <= self.floor:
            raise ValueError(f"target {self.target} must be above floor {self.floor}")
        if self.daily_limit < self.target:
            raise ValueError(
                f"daily_limit {self.daily_limit} is below target {self.target}, so that an empty balance could not be"
                " topped up; raise it"
            )
        return self


TopUps = Annotated[tuple[TopUp, ...], Field(max_length=8)]


def check_top_ups(top_ups: tuple[TopUp, ...]) -> None:
    """Raises ValueError if two are of one currency."""
    if currency := doubled([top_up.currency for top_up in top_ups]):
        raise ValueError(f"top_ups: {currency} stands twice; give it one floor")
