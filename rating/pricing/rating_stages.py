"""Rating as ordered, pure stages: read ``STAGES`` from top to bottom, as DESIGN section 7 lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

from rating.pricing.allowance import take_off
from rating.pricing.exact import exactly, round_money, share
from rating.pricing.price_models import cell_amounts, label, model_steps, others_label
from rating.pricing.priced_line import OTHERS, ZERO, MatrixQuantity, PricingLine, Rated, Step, StepKind
from schemas.prices import (
    FlatPrice,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    Price,
    PriceError,
    Proration,
    plain,
    prices_in_time,
)
from schemas.values.currency import exponent
from schemas.values.record_copy import replace

# Steps whose sentences an invoice line must show.
_NOTED: Final[frozenset[StepKind]] = frozenset({"negative_quantity", "trial", "unpriced"})
_DAY: Final = 86_400

RatingStage = Callable[[Price, PricingLine], PricingLine]


def rate(
    price: Price,
    quantity: Decimal,
    *,
    currency: str,
    events: Decimal | None = None,
    quantities: Iterable[MatrixQuantity] | None = None,
) -> Rated:
    """What ``quantity`` costs in ``currency`` (ISO 4217), with every step; exact until the one rounding.

    ``events`` is the number of events behind the quantity; only a percentage price with a fixed amount reads it.
    ``quantities`` split the quantity by dimension values; only a matrix reads them, and they must sum to it. Values
    that the matrix has no amount for cost nothing, and stand in ``unpriced`` of what is returned. Raises PriceError
    where the price's currency differs, or where the model needs an input that is missing.
    """
    try:
        exponent(currency)
    except ValueError as error:
        raise PriceError(f"currency: {error}") from None
    if price.currency not in (None, currency):
        raise PriceError(f"price.currency: {price.currency} is not {currency}, the line's; use one currency")
    if not quantity.is_finite():
        raise PriceError(f"quantity: {quantity} is not a finite number; write a decimal")
    if events is not None and (not events.is_finite() or events < 0):
        raise PriceError(f"events: {events} is not a count; write 0 or more")
    with exactly():
        line = _by_time(price, quantity, events, tuple(quantities or ()))
        unrounded = line.total
    return Rated(
        quantity=quantity,
        billable=line.quantity,
        currency=currency,
        amount=round_money(unrounded, currency),
        unrounded=unrounded,
        steps=line.steps,
        notes=tuple(dict.fromkeys(step.text for step in line.steps if step.kind in _NOTED)),
        unpriced=line.unpriced,
    )


def _by_time(
    price: Price, quantity: Decimal, events: Decimal | None, quantities: tuple[MatrixQuantity, ...]
) -> PricingLine:
    """The line after all stages. Where its price changed in its time, what each price would come to for the whole of it
    counts by how long it held; the shares come to the mean to 12 decimals. Dimension values that one of the prices has
    no amount for are left out of all."""
    prices = prices_in_time(price)
    lacking = _lacking(prices, quantities)
    whole_seconds = sum((seconds for _, seconds in prices), ZERO)
    steps: tuple[Step, ...] = ()
    weighted = counted = ZERO
    for number, (held, seconds) in enumerate(prices):
        line = PricingLine(quantity, events)
        if isinstance(held, MatrixPrice):
            others = next((part for part in quantities if part.others), None)
            line = replace(line, cells=_cells(held, quantity, quantities), others=others)
            line = without_price(held, line, quantities, lacking)
        if number:
            line = replace(line, steps=())  # what has no price is told once
        for stage in STAGES:
            line = stage(held, line)
        if len(prices) > 1:
            weighted += line.total * seconds
            until = share(weighted, Decimal(1), whole_seconds)
            part = until - counted
            text = f"this price held for {_span(seconds, whole_seconds)}: {plain(line.total)} counts {plain(part)}"
            line = line.then(Step("proration", part - line.total, text))
            counted = until
        steps += line.steps
    return line if len(prices) == 1 else replace(line, steps=steps)


def _lacking(
    prices: Iterable[tuple[Price, Decimal]], quantities: Iterable[MatrixQuantity]
) -> frozenset[tuple[str, ...]]:
    """The combinations that one of the prices has neither a cell nor a default for."""
    values = {part.values for part in quantities}
    lacking: set[tuple[str, ...]] = set()
    for price, _ in prices:
        if isinstance(price, MatrixPrice) and price.default_unit_amount is None:
            lacking |= values - cell_amounts(price).keys()
    return frozenset(lacking)


def _cells(
    price: MatrixPrice, quantity: Decimal, quantities: Iterable[MatrixQuantity] | None
) -> dict[tuple[str, ...], Decimal]:
    cells: dict[tuple[str, ...], Decimal] = {}
    for index, part in enumerate(quantities or ()):
        if not part.others and len(part.values) != len(price.dimensions):
            need = f"{len(price.dimensions)} ({', '.join(price.dimensions)})"
            raise PriceError(f"quantities.{index}.values: {len(part.values)} given; a value for each of {need}")
        if not part.quantity.is_finite():
            raise PriceError(f"quantities.{index}.quantity: {part.quantity} is not finite; write a decimal")
        cells[part.values] = cells.get(part.values, ZERO) + part.quantity
    total = sum(cells.values(), ZERO)
    if total != quantity:
        raise PriceError(
            f"quantities: they sum to {plain(total)}, the quantity is {plain(quantity)}; "
            'a matrix price needs the whole quantity split, e.g. [{"values": ["eu"], "quantity": "3"}]'
        )
    return cells


def without_price(
    price: MatrixPrice, line: PricingLine, parts: Iterable[MatrixQuantity], values_without: frozenset[tuple[str, ...]]
) -> PricingLine:
    """What there is no price for is left out of the line, and a step each says so; nothing else waits for it."""
    cells = line.cells or {}
    lacking = sorted(values for values in cells if values in values_without)
    if not lacking:
        return line
    events: dict[tuple[str, ...], int] = {}
    for part in parts:
        if part.events is not None:
            events[part.values] = events.get(part.values, 0) + part.events
    others = line.others
    unpriced = tuple(
        replace(others, quantity=cells[values])
        if others is not None and values == OTHERS
        else MatrixQuantity(values, cells[values], events.get(values))
        for values in lacking
    )
    priced_cells = {values: quantity for values, quantity in cells.items() if values not in values_without}
    steps = [
        Step(
            "unpriced",
            ZERO,
            f"{others_label(part.others) if part.others else label(price, part.values)} "
            f"{'have' if part.others > 1 else 'has'} no price: {_counted(part)} not billed",
            part.quantity,
            values=None if part.others else part.values,
            count=part.others or None,
        )
        for part in unpriced
    ]
    return replace(line, cells=priced_cells, quantity=sum(priced_cells.values(), ZERO), unpriced=unpriced).then(*steps)


def _counted(part: MatrixQuantity) -> str:
    if part.events is None:
        return f"{plain(part.quantity)} is"
    return f"{plain(part.quantity)} from {part.events} event{'' if part.events == 1 else 's'} is"


def negative_is_zero(price: Price, line: PricingLine) -> PricingLine:
    """A negative quantity is priced as zero, and a step says so; for a matrix, combination by combination."""
    if line.cells is not None:
        negative = {values: cell for values, cell in line.cells.items() if cell < 0}
        cells = {values: ZERO if values in negative else cell for values, cell in line.cells.items()}
        if line.others is not None and OTHERS in cells:  # each of them by itself, as if it were a cell of its own
            negative.pop(OTHERS, None)
            cells[OTHERS] = line.cells[OTHERS] - line.others.below_zero
            if line.others.below_zero:
                negative[OTHERS] = line.others.below_zero
        steps = [_negative(cell, values) for values, cell in sorted(negative.items())]
        return replace(line, cells=cells, quantity=sum(cells.values(), ZERO)).then(*steps)
    if line.quantity < 0:
        return replace(line, quantity=ZERO).then(_negative(line.quantity, None))
    return line


def _negative(quantity: Decimal, values: tuple[str, ...] | None) -> Step:
    of = " of other combinations of values" if values == OTHERS else f" of {', '.join(values)}" if values else ""
    text = f"the quantity{of} is negative, {plain(quantity)}, and priced as zero"
    return Step("negative_quantity", ZERO, text, quantity, values=values or None)


def included_units(price: Price, line: PricingLine) -> PricingLine:
    """Take the price's included units off the quantity."""
    return take_off(price, line, price.included_units, "included_units", "included")


