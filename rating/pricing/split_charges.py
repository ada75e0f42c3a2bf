"""The lines of one charge in one period that a change of price has split, priced one after another. Pure.

What a part used and cost goes into the price of those after it (``Split``), so that each line's price says all that its
amount comes from. Parts of one price that share their allowance and go on with their tiers come to what the period
would unsplit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rating.pricing.exact import exactly
from rating.pricing.price_models import packages_of
from rating.pricing.priced_line import ZERO, MatrixQuantity, Rated
from rating.pricing.rating_stages import rate
from schemas.prices import PackagePrice, Price, Split, VolumePrice


@dataclass(frozen=True, slots=True)
class Quantity:
    """What ``rate`` takes beside a price."""

    quantity: Decimal
    events: Decimal | None = None
    quantities: tuple[MatrixQuantity, ...] | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What the parts so far took of the allowance, priced and came to."""

    included: Decimal = ZERO
    free: Decimal = ZERO
    priced: Decimal = ZERO
    package_left: Decimal = ZERO
    amount: Decimal = ZERO


def rate_parts(parts: Sequence[tuple[Price, Quantity]], currency: str) -> list[tuple[Price, Rated]]:
    """Each part's price with what the others used, and what it comes to, in the order of time. Raises PriceError.

    The prices' ``split`` says how each stands to those before it; its numbers are worked out here. A part without one
    stands alone.
    """
    if len(parts) == 1 and parts[0][0].split is None:
        price, asked = parts[0]
        return [(price, rate_alone(price, asked, currency))]
    after = _priced_after(parts, currency)
    used = Used()
    found: list[tuple[Price, Rated]] = []
    for (price, asked), later in zip(parts, after, strict=True):
        price, used = _standing(price, used, later)
        rated = rate_alone(price, asked, currency)
        used = _with(used, price, rated)
        found.append((price, rated))
    return found


def rate_alone(price: Price, asked: Quantity, currency: str) -> Rated:
    """What one part comes to by its price as it stands. Raises PriceError."""
    return rate(price, asked.quantity, currency=currency, events=asked.events, quantities=asked.quantities)


def _priced_after(parts: Sequence[tuple[Price, Quantity]], currency: str) -> list[Decimal]:
    """The quantity that the parts after each one price, up to the next where tiers begin anew; 0 where no tier asks for
    it."""
    after = [ZERO] * len(parts)
    if not any(isinstance(price, VolumePrice) for price, _ in parts):
        return after
    used, priced = Used(), list[Decimal]()
    for price, asked in parts:  # what is priced does not depend on the tier that it is priced at
        price, used = _standing(price, used, ZERO)
        rated = rate_alone(price, asked, currency)
        used = _with(used, price, rated)
        priced.append(rated.billable)
    with exactly():
        for number in range(len(parts) - 2, -1, -1):
            split = parts[number + 1][0].split
            if split is not None and split.priced_before is not None:
                after[number] = after[number + 1] + priced[number + 1]
    return after


def _standing(price: Price, used: Used, later: Decimal) -> tuple[Price, Used]:
    """(the price as the part after ``used`` has it, what counts as used from there on)."""
    split = price.split
    if split is None:
        return price, Used()
    changes: dict[str, Any] = {}
    if split.included_before is None:
        used = Used(ZERO, ZERO, used.priced, used.package_left, used.amount)
    else:
        changes |= {"included_before": used.included, "free_before": used.free}
    if split.priced_before is None:
        used = Used(used.included, used.free)
    else:
        left = used.package_left if isinstance(price, PackagePrice) else ZERO
        changes |= {"priced_before": used.priced, "package_left": left, "amount_before": used.amount}
    if isinstance(price, VolumePrice):
        changes["priced_after"] = later
    return price.model_copy(update={"split": Split(of=split.of, **changes)}), used


def _with(used: Used, price: Price, rated: Rated) -> Used:
    with exactly():
        left = used.package_left
        if isinstance(price, PackagePrice):
            over = rated.billable - left
            left = -over if over <= 0 else packages_of(price, over) * price.package_size - over
        return Used(
            used.included + rated.taken("included_units"), used.free + rated.taken("free_units"), used.priced + rated.billable,
            left, used.amount + rated.unrounded,
        )  # fmt: skip


def together(prices: Iterable[Price]) -> bool:
    """Whether it makes a difference that parts of a period stand together: something is shared, or goes on."""
    each = list(prices)
    return len(each) > 1 and any(map(_shares, each))


def _shares(price: Price) -> bool:
    return bool(
        price.included_units or getattr(price, "free_units", None) or getattr(price, "tiers", None) or isinstance(price, PackagePrice)
        or price.maximum_amount is not None or (price.minimum_amount and price.proration is None)
    )  # fmt: skip
