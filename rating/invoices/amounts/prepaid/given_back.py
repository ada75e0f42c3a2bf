"""What an invoice or a credit note gives back to the grants that paid what it credits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rating.invoices.amounts.prepaid.product_draws import AmountsByProduct, RestrictedDraws, Restrictions
from rating.pricing.exact import exactly


@dataclass(frozen=True, slots=True)
class DrawnOn:
    """What grants paid of an invoice's charges (``drawings.py``), minus what was restored since, by credit line
    charge in drawing order; ``left``: what it bills before credits, with all adjustments and credit notes so far.
    Where some of the grants pay products alone (``restrictions``): that by product (``amounts``)."""

    invoice_id: str
    left: Decimal
    drawn: tuple[tuple[str, Decimal], ...]
    restrictions: Restrictions = field(default_factory=dict)
    amounts: AmountsByProduct = field(default_factory=dict)


GivenParts = list[tuple[str, str, Decimal]]
"""(adjusted invoice, charge of its credit line, amount) that comes back to a grant."""


def to_give_back_of_products(
    drawn: Iterable[DrawnOn],
    changes: Iterable[tuple[str, str, Decimal]],
    room: Mapping[str, Decimal],
    currency: str,
) -> GivenParts:
    """What comes back to grants of products since lines of these fall, whatever else the invoice bills. ``changes``:
    (adjusted invoice, key of ``AmountsByProduct``, amount); ``room``: product → by how much it falls in all."""
    of_invoice: dict[str, list[tuple[str, Decimal]]] = {}
    for name, key, amount in changes:
        of_invoice.setdefault(name, []).append((key, amount))
    open_room = dict(room)
    return [
        (draw.invoice_id, charge, amount)
        for draw in drawn
        if draw.restrictions and draw.drawn and draw.invoice_id in of_invoice
        for charge, amount in RestrictedDraws(draw.drawn, draw.amounts, draw.restrictions, currency).released(
            of_invoice[draw.invoice_id], open_room
        )
    ]


def to_give_back(
    subtotal: Decimal,
    drawn: Iterable[DrawnOn],
    adjusting: Iterable[tuple[str, Decimal]],
    already: GivenParts | None = None,
) -> GivenParts:
    """What a negative invoice restores to grants: what they would not have paid had the adjusted invoice billed its
    present amount from the beginning. The last drawn first. ``already``: what comes back of products, which
    ``subtotal`` counts."""
    given: GivenParts = []
    with exactly():
        room = -subtotal
        returned_parts: dict[tuple[str, str], Decimal] = {}
        for name, charge, part in already or ():
            returned_parts[name, charge] = returned_parts.get((name, charge), Decimal(0)) + part
        changes: dict[str, Decimal] = {}
        for name, amount in adjusting:
            changes[name] = changes.get(name, Decimal(0)) + amount
        for draw in drawn:
            left_of_draws = [
                (charge, amount - returned_parts.get((draw.invoice_id, charge), Decimal(0)))
                for charge, amount in draw.drawn
            ]
            draw_total = sum((amount for _, amount in left_of_draws), Decimal(0))
            change = changes.get(draw.invoice_id, Decimal(0))
            come_back = sum((part for (name, _), part in returned_parts.items() if name == draw.invoice_id), Decimal(0))
            left = max(draw.left + change, Decimal(0))
            # Limited to what this invoice credits of it, since earlier credits have reduced the drawings already.
            back = max(min(draw_total - left, room, -change - come_back), Decimal(0))
            for charge, amount in reversed(left_of_draws):
                part = min(back, amount)
                if part > 0:
                    given.append((draw.invoice_id, charge, part))
                    back, room = back - part, room - part
    return given