def free_units(price: Price, line: PricingLine) -> PricingLine:
    """Take the free units of a package or percentage price off the quantity."""
    units = price.free_units if isinstance(price, PackagePrice | PercentagePrice) else ZERO
    return take_off(price, line, units, "free_units", "free")


def model(price: Price, line: PricingLine) -> PricingLine:
    """Charge for the quantity by the price's model."""
    return line.then(*model_steps(price, line))


def proration(price: Price, line: PricingLine) -> PricingLine:
    """A flat amount for a part of a period; tiers, included units and the maximum stay as they are."""
    if price.proration is None or not isinstance(price, FlatPrice):
        return line
    full_amount = line.total
    part = share(full_amount, price.proration.part_seconds, price.proration.whole_seconds)
    text = f"{_part(price.proration)}: {plain(full_amount)} becomes {plain(part)}"
    return line.then(Step("proration", part - full_amount, text))


def _part(of: Proration) -> str:
    return f"{_span(of.part_seconds, of.whole_seconds)} of the period"


def _span(part_seconds: Decimal, whole_seconds: Decimal) -> str:
    part, whole_duration, unit = part_seconds, whole_seconds, "seconds"
    if not part % _DAY and not whole_duration % _DAY:
        part, whole_duration, unit = part / _DAY, whole_duration / _DAY, "days"
    return f"{plain(part)} of {plain(whole_duration)} {unit}"


