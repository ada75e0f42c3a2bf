"""What the parts of a period that a change of price has split used, once more: from their prices' JSON and quantities,
in fractions.

Shares nothing with ``rating.pricing.split_charges``, which it is there to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from rating.verify.independent.price_arithmetic import CellFractions, PriceJson, allowance_used, billable_quantity, cost

SplitNumbers = dict[str, Fraction]
"""The numeric fields of a price's ``split``, by name."""
_NUMBERS: Final = ("included_before", "free_before", "priced_before", "package_left", "amount_before", "priced_after")


@dataclass(frozen=True, slots=True)
class PlainPart:
    """A part: the price as its line pins it, the quantity by dimension values, and how many events."""

    price: PriceJson
    cells: CellFractions
    events: int


def splits(parts: Sequence[PlainPart]) -> list[SplitNumbers]:
    """What each part's ``split`` must say, in the order of time; what is not in it begins anew. Raises ValueError."""
    expected_splits: list[SplitNumbers] = []
    quantities: list[Fraction] = []
    included = free = priced_before = left = amount = Fraction(0)
    for part in parts:
        split = part.price.get("split") or {}
        expected: SplitNumbers = {}
        if split.get("included_before") is None:
            included = free = Fraction(0)
        else:
            expected |= {"included_before": included, "free_before": free}
        if split.get("priced_before") is None:
            priced_before = left = amount = Fraction(0)
        else:
            packaged = part.price.get("model") == "package"
            expected |= {
                "priced_before": priced_before,
                "amount_before": amount,
                "package_left": left if packaged else Fraction(0),
            }
        price = {**part.price, "split": {**split, **{name: str(number) for name, number in expected.items()}}}
        included_taken, free_taken = allowance_used(price, part.cells)
        quantity = billable_quantity(price, part.cells)
        if price.get("model") == "package":
            size, over = Fraction(str(price["package_size"])), quantity - left
            left = ceil(over / size) * size - over if over > 0 else -over
        # The tier of a volume price is the only thing that what comes after decides, and is in ``priced_after`` as
        # pinned.
        amount += cost(price, part.cells, part.events)
        included, free, priced_before = included + included_taken, free + free_taken, priced_before + quantity
        expected_splits.append(expected)
        quantities.append(quantity)
    for number, part in enumerate(parts):
        if part.price.get("model") == "volume":
            priced_after = Fraction(0)
            for later, quantity in zip(parts[number + 1 :], quantities[number + 1 :], strict=True):
                if (later.price.get("split") or {}).get("priced_before") is None:
                    break
                priced_after += quantity
            expected_splits[number]["priced_after"] = priced_after
    return expected_splits


def pinned(price: PriceJson) -> SplitNumbers:
    """The numbers of a price's ``split``, those at their default included."""
    split = price.get("split") or {}
    numbers: SplitNumbers = {}
    for name in _NUMBERS:
        if split.get(name) is not None:
            numbers[name] = Fraction(str(split[name]))
    if "included_before" in numbers:
        numbers.setdefault("free_before", Fraction(0))
    if "priced_before" in numbers:
        numbers.setdefault("package_left", Fraction(0))
        numbers.setdefault("amount_before", Fraction(0))
    if price.get("model") == "volume":
        numbers.setdefault("priced_after", Fraction(0))
    return numbers
