"""The tiers of graduated and volume prices: ranges of quantities in ascending order, the last one open."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Self

from pydantic import (
    model_validator,
)

from schemas.prices.decimals import Amount, Positive, plain
from schemas.prices.line_parts import ZERO, PricePart, PriceProblem, refuse


class Tier(PricePart):
    """A range of quantities: above the previous tier's ``up_to``, through its own (inclusive)."""

    optional: ClassVar[frozenset[str]] = frozenset({"flat_amount"})

    up_to: Positive | None = None
    """the last quantity of the tier; null: no end"""
    unit_amount: Amount = ZERO
    """what a unit costs"""
    flat_amount: Amount = ZERO
    """once, where the quantity reaches the tier; the first tier's also without usage"""

    @model_validator(mode="after")
    def _charges_something(self) -> Self:
        if not self.model_fields_set & {"unit_amount", "flat_amount"}:
            refuse([("", 'the tier has no amount; give unit_amount, flat_amount or both (a free tier has "0")')])
        return self


class PercentageTier(PricePart):
    """As ``Tier``, with a percentage of the quantity in place of an amount per unit."""

    optional: ClassVar[frozenset[str]] = frozenset({"flat_amount"})

    up_to: Positive | None = None
    """the last quantity of the tier; null: no end"""
    rate: Amount = ZERO
    """percent of the quantity"""
    flat_amount: Amount = ZERO
    """once, where the quantity reaches the tier; the first tier's also without usage"""

    @model_validator(mode="after")
    def _charges_something(self) -> Self:
        if not self.model_fields_set & {"rate", "flat_amount"}:
            refuse([("", 'the tier has no amount; give rate, flat_amount or both (a free tier has "0")')])
        return self


def check_bounds(bounds: list[Decimal | None]) -> None:
    """Require ascending bounds with an open last tier, so that every quantity falls into exactly one tier."""
    if not bounds:
        refuse([("", 'there are no tiers; give at least {"up_to": null, …}')])
    problems: list[PriceProblem] = []
    below: Decimal | None = None
    for index, bound in enumerate(bounds[:-1]):
        path = f"{index}.up_to"
        if bound is None:
            problems.append((path, "null, but only the last tier is open; give its inclusive upper bound"))
        elif below is not None and bound <= below:
            problems.append((path, f"{plain(bound)} is not above {plain(below)}, the tier before; sort tiers by up_to"))
        below = bound if bound is not None else below
    if bounds[-1] is not None:
        problems.append((f"{len(bounds) - 1}.up_to", "the last tier must be open; write null"))
    refuse(problems)
