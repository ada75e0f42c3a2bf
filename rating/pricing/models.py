"""The price models: what a billable quantity costs, as steps. Each is pure, and exact inside ``exactly()``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, assert_never

from rating.pricing.line import ZERO, Line, Step
from schemas.prices import (
    FlatPrice,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    PercentageTier,
    PerUnitPrice,
    Price,
    PriceError,
    Tier,
    TieredPercentagePrice,
    TieredPrice,
    VolumePrice,
    plain,
)

PERCENT: Final = Decimal("0.01")


def model_steps(price: Price, line: Line) -> tuple[Step, ...]:
    """Steps of the price's own model. Raises PriceError where the line lacks what the model charges for."""
    match price:
        case FlatPrice():
            return (Step("flat", price.amount, f"flat amount {plain(price.amount)}", flat_amount=price.amount),)
        case PerUnitPrice():
            return (_per_unit(price, line.quantity),)
        case TieredPrice() | TieredPercentagePrice():
            return tuple(_graduated(price.tiers, line.quantity))
        case VolumePrice():
            return (_volume(price, line.quantity),)
        case PackagePrice():
            return (_package(price, line.quantity),)
        case PercentagePrice():
            return tuple(_percentage(price, line))
        case MatrixPrice():
            return tuple(_matrix(price, line))
        case _:
            assert_never(price)


def _times(quantity: Decimal, unit_amount: Decimal) -> str:
    return f"{plain(quantity)} × {plain(unit_amount)}"


def _of(quantity: Decimal, rate: Decimal) -> str:
    return f"{plain(rate)} % of {plain(quantity)}"


def _per_unit(price: PerUnitPrice, quantity: Decimal) -> Step:
    amount = quantity * price.unit_amount
    text = f"{_times(quantity, price.unit_amount)} = {plain(amount)}"
    return Step("per_unit", amount, text, quantity, price.unit_amount)


def _graduated(tiers: Sequence[Tier | PercentageTier], quantity: Decimal) -> Iterator[Step]:
    """Each part at its own tier. A tier is reached by more than the bound before it, the first one by nothing."""
    lower = ZERO
    for number, tier in enumerate(tiers, 1):
        if number > 1 and quantity <= lower:
            return
        upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
        yield _tier_step(tier, number, lower, upper - lower)
        if tier.up_to is not None:
            lower = tier.up_to


def _volume(price: VolumePrice, quantity: Decimal) -> Step:
    """The whole quantity at the first tier whose inclusive bound it does not exceed; zero is in the first."""
    lower = ZERO
    for number, tier in enumerate(price.tiers, 1):
        if tier.up_to is None or quantity <= tier.up_to:
            return _tier_step(tier, number, lower, quantity)
        lower = tier.up_to
    raise AssertionError("a valid price ends in an open tier")


def _tier_step(tier: Tier | PercentageTier, number: int, lower: Decimal, quantity: Decimal) -> Step:
    if isinstance(tier, Tier):
        unit_amount, rate = tier.unit_amount, None
        charge, terms = quantity * tier.unit_amount, _times(quantity, tier.unit_amount)
    else:
        unit_amount, rate = None, tier.rate
        charge, terms = quantity * tier.rate * PERCENT, _of(quantity, tier.rate)
    span = f"over {plain(lower)}" if number > 1 else "from 0"
    if tier.up_to is not None:
        span += f" up to {plain(tier.up_to)}"
    flat = f" + {plain(tier.flat_amount)} flat" if tier.flat_amount else ""
    amount = charge + tier.flat_amount
    return Step(
        "tier",
        amount,
        f"tier {number} ({span}): {terms}{flat} = {plain(amount)}",
        quantity,
        unit_amount,
        rate,
        tier.flat_amount,
        number,
        lower,
        tier.up_to,
    )


def _package(price: PackagePrice, quantity: Decimal) -> Step:
    # Whole packages and remainder, since a quotient such as 1/3 would have no exact decimal.
    whole, rest = divmod(quantity, price.package_size)
    packages = whole + 1 if rest else whole
    amount = packages * price.package_amount
    started = f"{plain(quantity)} in packages of {plain(price.package_size)}"
    text = f"{started}: {_times(packages, price.package_amount)} = {plain(amount)}"
    return Step("package", amount, text, packages, price.package_amount)


def _percentage(price: PercentagePrice, line: Line) -> Iterator[Step]:
    amount = line.quantity * price.rate * PERCENT
    text = f"{_of(line.quantity, price.rate)} = {plain(amount)}"
    yield Step("percentage", amount, text, line.quantity, rate=price.rate)
    if price.fixed_amount:
        if line.events is None:
            raise PriceError('events: is missing; fixed_amount is charged per event, so give e.g. "events": "4"')
        fixed = line.events * price.fixed_amount
        text = f"{_times(line.events, price.fixed_amount)} (events) = {plain(fixed)}"
        yield Step("fixed_amount", fixed, text, line.events, price.fixed_amount)


def _matrix(price: MatrixPrice, line: Line) -> Iterator[Step]:
    """One step a combination of values: the price's cells in their order, then the others by their values."""
    unit_amounts = {cell.values: cell.unit_amount for cell in price.cells}
    for values, quantity in ordered_cells(price, line).items():
        label = ", ".join(f"{name}={value}" for name, value in zip(price.dimensions, values, strict=True))
        unit_amount = unit_amounts.get(values, price.default_unit_amount)
        if unit_amount is None:
            raise PriceError(f"quantities: no cell for {label}; add it to price.cells or give default_unit_amount")
        amount = quantity * unit_amount
        origin = label if values in unit_amounts else f"{label} (default)"
        text = f"{origin}: {_times(quantity, unit_amount)} = {plain(amount)}"
        yield Step("cell", amount, text, quantity, unit_amount, values=values)


def ordered_cells(price: MatrixPrice, line: Line) -> dict[tuple[str, ...], Decimal]:
    """The line's quantities in an order that depends on the price and the values alone."""
    place = {cell.values: index for index, cell in enumerate(price.cells)}
    cells = line.cells or {}
    return {values: cells[values] for values in sorted(cells, key=lambda v: (place.get(v, len(place)), v))}
