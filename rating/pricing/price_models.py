"""The price models: what a billable quantity costs, as steps. Each is pure, and exact inside ``exactly()``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, assert_never

from rating.pricing.priced_line import OTHERS, ZERO, PricingLine, Step
from schemas.prices import (
    FlatPrice,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    PercentageTier,
    PerUnitPrice,
    Price,
    PriceError,
    Split,
    Tier,
    TieredPercentagePrice,
    TieredPrice,
    VolumePrice,
    plain,
)

PERCENT: Final = Decimal("0.01")


def model_steps(price: Price, line: PricingLine) -> tuple[Step, ...]:
    """Steps of the price's own model. Raises PriceError where the line lacks what the model charges for."""
    match price:
        case FlatPrice():
            return (Step("flat", price.amount, f"flat amount {plain(price.amount)}", flat_amount=price.amount),)
        case PerUnitPrice():
            return (_per_unit(price, line.quantity),)
        case TieredPrice() | TieredPercentagePrice():
            return (*_earlier(price.split), *_graduated(price.tiers, line.quantity, price.split))
        case VolumePrice():
            return (*_earlier(price.split), _volume(price, line.quantity))
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


def _percent_of(quantity: Decimal, rate: Decimal) -> str:
    return f"{plain(rate)} % of {plain(quantity)}"


def _per_unit(price: PerUnitPrice, quantity: Decimal) -> Step:
    amount = quantity * price.unit_amount
    text = f"{_times(quantity, price.unit_amount)} = {plain(amount)}"
    return Step("per_unit", amount, text, quantity, price.unit_amount)


def _earlier(split: Split | None) -> Iterator[Step]:
    """Says where tiers go on, in a period that a change of price has split."""
    if split is None:
        return
    neighbours = [f"{plain(split.priced_before)} before this part"] if split.priced_before else []
    neighbours += [f"{plain(split.priced_after)} after it"] if split.priced_after else []
    if neighbours:
        text = f"tiers count the whole period: {' and '.join(neighbours)}"
        yield Step("earlier", ZERO, text, split.priced_before or ZERO)


def _graduated(tiers: Sequence[Tier | PercentageTier], quantity: Decimal, split: Split | None) -> Iterator[Step]:
    """A step for each tier reached. A tier is reached by more than the bound before it, the first tier always.

    ``split``: an earlier part of the period was priced up to somewhere; what that reached already is not begun again.
    """
    start = split.priced_before if split is not None else None
    end = quantity if start is None else start + quantity
    lower = ZERO
    for number, tier in enumerate(tiers, 1):
        if number > 1 and end <= lower:
            return
        upper = end if tier.up_to is None else min(end, tier.up_to)
        begins = start is None or (number > 1 and start <= lower)
        inside = upper - (lower if start is None else max(start, lower))
        if begins or inside > 0 or tier.up_to is None or end <= tier.up_to:
            yield _tier_step(tier, number, lower, max(inside, ZERO), tier.flat_amount if begins else ZERO)
        if tier.up_to is not None:
            lower = tier.up_to


def _volume(price: VolumePrice, quantity: Decimal) -> Step:
    """The whole quantity at the first tier whose inclusive bound it does not exceed; zero is in the first.

    Of a period in parts the whole is what all of them price; the flat amount is on the first of them.
    """
    split = price.split
    period_quantity = quantity if split is None else (split.priced_before or ZERO) + quantity + split.priced_after
    begins = split is None or split.priced_before is None
    lower = ZERO
    for number, tier in enumerate(price.tiers, 1):
        if tier.up_to is None or period_quantity <= tier.up_to:
            return _tier_step(tier, number, lower, quantity, tier.flat_amount if begins else ZERO)
        lower = tier.up_to
    raise AssertionError("a valid price ends in an open tier")


def _tier_step(
    tier: Tier | PercentageTier, number: int, lower: Decimal, quantity: Decimal, flat_amount: Decimal
) -> Step:
    if isinstance(tier, Tier):
        unit_amount, rate = tier.unit_amount, None
        charge, terms = quantity * tier.unit_amount, _times(quantity, tier.unit_amount)
    else:
        unit_amount, rate = None, tier.rate
        charge, terms = quantity * tier.rate * PERCENT, _percent_of(quantity, tier.rate)
    span = f"over {plain(lower)}" if number > 1 else "from 0"
    if tier.up_to is not None:
        span += f" up to {plain(tier.up_to)}"
    flat = f" + {plain(flat_amount)} flat" if flat_amount else ""
    amount = charge + flat_amount
    return Step(
        "tier",
        amount,
        f"tier {number} ({span}): {terms}{flat} = {plain(amount)}",
        quantity,
        unit_amount,
        rate,
        flat_amount,
        number,
        lower,
        tier.up_to,
    )


