"""Limits the dimension values that a line lists; the others share one step. Pure.

Anybody with an API key can invent values, and a matrix with a default prices each of them. The amount does not
depend on the listing, since all unlisted values are priced by the default. ``weir explain`` lists every value.
What is measured has that limit already (``rating.invoicing.bounded_groups``); here it is that of a line, which may
have several prices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Final

from rating.pricing import plain
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
)
from schemas.prices import MatrixPrice, pinned_price, prices_in_time
from schemas.values.json_text import JsonObject, to_json
from schemas.values.record_copy import replace

REST: Final = "others"
_CELL: Final = '"cell"'


def listed(invoice: Invoice, most: int) -> Invoice:
    """The invoice with at most ``most`` steps per line for values without a cell: those with the greatest
    quantities (ties in order of their values). One further step has the sum of all others."""
    if all(line.steps.count(_CELL) <= most for line in invoice.lines):
        return invoice
    return replace(invoice, lines=tuple(_line(line, invoice.currency, most) for line in invoice.lines))


def beyond(invoices: Iterable[Invoice]) -> Iterator[tuple[Invoice, str, int]]:
    """(invoice, charge, number of values that share a step) for every line with such a step."""
    for invoice in invoices:
        for line in invoice.lines:
            if f'"{REST}"' in line.steps:
                for step in json.loads(line.steps):
                    if step["kind"] == REST:
                        yield invoice, line.charge, step["count"]


def _line(line: Line, currency: str, most: int) -> Line:
    if line.steps.count(_CELL) <= most:
        return line
    steps = json.loads(line.steps)
    prices = [price for price, _ in prices_in_time(pinned_price(line.price, currency))]
    named = {cell.values for price in prices if isinstance(price, MatrixPrice) for cell in price.cells}
    free = [
        number for number, step in enumerate(steps) if step["kind"] == "cell" and tuple(step["values"]) not in named
    ]
    if len(free) <= most:
        return line
    largest = sorted(free, key=lambda number: (-Decimal(steps[number]["quantity"]), steps[number]["values"]))
    unlisted = set(largest[most:])
    # The steps of each of several prices end with its share of the time, and have a bucket of their own.
    price_of = list(accumulate((step["kind"] == "proration" for step in steps), initial=0))
    last_of = {price_of[number]: number for number in free}
    together: dict[int, list[JsonObject]] = {}
    for number in sorted(unlisted):
        together.setdefault(price_of[number], []).append(steps[number])
    for number, step in enumerate(steps):  # what was measured together shares that step
        if step["kind"] == REST and price_of[number] in together:
            together[price_of[number]].append(step)
            unlisted.add(number)
    written: list[JsonObject] = []
    for number, step in enumerate(steps):
        if number not in unlisted:
            written.append(step)
        if last_of.get(price_of[number]) == number and price_of[number] in together:
            written.append(_bucket(together[price_of[number]]))
    return replace(line, steps=to_json(written))


def _bucket(unlisted: Sequence[JsonObject]) -> JsonObject:
    amount = exact_sum(Decimal(step["amount"]) for step in unlisted)
    quantity = exact_sum(Decimal(step["quantity"]) for step in unlisted)
    unit_amount, count = unlisted[0]["unit_amount"], sum(step.get("count", 1) for step in unlisted)
    text = f"{count} other combinations of values (default): {plain(quantity)} × {unit_amount} = {plain(amount)}"
    return {
        "kind": REST, "amount": plain(amount), "text": text, "quantity": plain(quantity), "unit_amount": unit_amount,
        "count": count,
    }  # fmt: skip
