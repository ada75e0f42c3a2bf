"""An account's prepaid balance beside the floor that a grant sets to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rating.pricing import money_text
from schemas.catalog.entitlements.credit_floors import CreditFloor


@dataclass(frozen=True, slots=True)
class PrepaidLeft:
    """An account's prepaid balance in one currency at ``at_us`` (microseconds UTC), below zero where more was used than
    is left. ``left`` None: it cannot be told, and ``problem`` says why; ``asked_in_vain``: for the moment."""

    left: Decimal | None
    at_us: int
    problem: str = ""
    asked_in_vain: bool = False


@dataclass(frozen=True, slots=True)
class FlooredCredit:
    """The balance beside the floor that a grant sets to it."""

    floor: CreditFloor
    prepaid: PrepaidLeft

    @property
    def above(self) -> bool | None:
        """Whether the balance is above the floor; None: it cannot be told."""
        return None if self.prepaid.left is None else self.prepaid.left > self.floor.floor

    @property
    def sentence(self) -> str:
        """Why a balance that is not above its floor allows nothing, and what helps."""
        if self.prepaid.left is None:
            return f"its prepaid balance cannot be told: {self.prepaid.problem}"
        currency = self.floor.currency
        left, floor = (money_text(amount, currency) for amount in (self.prepaid.left, self.floor.floor))
        return (
            f"its prepaid balance is {left} {currency}, and has to be above {floor};"
            " grant credit, or have a top-up paid"
        )
