"""What the parts of a period that a change of price has split used, once more: from their prices' JSON and quantities,
in fractions.

Shares nothing with ``rating.pricing.split_charges``, which it is there to check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Final

from rating.verify.independent.prices import Cells, cost, priced, taken

_NUMBERS: Final = ("included_before", "free_before", "priced_before", "package_left", "amount_before", "priced_after")


@dataclass(frozen=True, slots=True)
class PlainPart:
    """A part: the price as its line pins it, the quantity by dimension values, and how many events."""

    price: Mapping[str, Any]
    cells: Cells
    events: int


def splits(parts: Sequence[PlainPart]) -> list[dict[str, Fraction]]:
    """What each part's ``split`` must say, in the order of time; what is not in it begins anew. Raises ValueError."""
    found: list[dict[str, Fraction]] = []
    quantities: list[Fraction] = []
    included = free = before = left = amount = Fraction(0)
    for part in parts:
        own = part.price.get("split") or {}
        expected: dict[str, Fraction] = {}
        if own.get("included_before") is None:
            included = free = Fraction(0)
        else:
            expected |= {"included_before": included, "free_before": free}
        if own.get("priced_before") is None:
            before = left = amount = Fraction(0)
        else:
            packaged = part.price.get("model") == "package"
            expected |= {
                "priced_before": before, "amount_before": amount, "package_left": left if packaged else Fraction(0)
            }  # fmt: skip
        price = {**part.price, "split": {**own, **{name: str(number) for name, number in expected.items()}}}
        more, more_free = taken(price, part.cells)
        quantity = priced(price, part.cells)
        if price.get("model") == "package":
            size, over = Fraction(str(price["package_size"])), quantity - left
            left = ceil(over / size) * size - over if over > 0 else -over
        # The tier of a volume price is the only thing that what comes after decides, and is in ``priced_after`` as
        # pinned.
        amount += cost(price, part.cells, part.events)
        included, free, before = included + more, free + more_free, before + quantity
        found.append(expected)
        quantities.append(quantity)
    for number, part in enumerate(parts):
        if part.price.get("model") == "volume":
            after = Fraction(0)
            for later, quantity in zip(parts[number + 1 :], quantities[number + 1 :], strict=True):
                if (later.price.get("split") or {}).get("priced_before") is None:
                    break
                after += quantity
            found[number]["priced_after"] = after
    return found


def pinned(price: Mapping[str, Any]) -> dict[str, Fraction]:
    """The numbers of a price's ``split``, those at their default included."""
    own = price.get("split") or {}
    found: dict[str, Fraction] = {}
    for name in _NUMBERS:
        if own.get(name) is not None:
            found[name] = Fraction(str(own[name]))
    if "included_before" in found:
        found.setdefault("free_before", Fraction(0))
    if "priced_before" in found:
        found.setdefault("package_left", Fraction(0))
        found.setdefault("amount_before", Fraction(0))
    if price.get("model") == "volume":
        found.setdefault("priced_after", Fraction(0))
    return found
