"""The lines of one charge in one period that a change of price has split, priced one after another. Pure.

What a part used and cost goes into the price of those after it (``Split``), so that each line's price says all that its
amount comes from. Parts of one price that share their allowance and go on with their tiers come to what the period
would unsplit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from rating.pricing.exact import exactly
from rating.pricing.price_models import packages_of
from rating.pricing.priced_line import ZERO, MatrixQuantity, Rated
from rating.pricing.rating_stages import rate
from schemas.prices import PackagePrice, Price, Split, VolumePrice


class Quantity(Struct, frozen=True):
    """What a part measured: its quantity, the events behind it, and the quantity by dimension values for a matrix."""

    quantity: Decimal
    events: Decimal | None = None
    quantities: tuple[MatrixQuantity, ...] | None = None


class Used(Struct, frozen=True):
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
        price, quantity = parts[0]
        return [(price, rate_alone(price, quantity, currency))]
    priced_after = _quantities_after(parts, currency)
    used = Used()
    rated_parts: list[tuple[Price, Rated]] = []
    for (price, quantity), later in zip(parts, priced_after, strict=True):
        price, used = _with_split(price, used, later)
        rated = rate_alone(price, quantity, currency)
        used = _used_with(used, price, rated)
        rated_parts.append((price, rated))
    return rated_parts


def rate_alone(price: Price, measured: Quantity, currency: str) -> Rated:
    """One part priced by its price as it is, ``split`` included. Raises PriceError."""
    return rate(price, measured.quantity, currency=currency, events=measured.events, quantities=measured.quantities)


def _quantities_after(parts: Sequence[tuple[Price, Quantity]], currency: str) -> list[Decimal]:
    """For each part the quantity that later parts price, up to the next part where tiers begin anew; 0 where no price
    needs it."""
    quantities_after = [ZERO] * len(parts)
    if not any(isinstance(price, VolumePrice) for price, _ in parts):
        return quantities_after
    used, priced = Used(), list[Decimal]()
    for price, quantity in parts:  # what is priced does not depend on the tier that it is priced at
        price, used = _with_split(price, used, ZERO)
        rated = rate_alone(price, quantity, currency)
        used = _used_with(used, price, rated)
        priced.append(rated.billable)
    with exactly():
        for number in range(len(parts) - 2, -1, -1):
            split = parts[number + 1][0].split
            if split is not None and split.priced_before is not None:
                quantities_after[number] = quantities_after[number + 1] + priced[number + 1]
    return quantities_after


def _with_split(price: Price, used: Used, later: Decimal) -> tuple[Price, Used]:
    """The price with its ``split`` filled in from what the parts before it used, and what counts as used from here on.

    ``later``: the quantity that the parts after it price, which decides the tier of a volume price.
    """
    split = price.split
    if split is None:
        return price, Used()
    changes: dict[str, Decimal] = {}
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


def _used_with(used: Used, price: Price, rated: Rated) -> Used:
    """``used``, with what this part took of the allowance, priced and came to."""
    with exactly():
        left = used.package_left
        if isinstance(price, PackagePrice):
            over = rated.billable - left
            left = -over if over <= 0 else packages_of(price, over) * price.package_size - over
        return Used(
            used.included + rated.units_taken("included_units"),
            used.free + rated.units_taken("free_units"),
            used.priced + rated.billable,
            left,
            used.amount + rated.unrounded,
        )


def must_be_priced_together(prices: Iterable[Price]) -> bool:
    """Whether parts of a period must be priced as one: they share an allowance, a minimum or a maximum, or go on with
    tiers or a package."""
    price_list = list(prices)
    return len(price_list) > 1 and any(map(_shares, price_list))


def _shares(price: Price) -> bool:
    return bool(
        price.included_units
        or getattr(price, "free_units", None)
        or getattr(price, "tiers", None)
        or isinstance(price, PackagePrice)
        or price.maximum_amount is not None
        or (price.minimum_amount and price.proration is None)
    )
