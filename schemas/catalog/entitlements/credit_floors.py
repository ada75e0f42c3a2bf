"""How much prepaid credit an account must have left to use a feature."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import ValidationInfo, model_validator

from schemas.catalog.base import Model, is_stored
from schemas.catalog.prepaid.units import CurrencyOrUnit
from schemas.prices.decimals import NotNegative
from schemas.values.currency import exponent, is_known, is_too_fine


class CreditFloor(Model):
    """Prepaid credit, of money or of an own unit, that an account must have left to use a feature.

    What is compared is the balance that top-ups go by: grants in force, less what ended and running periods would
    draw, less what they would leave to be paid in money; less what open reservations of the account would draw.
    """

    currency: CurrencyOrUnit
    """ISO 4217 code, or own unit, of the balance"""
    floor: NotNegative = Decimal(0)
    """the balance has to be above this, and a quantity that is asked for must not make it less"""
    block: bool = True
    """true: while it is not, nothing is allowed; false: a check only says what is left"""

    @model_validator(mode="after")
    def _is_in_its_currency(self, info: ValidationInfo) -> Self:
        if is_stored(info) and not is_known(self.currency):
            return self
        if is_too_fine(self.floor, self.currency):
            raise ValueError(
                f"floor {self.floor} has more than {self.currency}'s {exponent(self.currency)} decimals; round it"
            )
        return self