def maximum(price: Price, line: PricingLine) -> PricingLine:
    """Lower the amount to the price's maximum, less what earlier parts of the period came to."""
    limit, why = price.maximum_amount, ""
    if limit is not None and (earlier_cost := _cost_before(price)):
        limit, why = (
            max(limit - earlier_cost, ZERO),
            f" ({plain(limit)}, {plain(earlier_cost)} by earlier parts of the period)",
        )
    if limit is None or line.total <= limit:
        return line
    text = f"maximum {plain(limit)}{why}: {plain(line.total)} is lowered to it"
    return line.then(Step("maximum", limit - line.total, text))


def minimum(price: Price, line: PricingLine) -> PricingLine:
    """Raise the amount to the price's minimum: its prorated share, or less what earlier parts of the period came to."""
    limit, why = price.minimum_amount, ""
    earlier_cost = _cost_before(price)
    if limit is not None and price.proration is not None:
        why = f" ({plain(limit)} for {_part(price.proration)})"
        limit = share(limit, price.proration.part_seconds, price.proration.whole_seconds)
        if earlier_cost and price.maximum_amount is not None:
            limit = min(
                limit, max(price.maximum_amount - earlier_cost, ZERO)
            )  # a part is raised to no more than is left of the period's maximum
    elif limit is not None and earlier_cost:
        limit, why = limit - earlier_cost, f" ({plain(limit)}, {plain(earlier_cost)} by earlier parts of the period)"
    if limit is None or line.total >= limit:
        return line
    text = f"minimum {plain(limit)}{why}: {plain(line.total)} is raised to it"
    return line.then(Step("minimum", limit - line.total, text))


def _cost_before(price: Price) -> Decimal:
    """What the parts before this one of a period came to, where it goes on with them."""
    return price.split.amount_before if price.split is not None and price.split.priced_before is not None else ZERO


def trial(price: Price, line: PricingLine) -> PricingLine:
    """What was rated in a trial is shown, and not billed."""
    if not price.trial:
        return line
    return line.then(Step("trial", ZERO - line.total, f"in trial: {plain(line.total)} is not billed"))


STAGES: Final[tuple[RatingStage, ...]] = (
    negative_is_zero,
    included_units,
    free_units,
    model,
    proration,
    maximum,
    minimum,
    trial,
)