def _package(price: PackagePrice, quantity: Decimal) -> Step:
    covered = min(quantity, price.split.package_left) if price.split is not None else ZERO
    packages = packages_of(price, quantity - covered)
    amount = packages * price.package_amount
    started = f"{plain(quantity)} in packages of {plain(price.package_size)}"
    if covered:
        started += f", {plain(covered)} of them in one that was started before"
    text = f"{started}: {_times(packages, price.package_amount)} = {plain(amount)}"
    return Step("package", amount, text, packages, price.package_amount)


def packages_of(price: PackagePrice, quantity: Decimal) -> Decimal:
    """How many packages the quantity fills; a started one counts whole."""
    # Whole packages and remainder, since a quotient such as 1/3 would have no exact decimal.
    full_packages, remainder = divmod(quantity, price.package_size)
    return full_packages + 1 if remainder else full_packages


def _percentage(price: PercentagePrice, line: PricingLine) -> Iterator[Step]:
    amount = line.quantity * price.rate * PERCENT
    text = f"{_percent_of(line.quantity, price.rate)} = {plain(amount)}"
    yield Step("percentage", amount, text, line.quantity, rate=price.rate)
    if price.fixed_amount:
        if line.events is None:
            raise PriceError('events: is missing; fixed_amount is charged per event, so give e.g. "events": "4"')
        fixed = line.events * price.fixed_amount
        text = f"{_times(line.events, price.fixed_amount)} (events) = {plain(fixed)}"
        yield Step("fixed_amount", fixed, text, line.events, price.fixed_amount)


def _matrix(price: MatrixPrice, line: PricingLine) -> Iterator[Step]:
    """One step a combination of values: the price's cells in their order, then the others by their values; those that
    are measured together come last."""
    named = cell_amounts(price)
    cells = ordered_cells(price, line)
    for values, quantity in cells.items():
        if values == OTHERS:
            continue
        unit_amount = named.get(values, price.default_unit_amount)
        assert unit_amount is not None, "what has no amount is left out before"
        amount = quantity * unit_amount
        origin = label(price, values) + ("" if values in named else " (default)")
        text = f"{origin}: {_times(quantity, unit_amount)} = {plain(amount)}"
        yield Step("cell", amount, text, quantity, unit_amount, values=values)
    if OTHERS in cells:
        quantity, unit_amount, count = (
            cells[OTHERS],
            price.default_unit_amount,
            line.others.others if line.others else 0,
        )
        assert unit_amount is not None, "what has no amount is left out before"
        amount = quantity * unit_amount
        text = f"{others_label(count)} (default): {_times(quantity, unit_amount)} = {plain(amount)}"
        yield Step("others", amount, text, quantity, unit_amount, count=count)


def cell_amounts(price: MatrixPrice) -> dict[tuple[str, ...], Decimal]:
    """Values → what a unit of them costs; of all others it is the price's default, if it has one."""
    return {cell.values: cell.unit_amount for cell in price.cells}


def label(price: MatrixPrice, values: tuple[str, ...]) -> str:
    """A combination as people read it: ``model=a, region=eu``."""
    if values == OTHERS:
        return "other combinations of values"
    return ", ".join(f"{name}={value}" for name, value in zip(price.dimensions, values, strict=True))


def others_label(count: int) -> str:
    """Combinations that share a quantity, as people read them."""
    return f"{count} other combination{'' if count == 1 else 's'} of values"


def ordered_cells(price: MatrixPrice, line: PricingLine) -> dict[tuple[str, ...], Decimal]:
    """The line's quantities in an order that depends on the price and the values alone."""
    rank = {cell.values: index for index, cell in enumerate(price.cells)}
    cells = line.cells or {}
    return {values: cells[values] for values in sorted(cells, key=lambda v: (rank.get(v, len(rank)), v))}
