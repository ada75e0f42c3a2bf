"""Charges with their usage, rated, and their lines: the price pinned on the line, the amount and a note. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

from msgspec import Struct

from rating.invoicing.charges import Need, ResolvedCharge, Totals
from rating.pricing import MatrixQuantity, PriceError, Rated, money_text, rate
from rating.pricing.exact import exact_sum
from rating.pricing.split_charges import Quantity, rate_alone, rate_parts
from rating.subscriptions.timeline import PlanningError
from rating.usage import Usage, UsageGroup, no_usage
from schemas.ledgers.invoice_record import Line
from schemas.prices import MatrixPrice, Price, plain
from schemas.values.caches.identity_cache import IdentityCache
from schemas.values.json_text import to_json
from schemas.values.record_copy import replace

NO_USAGE = "no usage in the period; priced as 0"


CARRIED = "no event in the period; the last value before it is carried over"


class RatedItem(Struct, frozen=True):
    """An item with the price pinned on its line, its amount, and its usage (None for a flat product)."""

    item: ResolvedCharge
    priced: Rated
    usage: Usage | None
    note: str


def rate_items(items: Sequence[ResolvedCharge], totals: Totals, account_id: str, currency: str) -> Iterator[RatedItem]:
    """Rate all items of an account in order; those split by a change of price consider what the others used. Raises
    PlanningError, which names the charge."""
    together: dict[tuple[str, str, str], list[int]] = {}
    for number, item in enumerate(items):
        if item.price.split is not None and item.need is not None:
            together.setdefault((item.charge.key, item.need.profile.profile_id, item.price.split.of), []).append(number)
    known: dict[int, tuple[Price, Rated, Usage, str]] = {}
    for number, item in enumerate(items):
        try:
            if item.need is None:
                priced = rate(item.price, Decimal(1), currency=currency)
                yield RatedItem(item, priced, None, "; ".join(priced.notes))
                continue
            split = item.price.split
            if split is None:
                yield _ALIKE(item, totals[item.need].get(account_id, ()), currency)
                continue
            if number not in known:
                numbers = together[item.charge.key, item.need.profile.profile_id, split.of]
                parts = [
                    (items[number].price, need, totals[need].get(account_id))
                    for number in numbers
                    if (need := items[number].need) is not None
                ]
                known |= dict(zip(numbers, rate_rows(parts, currency), strict=True))
        except PriceError as error:
            raise PlanningError(f"charge {item.charge.key}: {error}") from None
        price, priced, usage, note = known.pop(number)
        yield RatedItem(replace(item, price=price), priced, usage, note)


def _rated(item: ResolvedCharge, need: Need, rows: Sequence[UsageGroup], usage: Usage, currency: str) -> RatedItem:
    """Rate an item that stands alone."""
    quantity = _quantity(item.price, rows, usage)
    priced = (rate_alone if isinstance(item.price, MatrixPrice) else _RATED)(item.price, quantity, currency)
    return RatedItem(item, priced, usage, _note(priced, usage, rows))


class _RatedAlike:
    """Accounts that used the same quantity of one item share what is rated, and by that its line. Keyed by the item's
    identity and the quantity's digits, as ``_RatedAlone`` is. Beyond ``most`` entries it is emptied."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._entries: dict[tuple[int, str, str, int, bool], RatedItem] = {}

    def __call__(self, item: ResolvedCharge, rows: Sequence[UsageGroup], currency: str) -> RatedItem:
        """The rated item, of usage, that stands alone. Raises PriceError."""
        need = item.need
        assert need is not None
        usage = _usage(need, rows)
        if isinstance(item.price, MatrixPrice):
            return _rated(item, need, rows, usage, currency)
        key = id(item), currency, str(usage.quantity), usage.events, bool(rows)
        rated = self._entries.get(key)
        if rated is None:
            if len(self._entries) >= self._most:
                self._entries.clear()
            rated = self._entries[key] = _rated(item, need, rows, usage, currency)  # which holds the item
        return rated


