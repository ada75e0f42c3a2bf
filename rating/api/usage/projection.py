"""What a running period will have come to at its end, and how that compares with the period before.

Sums and counts are taken to go on as they did: quantity × seconds of the period / seconds elapsed, from the period's
first instant (local midnight of the account) to now. Unique counts, maxima, minima and latest values are taken as they
are, since they do not grow with time. What comes of it is priced as an invoice is.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from rating.invoices.stored_invoice import StoredInvoiceLine, WholeInvoice
from rating.invoicing.charges import Need
from rating.pricing import plain
from rating.usage import Usage, UsageGroup
from schemas.ledgers.invoice_claims import VOID
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

METHOD: Final = (
    "sums and counts × seconds of the period / seconds elapsed; unique counts, max, min and latest as they are;"
    " priced as an invoice"
)
_PLACES: Final = {"sum": Decimal(1).scaleb(-12), "count": Decimal(1)}
_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)
_CHARGES: Final = frozenset({"usage", "flat"})


def at_end(need: Need | None, rows: Iterable[UsageGroup] | None, now_us: int) -> list[UsageGroup] | None:
    """The rows as they will be at the end of ``need``'s period. None for a charge without usage."""
    if need is None:
        return None
    present = list(rows or ())
    if not linear(need) or not need.start_us < now_us < need.end_us:
        return present
    unit, elapsed, period = _PLACES[need.profile.aggregation], now_us - need.start_us, need.end_us - need.start_us
    return [
        replace(
            row,
            usage=_grown(row.usage, unit, elapsed, period),
            below_zero=_proportional(row.below_zero, unit, elapsed, period),
        )
        for row in present
    ]


def linear(need: Need) -> bool:
    """Whether the quantity grows with time."""
    return need.profile.aggregation in _PLACES


def _grown(usage: Usage, unit: Decimal, elapsed: int, period: int) -> Usage:
    """Usage × period / elapsed, both in microseconds, rounded to a multiple of ``unit``."""
    quantity = usage.quantity
    if quantity is not None:
        quantity = _proportional(quantity, unit, elapsed, period)
    return Usage(quantity, (usage.events * period + elapsed // 2) // elapsed)


def _proportional(quantity: Decimal, unit: Decimal, elapsed: int, period: int) -> Decimal:
    return _EXACT.divide(_EXACT.multiply(quantity, Decimal(period)), Decimal(elapsed)).quantize(unit, context=_EXACT)


def invoice_before(invoices: Iterable[WholeInvoice], subscription: str, start_us: int) -> WholeInvoice | None:
    """The subscription's invoice that stands, with charges of the period directly before one from ``start_us`` on; of
    several the one whose period began last."""
    directly = [
        invoice
        for invoice in invoices
        if invoice.head.subscription == subscription
        and invoice.head.state != VOID
        and invoice.head.period_start_us < invoice.head.period_end_us == start_us
        and any(line.kind in _CHARGES for line in invoice.lines)
    ]
    return max(directly, key=lambda invoice: (invoice.head.period_start_us, invoice.head.invoice_id), default=None)


def trend(previous: WholeInvoice | None, charge: str, projected: Decimal) -> JsonObject | None:
    """The same charge on the invoice of the period directly before, and by how many percent the projected amount
    differs; None where there is none."""
    lines = _of_charge(previous.lines, charge) if previous is not None else []
    if previous is None or len(lines) != 1:
        return None
    amount = Decimal(lines[0].amount)
    return {
        "invoice_id": previous.head.invoice_id,
        "quantity": None if lines[0].quantity is None else plain(lines[0].quantity),
        "amount": lines[0].amount,
        "change_percent": percent(amount, projected),
    }


def percent(previous: Decimal, amount: Decimal) -> str | None:
    """The change from ``previous`` to ``amount`` in percent, one digit; None where the previous one is nothing."""
    if not previous:
        return None
    change = _EXACT.divide(_EXACT.multiply(amount - previous, Decimal(100)), abs(previous))
    return format(change.quantize(Decimal("0.1"), context=_EXACT), "f")


def _of_charge(lines: Iterable[StoredInvoiceLine], charge: str) -> list[StoredInvoiceLine]:
    return [line for line in lines if line.charge == charge and line.kind in _CHARGES]


def shown(charge: JsonObject) -> str:
    """A charge's trend in a few words, for the console."""
    previous = charge.get("trend")
    if not previous:
        return ""
    change = previous["change_percent"]
    return f"{previous['amount']}" + (f" ({'+' if not change.startswith('-') else ''}{change} %)" if change else "")
