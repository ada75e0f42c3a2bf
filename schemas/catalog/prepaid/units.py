"""A namespace's own units, in which plans are priced and credit is granted, and what they come to in money."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from schemas.catalog.base import Model
from schemas.prices.decimals import Positive
from schemas.values.currency import CURRENCY_OR_UNIT, OWN_UNIT, exponent, is_own_unit

CurrencyOrUnit = Annotated[str, StringConstraints(pattern=CURRENCY_OR_UNIT)]
UnitCode = Annotated[str, StringConstraints(pattern=rf"^{OWN_UNIT}$")]
MoneyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Unit(Model):
    """A unit of the namespace's own, such as tokens or credits. Plans, credit grants, top-ups and alert rules use its
    code as their currency."""

    code: UnitCode
    """its name, immutable, with its scale: `token` is counted in whole ones, `credit.2` in hundredths (at most 12
    decimals)"""
    name: str = ""
    """display name"""

    @model_validator(mode="after")
    def _is_no_currency(self) -> Self:
        if not is_own_unit(self.code):
            raise ValueError(f"{self.code} is the currency {self.code.upper()} in small letters; write another code")
        return self


class ExchangeRate(Model):
    """What one of an own unit comes to in money."""

    currency: MoneyCode
    """ISO 4217 code of the money"""
    rate: Positive
    """money for one unit"""

    @model_validator(mode="after")
    def _is_money(self) -> Self:
        exponent(self.currency)
        return self