class _RatedAlone:
    """What many accounts used alike at one price is rated once. Keyed by the price's identity, as ``IdentityCache`` is,
    and by the quantity's digits: 1 and 1.0 are not one text on a line. Beyond ``most`` entries it is emptied."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._entries: dict[tuple[int, str, str, str], tuple[Price, Rated]] = {}

    def __call__(self, price: Price, measured: Quantity, currency: str) -> Rated:
        """``rate_alone`` of a quantity that is not told apart by dimensions. Raises PriceError."""
        key = id(price), currency, str(measured.quantity), str(measured.events)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._most:
                self._entries.clear()
            entry = self._entries[key] = price, rate_alone(price, measured, currency)
        return entry[1]


_RATED: Final = _RatedAlone()
_ALIKE: Final = _RatedAlike()


def _note(priced: Rated, usage: Usage, rows: Sequence[UsageGroup]) -> str:
    empty = NO_USAGE if usage.quantity is None else CARRIED if rows and not usage.events else ""
    return "; ".join([*priced.notes, empty] if empty else priced.notes)


def rate_rows(
    parts: Iterable[tuple[Price, Need, Iterable[UsageGroup] | None]], currency: str
) -> list[tuple[Price, Rated, Usage, str]]:
    """Rate the parts of a period that belong together, or a single one: (price as pinned, priced, usage, note) of
    each. Raises PriceError."""
    each = [(price, need, list(rows or ())) for price, need, rows in parts]
    usages = [_usage(need, rows) for _, need, rows in each]
    quantities = [(price, _quantity(price, rows, usage)) for (price, _, rows), usage in zip(each, usages, strict=True)]
    return [
        (price, priced, usage, _note(priced, usage, rows))
        for (price, priced), (_, _, rows), usage in zip(rate_parts(quantities, currency), each, usages, strict=True)
    ]


def _usage(need: Need, rows: Sequence[UsageGroup]) -> Usage:
    if not rows:
        return no_usage(need.profile.aggregation)
    if len(rows) == 1:
        return rows[0].usage
    return Usage(exact_sum(row.usage.quantity or Decimal(0) for row in rows), sum(row.usage.events for row in rows))


def _quantity(price: Price, rows: Iterable[UsageGroup], usage: Usage) -> Quantity:
    cells = None
    if isinstance(price, MatrixPrice):
        cells = tuple(
            MatrixQuantity(
                tuple(value or "" for value in row.dimensions),
                row.usage.quantity or Decimal(0),
                row.usage.events,
                row.others,
                row.below_zero,
            )
            for row in rows
        )
    return Quantity(usage.quantity if usage.quantity is not None else Decimal(0), Decimal(usage.events), cells)


def line_of(rated: RatedItem) -> Line:
    """The line of a rated item: one for all accounts that share that."""
    return _made_line(rated) if isinstance(rated.item.price, MatrixPrice) else _LINES(rated)


def _made_line(rated: RatedItem) -> Line:
    item, priced, usage, note = rated.item, rated.priced, rated.usage, rated.note
    amount, unrounded, steps = _amounts(priced) if isinstance(item.price, MatrixPrice) else _AMOUNTS(priced)
    return Line(
        kind="flat" if usage is None else "usage", charge=item.charge.key,
        product=item.product.code, description=item.product.name or item.product.code,
        profile_id=item.need.profile.profile_id if item.need else "", profile_versions=item.versions,
        period_start=item.start_us, period_end=item.end_us,
        quantity="" if usage is None else plain(usage.quantity or Decimal(0)),
        events="" if usage is None else str(usage.events),
        unit=item.product.unit or (item.need.profile.unit if item.need else ""),
        price=price_text(item.price),
        amount=amount, unrounded=unrounded, steps=steps,
        note="; ".join(part for part in (item.note, note) if part), of_plan=item.plan,
    )  # fmt: skip


@lru_cache(maxsize=100)
def flat_lines(currency: str) -> IdentityCache[ResolvedCharge, Line]:
    """Cache of flat fee lines by currency, which are equal for all accounts."""

    def made(item: ResolvedCharge) -> Line:
        (rated,) = rate_items([item], {}, "", currency)
        return line_of(rated)

    return IdentityCache(made)


def _amounts(priced: Rated) -> tuple[str, str, str]:
    """(amount, unrounded amount, calculation) as a line has them."""
    return money_text(priced.amount, priced.currency), plain(priced.unrounded), steps_text(priced)


def steps_text(priced: Rated) -> str:
    """The calculation of an amount as JSON text."""
    return to_json([step.as_json() for step in priced.steps])


def price_text(price: Price) -> str:
    """The canonical JSON of a price as pinned on a line; cached, since lines of one charge share their price."""
    return _texts(price)


def _text(price: Price) -> str:
    return json.dumps(price.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)


_texts: Final = IdentityCache(_text)
_AMOUNTS: Final = IdentityCache(_amounts, 4096)
_LINES: Final = IdentityCache(_made_line, 4096)
