"""An account's prepaid balance beside the floor that a grant sets to it, with what is reserved and asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, TypeAlias

from rating.entitlements.held_usage import MeasuredAsOf
from rating.pricing import money_text
from rating.pricing.exact import exactly
from schemas.catalog.entitlements.credit_floors import CreditFloor
from schemas.values.record_copy import replace

_ZERO: Final = Decimal(0)
BalanceWith: TypeAlias = "Callable[[Mapping[str, Decimal]], Decimal | None]"
"""From quantities more, by profile's id, to the balance if they were used now, by the invoices' own code; None where
they cannot be priced before."""


@dataclass(frozen=True, slots=True)
class PrepaidLeft:
    """An account's prepaid balance in one currency at ``at_us`` (microseconds UTC), below zero where more was used than
    is left. ``left`` None: it cannot be told, and ``problem`` says why; ``asked_in_vain``: for the moment. ``as_of``:
    a cut of usage.events that is in it as a whole, of which it may know more; ``with_more``: what it would be with
    more use; None where ``left`` is."""

    left: Decimal | None
    at_us: int
    problem: str = ""
    asked_in_vain: bool = False
    as_of: MeasuredAsOf | None = None
    with_more: BalanceWith | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FlooredCredit:
    """The balance beside the floor that a grant sets to it. ``reserved``: what the account's reservations would draw;
    ``cost``: what the quantity asked for would draw besides; each None where it cannot be priced before, ``cost`` also
    where none is asked for. ``foreseen``: False where one of them cannot be priced."""

    floor: CreditFloor
    prepaid: PrepaidLeft
    reserved: Decimal | None = _ZERO
    cost: Decimal | None = None
    foreseen: bool = True

    def foreseeing(self, reserved: Mapping[str, Decimal], asked: tuple[str, Decimal] | None) -> FlooredCredit:
        """With what is reserved (profile's id → quantity) and asked for (profile's id, quantity), priced as if it were
        used now."""
        left, with_more = self.prepaid.left, self.prepaid.with_more
        if left is None or with_more is None or not (reserved or asked):
            return self
        held = with_more(reserved) if reserved else left
        then = held
        if asked is not None and held is not None:
            profile_id, quantity = asked
            with exactly():
                then = with_more({**reserved, profile_id: reserved.get(profile_id, _ZERO) + quantity})
        with exactly():
            return replace(
                self,
                reserved=None if held is None else left - held,
                cost=None if asked is None or then is None or held is None else held - then,
                foreseen=then is not None,
            )

    @property
    def above(self) -> bool | None:
        """Whether the balance is above the floor; None: it cannot be told."""
        return None if self.prepaid.left is None else self.prepaid.left > self.floor.floor

    @property
    def within(self) -> bool | None:
        """Whether the balance is above the floor with what is reserved off it, and the quantity asked for would leave
        it there or at the floor; what cannot be priced is not off it. None: it cannot be told."""
        if self.prepaid.left is None:
            return None
        with exactly():
            free = self.prepaid.left - (self.reserved or _ZERO) - self.floor.floor
            return free > 0 and free - (self.cost or _ZERO) >= 0

    @property
    def remaining(self) -> Decimal | None:
        """What may be drawn until the floor is reached, what is reserved left out; None: it cannot be told."""
        if self.prepaid.left is None or self.reserved is None:
            return None
        with exactly():
            return max(self.prepaid.left - self.reserved - self.floor.floor, _ZERO)

    @property
    def sentence(self) -> str:
        """Why a balance that is not within its floor does not allow what is asked for, and what helps."""
        if self.prepaid.left is None:
            return f"its prepaid balance cannot be told: {self.prepaid.problem}"
        currency = self.floor.currency
        left, floor = (money_text(amount, currency) for amount in (self.prepaid.left, self.floor.floor))
        more = f", of which {money_text(self.reserved, currency)} is reserved" if self.reserved else ""
        if self.cost:
            more += f"; the quantity asked for would draw {money_text(self.cost, currency)}"
        return (
            f"its prepaid balance is {left} {currency}{more}, and has to be above {floor}"
            f"{', and not below it then' if self.cost else ''}; grant credit, or have a top-up paid"
        )
