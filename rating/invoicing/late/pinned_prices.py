"""Parses the price pinned on a line of a stored invoice. Pure."""

from __future__ import annotations

from rating.subscriptions.timeline import PlanningError
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.prices import Price, PriceError, pinned_price


def price_of(invoice: Invoice, line: Line, adjusted: Line | None = None) -> Price:
    """The price of a line of ``invoice``, or of its adjustment ``adjusted`` on a later invoice. Raises
    PlanningError, which names the line."""
    try:
        return pinned_price((adjusted or line).price, invoice.currency)
    except (PriceError, ValueError) as error:
        raise PlanningError(f"invoice {invoice.invoice_id}, line {line.number}: {error}") from None
