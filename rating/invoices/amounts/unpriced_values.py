"""Usage with dimension values for which a matrix has no amount: found on invoices, and priced once a later price
has one. Pure.

Such usage stops nothing. Its line states it in a step of kind ``unpriced``; the latest state is on the line's
newest adjustment, which may amount to 0.00. It is billed by an adjustment as soon as the subscription has a price
for it: the first in time of its prices for the same charge, product and dimensions from the line's period on (in
any version of any plan, or an override) that has a cell or a default for the values. Everything else is priced as
pinned on the line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rating.invoices.chain import is_interim
from rating.pricing import PriceError
from rating.pricing.price_models import cell_amounts, label, others_label
from rating.pricing.priced_line import OTHERS, MatrixQuantity
from rating.subscriptions.period_lock import PeriodLock
from rating.subscriptions.timeline import Timeline
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
)
from schemas.prices import Cell, MatrixPrice, Price, plain, price_in, prices_in_time

_MARK: Final = '"unpriced"'


@dataclass(frozen=True, slots=True)
class LaterPrice:
    """A matrix price of a subscription's charge, and its origin: ``plan basic version 2``."""

    price: MatrixPrice
    place: str


def same_line(left: Line, right: Line) -> bool:
    """Whether both lines are for one charge and the same part of a period: a line and its adjustment."""
    return (left.charge, left.product, left.period_start, left.period_end) == (
        right.charge,
        right.product,
        right.period_start,
        right.period_end,
    )


def newest(chain: Iterable[Invoice], invoice_id: str, line: Line) -> Line:
    """The last valid adjustment of a line of ``invoice_id``; the line itself if it has none."""
    latest = line
    for invoice in chain:
        if invoice.state == VOID:
            continue
        for candidate in invoice.lines:
            if candidate.adjusts == invoice_id and same_line(candidate, line):
                latest = candidate
    return latest


def unpriced_of(line: Line) -> tuple[MatrixQuantity, ...]:
    """The quantities for which a line states that it has no price."""
    if _MARK not in line.steps:
        return ()
    return tuple(
        MatrixQuantity(tuple(step.get("values", OTHERS)), Decimal(step["quantity"]), others=step.get("count", 0))
        for step in json.loads(line.steps)
        if step["kind"] == "unpriced"
    )


def unpriced_lines(chain: Sequence[Invoice]) -> Iterator[tuple[Invoice, Line, tuple[MatrixQuantity, ...]]]:
    """(invoice, line, quantities without a price) for every billed line with such usage, by its newest adjustment."""
    marked = [
        (invoice, line)
        for invoice in chain
        if invoice.state != VOID
        for line in invoice.lines
        if _MARK in line.steps and not is_interim(invoice)  # the invoice that takes it off has them, too
    ]
    listed: set[tuple[str, str, int, int]] = set()
    by_id = {invoice.invoice_id: invoice for invoice in chain} if marked else {}
    for invoice, line in marked:
        owner = by_id.get(line.adjusts or invoice.invoice_id)
        key = (line.adjusts or invoice.invoice_id, line.charge, line.period_start, line.period_end)
        if owner is None or owner.state == VOID or key in listed:
            continue
        listed.add(key)
        original = next(
            (candidate for candidate in owner.lines if candidate.kind == "usage" and same_line(candidate, line)), None
        )
        if original is not None and (lacking := unpriced_of(newest(chain, owner.invoice_id, original))):
            yield owner, original, lacking


def values_without_price(chains: Iterable[Sequence[Invoice]], lock: PeriodLock) -> int:
    """Number of values, by line, that were billed without a price; those behind the lock date are not counted, since
    nothing bills them any more."""
    return sum(len(parts) for chain in chains for owner, _, parts in unpriced_lines(chain) if not lock.covers(owner))


