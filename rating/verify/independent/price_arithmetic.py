"""What a quantity costs, once more: from a price's JSON alone, in fractions, in the plainest way there is.

Shares nothing with ``rating.pricing``, which it is there to check. A model or field that it does not know is an error:
a price that cannot be checked must not pass for one that was.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final, TypeAlias

PriceJson: TypeAlias = Mapping[str, Any]
"""A price as the JSON of its line has it: field → string, number, list or object."""
CellFractions = Mapping[tuple[str, ...], Fraction]
"""Quantity by combination of dimension values, "" for a value that is missing."""

_SPLIT: Final = frozenset(
    {"of", "included_before", "free_before", "priced_before", "package_left", "amount_before", "priced_after"}
)

_COMMON: Final = frozenset(
    {"model", "currency", "included_units", "minimum_amount", "maximum_amount", "proration", "trial"}
    | {"split", "included_proration", "by_time"}
)
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "flat": frozenset({"amount"}),
    "per_unit": frozenset({"unit_amount"}),
    "tiered": frozenset({"tiers"}),
    "volume": frozenset({"tiers"}),
    "package": frozenset({"package_size", "package_amount", "free_units"}),
    "percentage": frozenset({"rate", "fixed_amount", "free_units"}),
    "tiered_percentage": frozenset({"tiers"}),
    "matrix": frozenset({"dimensions", "cells", "default_unit_amount", "included_order"}),
}


def prices_by_time(price: PriceJson) -> list[tuple[PriceJson, Fraction]]:
    """(price, seconds that it held) of all prices of a line, in the order of time. Raises ValueError."""
    by_time: PriceJson = price.get("by_time") or {}
    if not by_time:
        return [(price, Fraction(1))]
    if unknown := set(by_time) - {"seconds", "earlier"}:
        raise ValueError(f"field by_time.{min(unknown)} has no independent check")
    last_price = {name: value for name, value in price.items() if name != "by_time"}
    prices = [(earlier["price"], _number(earlier, "seconds")) for earlier in by_time["earlier"]]
    if any("by_time" in earlier for earlier, _ in prices):
        raise ValueError("by_time stands in an earlier price")
    return [*prices, (last_price, _number(by_time, "seconds"))]


def cost(price: PriceJson, cells: CellFractions, events: int) -> Fraction:
    """The unrounded amount. ``cells`` has one entry, ``()``, for every model but a matrix. Raises ValueError.

    Of several prices each counts by the seconds that it held, for usage that all of them have an amount for."""
    prices = prices_by_time(price)
    if len(prices) == 1:
        return _cost(price, cells, events)
    for held, _ in prices:
        cells = _with_price(held, cells)
    weighted = sum((_cost(held, cells, events) * seconds for held, seconds in prices), Fraction(0))
    return _twelve_places(weighted / sum(seconds for _, seconds in prices))


def _cost(price: PriceJson, cells: CellFractions, events: int) -> Fraction:
    """By one price."""
    model = str(price.get("model"))
    if model not in _FIELDS:
        raise ValueError(f"model {model} has no independent check")
    if unknown := set(price) - _COMMON - _FIELDS[model]:
        raise ValueError(f"field {min(unknown)} of model {model} has no independent check")
    split: PriceJson = price.get("split") or {}
    if unknown := set(split) - _SPLIT:
        raise ValueError(f"field split.{min(unknown)} has no independent check")
    part = _part(price.get("proration"))
    if model == "matrix":
        amount = _matrix(price, cells)
    else:
        amount = _model(model, price, billable_quantity(price, cells), events)
    if model == "flat" and part is not None:
        amount = _twelve_places(amount * part)
    earlier_cost = _number(split, "amount_before") if split.get("priced_before") is not None else Fraction(0)
    if price.get("maximum_amount") is not None:
        most = _number(price, "maximum_amount")
        amount = min(amount, max(most - earlier_cost, Fraction(0)) if earlier_cost else most)
    if price.get("minimum_amount") is not None:
        least = _number(price, "minimum_amount")
        needed = least - earlier_cost if part is None else _twelve_places(least * part)
        if part is not None and earlier_cost and price.get("maximum_amount") is not None:
            needed = min(needed, max(_number(price, "maximum_amount") - earlier_cost, Fraction(0)))
        amount = max(amount, needed)
    return Fraction(0) if price.get("trial") else amount


def allowance_used(price: PriceJson, cells: CellFractions) -> tuple[Fraction, Fraction]:
    """(included units, free units) that a quantity takes of what the price and the parts before it leave."""
    quantity = sum((max(cell, Fraction(0)) for cell in _with_price(price, cells).values()), Fraction(0))
    if price.get("model") != "matrix":
        quantity = max(sum(cells.values(), Fraction(0)), Fraction(0))
    included = min(quantity, _left(price, "included_units", "included_before"))
    return included, min(quantity - included, _left(price, "free_units", "free_before"))


def billable_quantity(price: PriceJson, cells: CellFractions) -> Fraction:
    """The quantity that is left to price."""
    cell_quantities = (max(cell, Fraction(0)) for cell in _with_price(price, cells).values())
    quantity = sum(cell_quantities if price.get("model") == "matrix" else cells.values(), Fraction(0))
    return max(quantity, Fraction(0)) - sum(allowance_used(price, cells))


def _left(price: PriceJson, units: str, used_name: str) -> Fraction:
    share, split = _part(price.get("included_proration")), price.get("split") or {}
    allowed = _number(price, units) if share is None else _twelve_places(_number(price, units) * share)
    used = _number(split, used_name) if split.get("included_before") is not None else Fraction(0)
    return max(allowed - used, Fraction(0))


def _with_price(price: PriceJson, cells: CellFractions) -> CellFractions:
    """Without the combinations that a matrix has no amount for."""
    if price.get("model") != "matrix" or price.get("default_unit_amount") is not None:
        return cells
    named = {tuple(map(str, cell["values"])) for cell in price.get("cells") or ()}
    return {values: quantity for values, quantity in cells.items() if values in named}


def rounded(amount: Fraction, digits: int) -> Fraction:
    """To ``digits`` decimals, half away from zero."""
    units = floor(abs(amount) * 10**digits + Fraction(1, 2))
    return Fraction(units if amount >= 0 else -units, 10**digits)


def _twelve_places(amount: Fraction) -> Fraction:
    return rounded(amount, 12)


def _number(of: PriceJson, name: str) -> Fraction:
    return Fraction(str(of.get(name) or 0))


def _part(proration: PriceJson | None) -> Fraction | None:
    return None if proration is None else _number(proration, "part_seconds") / _number(proration, "whole_seconds")


def _model(model: str, price: PriceJson, quantity: Fraction, events: int) -> Fraction:
    if model == "flat":
        return _number(price, "amount")
    if model == "per_unit":
        return quantity * _number(price, "unit_amount")
    split: PriceJson = price.get("split") or {}
    if model == "package":
        unpaid = max(quantity - _number(split, "package_left"), Fraction(0))
        return ceil(unpaid / _number(price, "package_size")) * _number(price, "package_amount")
    if model == "percentage":
        return quantity * _number(price, "rate") / 100 + events * _number(price, "fixed_amount")
    tiers = price["tiers"]
    bounds = [None if tier["up_to"] is None else _number(tier, "up_to") for tier in tiers]
    amount_field = "rate" if model == "tiered_percentage" else "unit_amount"
    shrink = 100 if model == "tiered_percentage" else 1
    goes_on = split.get("priced_before") is not None
    start = _number(split, "priced_before") if goes_on else Fraction(0)
    if model == "volume":
        period_quantity = start + quantity + _number(split, "priced_after")
        (tier,) = [
            tier for tier, bound in zip(tiers, bounds, strict=True) if bound is None or period_quantity <= bound
        ][:1]
        return quantity * _number(tier, amount_field) + (Fraction(0) if goes_on else _number(tier, "flat_amount"))
    amount = Fraction(0)
    for index, (tier, bound) in enumerate(zip(tiers, bounds, strict=True)):
        below = Fraction(0) if index == 0 else bounds[index - 1] or Fraction(0)
        top = start + quantity if bound is None else min(start + quantity, bound)
        amount += max(top - max(below, start), Fraction(0)) * _number(tier, amount_field) / shrink
        reached = index == 0 or start + quantity > below
        if reached and not (goes_on and (index == 0 or start > below)):
            amount += _number(tier, "flat_amount")
    return amount


def _matrix(price: PriceJson, cells: CellFractions) -> Fraction:
    """Included units come off the price's cells in their order, then off other combinations by their values; or as the
    price says."""
    named = {tuple(map(str, cell["values"])): _number(cell, "unit_amount") for cell in price.get("cells") or ()}
    rank = {values: index for index, values in enumerate(named)}
    unit = {values: named.get(values, _number(price, "default_unit_amount")) for values in cells}
    standing = sorted(_with_price(price, cells), key=lambda values: (rank.get(values, len(rank)), values))
    quantity = {values: max(cells[values], Fraction(0)) for values in standing}
    order, left = price.get("included_order", "in_order"), allowance_used(price, cells)[0]
    amount = sum((quantity[values] * unit[values] for values in standing), Fraction(0))
    if order == "pro_rata":
        total, running, given = sum(quantity.values(), Fraction(0)), Fraction(0), Fraction(0)
        for values in standing if total else ():
            running += quantity[values]
            upto = _twelve_places(left * running / total)
            amount -= (upto - given) * unit[values]
            given = upto
        return amount
    if order == "cheapest_first":
        standing.sort(key=lambda values: unit[values])
    elif order == "dearest_first":
        standing.sort(key=lambda values: -unit[values])
    elif order != "in_order":
        raise ValueError(f"included_order {order} has no independent check")
    for values in standing:
        amount -= min(left, quantity[values]) * unit[values]
        left -= min(left, quantity[values])
    return amount
