"""Included and free units: how many a line may take, and of which combinations of a matrix it takes them. Pure, exact
inside ``exactly()``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from rating.pricing.exact import share
from rating.pricing.price_models import cell_amounts, label, ordered_cells
from rating.pricing.priced_line import ZERO, PricingLine, Step, StepKind
from schemas.prices import IncludedOrder, MatrixPrice, PackagePrice, PercentagePrice, Price, plain

Cells = Mapping[tuple[str, ...], Decimal]

_SHOWN: Final = 20
_ORDERS: Final[dict[IncludedOrder, str]] = {
    "in_order": "in the order of the cells",
    "cheapest_first": "cheapest first",
    "dearest_first": "dearest first",
    "pro_rata": "pro rata",
}


def allowance(price: Price) -> Decimal:
    """All units that the price takes off a quantity before it charges."""
    free = price.free_units if isinstance(price, PackagePrice | PercentagePrice) else ZERO
    return price.included_units + free


def take_off(price: Price, line: PricingLine, units: Decimal, kind: StepKind, word: str) -> PricingLine:
    """Up to ``units`` off the quantity, as far as the parts of the period before this one left them; of a matrix off
    its combinations in the price's ``included_order``. A step tells it."""
    if not units:
        return line
    whole, told = units, ""
    if (part := price.included_proration) is not None:
        units = share(units, part.part_seconds, part.whole_seconds)
        told = f" ({plain(whole)} for a part of the period)"
    before = ZERO
    if price.split is not None and price.split.included_before is not None:
        before = price.split.included_before if kind == "included_units" else price.split.free_before
    if before:
        told = f" ({plain(before)} by earlier parts of the period)"
    taken = min(max(units - before, ZERO), line.quantity)
    cells = line.cells
    if isinstance(price, MatrixPrice) and cells is not None:
        off = allocated(price, line, taken)
        cells = {values: quantity - off.get(values, ZERO) for values, quantity in cells.items()}
        told += _allocation(price, off)
    rest = line.quantity - taken
    text = f"{plain(taken)} of {plain(units)} {word} units used{told}; {plain(rest)} left to price"
    return PricingLine(rest, line.events, cells, (*line.steps, Step(kind, ZERO, text, taken)), line.unpriced)


def allocated(price: MatrixPrice, line: PricingLine, taken: Decimal) -> dict[tuple[str, ...], Decimal]:
    """How many of the ``taken`` units each combination has, those with none left out. ``taken`` is at most the line's
    quantity."""
    cells = ordered_cells(price, line)
    if price.included_order == "pro_rata":
        return _pro_rata(cells, taken)
    order: Iterable[tuple[str, ...]] = cells
    if price.included_order != "in_order":
        named, default = cell_amounts(price), price.default_unit_amount or ZERO
        dear = price.included_order == "dearest_first"
        # Stable, also where it is reversed: of equal amounts those that stand first.
        order = sorted(cells, key=lambda values: named.get(values, default), reverse=dear)
    off: dict[tuple[str, ...], Decimal] = {}
    for values in order:
        if part := min(taken, cells[values]):
            off[values] = part
            taken -= part
    return off


def _pro_rata(cells: Cells, taken: Decimal) -> dict[tuple[str, ...], Decimal]:
    """Shares to 12 decimals. What is rounded is the running sum, so that they come to ``taken`` and none is above its
    quantity."""
    whole = sum(cells.values(), ZERO)
    off: dict[tuple[str, ...], Decimal] = {}
    seen = given = ZERO
    for values, quantity in cells.items():
        seen += quantity
        part = min((share(taken, seen, whole) if whole else ZERO) - given, quantity)
        if part > 0:
            off[values] = part
            given += part
    for values, quantity in cells.items():  # quantities of more than 12 decimals alone leave a rest
        if part := min(taken - given, quantity - off.get(values, ZERO)):
            off[values] = off.get(values, ZERO) + part
            given += part
    return off


def _allocation(price: MatrixPrice, off: Cells) -> str:
    if not off:
        return ""
    parts = [f"{label(price, values)} {plain(quantity)}" for values, quantity in list(off.items())[:_SHOWN]]
    if len(off) > _SHOWN:
        parts.append(f"{len(off) - _SHOWN} more")
    return f", {_ORDERS[price.included_order]}: {', '.join(parts)}"