def later_prices(timeline: Timeline, charge_key: str, product: str, from_us: int) -> tuple[LaterPrice, ...]:
    """The matrix prices that a subscription has for a charge from ``from_us`` on, in order of time."""
    prices: list[LaterPrice] = []
    for segment in timeline.segments:
        if segment.end_us <= from_us:
            continue
        for charge in segment.plan.charges:
            if charge.key != charge_key or charge.product != product:
                continue
            try:
                price = price_in(charge.price, segment.plan.currency)
            except PriceError:
                continue  # reported where that plan is billed
            if isinstance(price, MatrixPrice):
                prices.append(LaterPrice(price, f"plan {segment.plan.code} version {segment.plan_version}"))
    return tuple(prices)


def completed(
    price: Price, lacking: Collection[MatrixQuantity], later: Collection[LaterPrice]
) -> tuple[Price, tuple[str, ...]]:
    """The price with a cell for each combination for which one of ``later`` has an amount, and a message for each;
    otherwise unchanged. Combinations that are measured together, none of which a price names, get the first default,
    after the cells of the prices up to it."""
    parts = [_completed(held, lacking, later) for held, _ in prices_in_time(price)]
    notes = tuple(dict.fromkeys(note for _, part_notes in parts for note in part_notes))
    if not notes:
        return price, ()
    last_price = parts[-1][0]
    if (by_time := price.by_time) is not None:
        earlier = tuple(
            part.model_copy(update={"price": held}) for part, (held, _) in zip(by_time.earlier, parts, strict=False)
        )
        last_price = last_price.model_copy(update={"by_time": by_time.model_copy(update={"earlier": earlier})})
    return last_price, notes


def may_have_cells(price: Price, lacking: Collection[MatrixQuantity], later: Collection[LaterPrice]) -> bool:
    """Whether combinations that were measured together as without a price may have a cell by now: one of ``later``
    names some that no price of the line names and that do not stand on it one by one. Measuring them apart tells."""
    if not any(part.others for part in lacking):
        return False
    prices = [held for held, _ in prices_in_time(price) if isinstance(held, MatrixPrice)]
    known = {cell.values for held in prices for cell in held.cells} | {part.values for part in lacking}
    return any(
        cell.values not in known
        for later_price in later
        if any(later_price.price.dimensions == held.dimensions for held in prices)
        for cell in later_price.price.cells
    )


def _completed(
    price: Price, lacking: Iterable[MatrixQuantity], later: Iterable[LaterPrice]
) -> tuple[Price, tuple[str, ...]]:
    if not isinstance(price, MatrixPrice):
        return price, ()
    options = [
        (later_price, cell_amounts(later_price.price))
        for later_price in later
        if later_price.price.dimensions == price.dimensions
    ]
    cells: list[Cell] = []
    notes: list[str] = []
    named = cell_amounts(price)
    default: Decimal | None = None
    for part in sorted(lacking, key=lambda part: part.others):
        if part.values in named or price.default_unit_amount is not None:
            continue  # another of the line's prices lacks it
        if part.others:
            default, cells_before, price_place = _first_default(options)
            if default is not None:
                added = {cell.values for cell in cells}
                cells += [
                    Cell(values=values, unit_amount=amount)
                    for values, amount in cells_before.items()
                    if values not in named and values not in added
                ]
                notes.append(f"{others_label(part.others)} at {plain(default)}, of {price_place}")
            continue
        for version, amounts in options:
            amount = amounts.get(part.values, version.price.default_unit_amount)
            if amount is not None:
                cells.append(Cell(values=part.values, unit_amount=amount))
                notes.append(f"{label(price, part.values)} at {plain(amount)}, of {version.place}")
                break
    if not notes:
        return price, ()
    changes: dict[str, object] = {"cells": (*price.cells, *cells)}
    if default is not None:
        changes["default_unit_amount"] = default
    return price.model_copy(update=changes), tuple(notes)


def _first_default(
    options: Iterable[tuple[LaterPrice, dict[tuple[str, ...], Decimal]]],
) -> tuple[Decimal | None, dict[tuple[str, ...], Decimal], str]:
    """(the first default, the amounts of cells of the prices up to it, where it stands); None if none has one."""
    cells: dict[tuple[str, ...], Decimal] = {}
    for version, amounts in options:
        cells = amounts | cells  # the first price in time decides
        if version.price.default_unit_amount is not None:
            return version.price.default_unit_amount, cells, version.place
    return None, {}, ""
