"""What a quantity costs, once more: from a price's JSON alone, in fractions, in the plainest way there is.

Shares nothing with ``rating.pricing``, which it is there to check. A model or field that it does not know is an error:
a price that cannot be checked must not pass for one that was.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

Cells = Mapping[tuple[str, ...], Fraction]
"""Quantity by combination of dimension values, "" for a value that is missing."""

_COMMON: Final = frozenset(
    {"model", "currency", "included_units", "minimum_amount", "maximum_amount", "proration", "trial"}
)
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "flat": frozenset({"amount"}),
    "per_unit": frozenset({"unit_amount"}),
    "tiered": frozenset({"tiers"}),
    "volume": frozenset({"tiers"}),
    "package": frozenset({"package_size", "package_amount", "free_units"}),
    "percentage": frozenset({"rate", "fixed_amount", "free_units"}),
    "tiered_percentage": frozenset({"tiers"}),
    "matrix": frozenset({"dimensions", "cells", "default_unit_amount"}),
}


def cost(price: Mapping[str, Any], cells: Cells, events: int) -> Fraction:
    """The unrounded amount. ``cells`` has one entry, ``()``, for every model but a matrix. Raises ValueError."""
    model = str(price.get("model"))
    if model not in _FIELDS:
        raise ValueError(f"model {model} has no independent check")
    if unknown := set(price) - _COMMON - _FIELDS[model]:
        raise ValueError(f"field {min(unknown)} of model {model} has no independent check")
    part = _part(price.get("proration"))
    if model == "matrix":
        amount = _matrix(price, cells)
    else:
        quantity = max(sum(cells.values(), Fraction(0)), Fraction(0))
        quantity -= min(quantity, _number(price, "included_units"))
        quantity -= min(quantity, _number(price, "free_units"))
        amount = _model(model, price, quantity, events)
    if model == "flat" and part is not None:
        amount = _twelve_places(amount * part)
    if price.get("maximum_amount") is not None:
        amount = min(amount, _number(price, "maximum_amount"))
    if price.get("minimum_amount") is not None:
        least = _number(price, "minimum_amount")
        amount = max(amount, least if part is None else _twelve_places(least * part))
    return Fraction(0) if price.get("trial") else amount


def rounded(amount: Fraction, digits: int) -> Fraction:
    """To ``digits`` decimals, half away from zero."""
    whole = floor(abs(amount) * 10**digits + Fraction(1, 2))
    return Fraction(whole if amount >= 0 else -whole, 10**digits)


def _twelve_places(amount: Fraction) -> Fraction:
    return rounded(amount, 12)


def _number(of: Mapping[str, Any], name: str) -> Fraction:
    return Fraction(str(of.get(name) or 0))


def _part(proration: Mapping[str, Any] | None) -> Fraction | None:
    return None if proration is None else _number(proration, "part_seconds") / _number(proration, "whole_seconds")


def _model(model: str, price: Mapping[str, Any], quantity: Fraction, events: int) -> Fraction:
    if model == "flat":
        return _number(price, "amount")
    if model == "per_unit":
        return quantity * _number(price, "unit_amount")
    if model == "package":
        return ceil(quantity / _number(price, "package_size")) * _number(price, "package_amount")
    if model == "percentage":
        return quantity * _number(price, "rate") / 100 + events * _number(price, "fixed_amount")
    tiers = price["tiers"]
    bounds = [None if tier["up_to"] is None else _number(tier, "up_to") for tier in tiers]
    each = "rate" if model == "tiered_percentage" else "unit_amount"
    shrink = 100 if model == "tiered_percentage" else 1
    if model == "volume":
        (tier,) = [tier for tier, bound in zip(tiers, bounds, strict=True) if bound is None or quantity <= bound][:1]
        return quantity * _number(tier, each) + _number(tier, "flat_amount")
    amount = Fraction(0)
    for index, (tier, bound) in enumerate(zip(tiers, bounds, strict=True)):
        below = Fraction(0) if index == 0 else bounds[index - 1] or Fraction(0)
        if index == 0 or quantity > below:
            top = quantity if bound is None else min(quantity, bound)
            amount += (top - below) * _number(tier, each) / shrink + _number(tier, "flat_amount")
    return amount


def _matrix(price: Mapping[str, Any], cells: Cells) -> Fraction:
    """Included units come off the price's cells in their order, then off other combinations by their values."""
    named = {tuple(map(str, cell["values"])): _number(cell, "unit_amount") for cell in price.get("cells") or ()}
    places = list(named)
    left = _number(price, "included_units")
    amount = Fraction(0)
    for values in sorted(cells, key=lambda one: (places.index(one) if one in named else len(places), one)):
        quantity = max(cells[values], Fraction(0))
        taken = min(left, quantity)
        left -= taken
        if values not in named and price.get("default_unit_amount") is None:
            raise ValueError(f"there is no cell for {', '.join(values)}")
        unit = named[values] if values in named else _number(price, "default_unit_amount")
        amount += (quantity - taken) * unit
    return amount
