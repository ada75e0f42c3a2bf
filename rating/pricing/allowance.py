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
from schemas.values.record_copy import replace

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
    """The line after up to ``units`` are taken off its quantity, as far as earlier parts of the period left them; of a
    matrix off its combinations in the price's ``included_order``. Adds a step of ``kind``."""
    if not units:
        return line
    full_units, explanation = units, ""
    if (part := price.included_proration) is not None:
        units = share(units, part.part_seconds, part.whole_seconds)
        explanation = f" ({plain(full_units)} for a part of the period)"
    used_before = ZERO
    if price.split is not None and price.split.included_before is not None:
        used_before = price.split.included_before if kind == "included_units" else price.split.free_before
    if used_before:
        explanation = f" ({plain(used_before)} by earlier parts of the period)"
    used_units = min(max(units - used_before, ZERO), line.quantity)
    cells = line.cells
    if isinstance(price, MatrixPrice) and cells is not None:
        cell_units = allocated(price, line, used_units)
        cells = {values: quantity - cell_units.get(values, ZERO) for values, quantity in cells.items()}
        explanation += _allocation(price, cell_units)
    left_units = line.quantity - used_units
    text = f"{plain(used_units)} of {plain(units)} {word} units used{explanation}; {plain(left_units)} left to price"
    return replace(line, quantity=left_units, cells=cells).then(Step(kind, ZERO, text, used_units))


def allocated(price: MatrixPrice, line: PricingLine, used_units: Decimal) -> dict[tuple[str, ...], Decimal]:
    """How many of the ``used_units`` each combination has, those with none left out. ``used_units`` is at most the
    line's quantity."""
    cells = ordered_cells(price, line)
    if price.included_order == "pro_rata":
        return _pro_rata(cells, used_units)
    order: Iterable[tuple[str, ...]] = cells
    if price.included_order != "in_order":
        named, default = cell_amounts(price), price.default_unit_amount or ZERO
        dear = price.included_order == "dearest_first"
        # Stable, also where it is reversed: of equal amounts those that stand first.
        order = sorted(cells, key=lambda values: named.get(values, default), reverse=dear)
    off: dict[tuple[str, ...], Decimal] = {}
    for values in order:
        if part := min(used_units, cells[values]):
            off[values] = part
            used_units -= part
    return off


def _pro_rata(cells: Cells, used_units: Decimal) -> dict[tuple[str, ...], Decimal]:
    """Shares to 12 decimals. What is rounded is the running sum, so that they come to ``used_units`` and none is above
    its quantity."""
    total_quantity = sum(cells.values(), ZERO)
    off: dict[tuple[str, ...], Decimal] = {}
    running_quantity = given_units = ZERO
    for values, quantity in cells.items():
        running_quantity += quantity
        part = min(
            (share(used_units, running_quantity, total_quantity) if total_quantity else ZERO) - given_units, quantity
        )
        if part > 0:
            off[values] = part
            given_units += part
    for values, quantity in cells.items():  # quantities of more than 12 decimals alone leave a rest
        if part := min(used_units - given_units, quantity - off.get(values, ZERO)):
            off[values] = off.get(values, ZERO) + part
            given_units += part
    return off


def _allocation(price: MatrixPrice, off: Cells) -> str:
    if not off:
        return ""
    parts = [f"{label(price, values)} {plain(quantity)}" for values, quantity in list(off.items())[:_SHOWN]]
    if len(off) > _SHOWN:
        parts.append(f"{len(off) - _SHOWN} more")
    return f", {_ORDERS[price.included_order]}: {', '.join(parts)}"
