"""A line on its way through the stages of rating, the steps that explain its amount, and the priced result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from rating.pricing.exact import exactly, money_text
from schemas.prices import plain
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

ZERO: Final = Decimal(0)
OTHERS: Final[tuple[str, ...]] = ()
"""In place of dimension values: many combinations that no cell of a price names, as one quantity."""

StepKind = Literal[
    "negative_quantity",
    "unpriced",
    "included_units",
    "free_units",
    "earlier",
    "flat",
    "per_unit",
    "tier",
    "package",
    "percentage",
    "fixed_amount",
    "cell",
    "others",
    "proration",
    "maximum",
    "minimum",
    "trial",
    "discount",
    "commitment",
    "credit",
    "in_advance",
    "rounding",
]


class Step(Struct, frozen=True):
    """One thing that happened to a line; the amounts of all steps sum to the unrounded amount.

    ``tier`` counts from 1; ``lower`` (exclusive) and ``upper`` (inclusive, None: open) are its bounds, in JSON
    ``from`` and ``to``. ``rate`` is in percent. ``count``: number of combinations of dimension values that share the
    step. Fields that do not apply are None.
    """

    kind: StepKind
    amount: Decimal
    text: str
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    rate: Decimal | None = None
    flat_amount: Decimal | None = None
    tier: int | None = None
    lower: Decimal | None = None
    upper: Decimal | None = None
    values: tuple[str, ...] | None = None
    count: int | None = None

    def as_json(self) -> JsonObject:
        """Ready for json.dumps: decimals as plain strings, what does not apply left out."""
        written: JsonObject = {"kind": self.kind}
        if self.tier is not None:
            written["tier"] = self.tier
            written["from"] = plain(self.lower or ZERO)
            written["to"] = None if self.upper is None else plain(self.upper)
        if self.values is not None:
            written["values"] = list(self.values)
        for name in ("quantity", "unit_amount", "rate", "flat_amount"):
            number: Decimal | None = getattr(self, name)
            if number is not None:
                written[name] = plain(number)
        written |= {"amount": plain(self.amount), "text": self.text}
        return written if self.count is None else written | {"count": self.count}


@dataclass(frozen=True, slots=True)
class MatrixQuantity:
    """The quantity of one combination of values, in the order of the price's dimensions; ``events`` behind it, where
    they are known.

    ``others``: how many combinations it is the sum of, with OTHERS for values; 0 for a single one. ``below_zero``: the
    sum of those of them that are negative.
    """

    values: tuple[str, ...]
    quantity: Decimal
    events: int | None = None
    others: int = 0
    below_zero: Decimal = ZERO


class PricingLine(Struct, frozen=True):
    """A line between two stages. ``quantity``: what is left to price. ``cells``: the same by dimension values, for a
    matrix, else None. ``unpriced``: what the price has no amount for, and is not in ``quantity`` any more.
    ``others``: what ``cells`` has for OTHERS, as it was measured."""

    quantity: Decimal
    events: Decimal | None = None
    cells: Mapping[tuple[str, ...], Decimal] | None = None
    steps: tuple[Step, ...] = ()
    unpriced: tuple[MatrixQuantity, ...] = ()
    others: MatrixQuantity | None = None

    @property
    def total(self) -> Decimal:
        """The exact sum of the steps' amounts so far."""
        with exactly():
            return sum((step.amount for step in self.steps), ZERO)

    def then(self, *steps: Step) -> PricingLine:
        """The line with further steps behind those it has."""
        return replace(self, steps=self.steps + steps)


class Rated(Struct, frozen=True):
    """A priced quantity. ``amount`` is ``unrounded``, rounded once, half away from zero, to the currency's exponent.

    ``billable`` is the quantity after included and free units. ``notes`` are sentences an invoice line must show.
    ``unpriced``: what the price has no amount for; it is in ``quantity``, and neither in ``billable`` nor in the
    amount.
    """

    quantity: Decimal
    billable: Decimal
    currency: str
    amount: Decimal
    unrounded: Decimal
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    unpriced: tuple[MatrixQuantity, ...] = ()

    def units_taken(self, kind: Literal["included_units", "free_units"]) -> Decimal:
        """How many units of that kind were taken off the quantity."""
        with exactly():
            return sum((step.quantity or ZERO for step in self.steps if step.kind == kind), ZERO)

    def as_json(self) -> JsonObject:
        """As ``weir price`` prints it; the amount has all digits of its currency, other numbers are plain."""
        return {
            "amount": money_text(self.amount, self.currency),
            "unrounded": plain(self.unrounded),
            "steps": [step.as_json() for step in self.steps],
        }
