"""Which invoices of a chain no later invoice can depend on but through late usage, a void or a credit note. Pure.

A close plans from the last invoice of each chain and from those that are not quiet; whole chains are read only where
something touches them (``StandingInvoices.expand``). So what a close reads and holds does not grow with the periods
that are behind it.
"""

from __future__ import annotations

from typing import Final

from schemas.ledgers.invoice_claims import FINALIZED, PAID
from schemas.ledgers.invoice_record import Invoice, body_of

_PLAIN: Final = frozenset({"subtotal", "tax_amount", "due_date", "time_zone_data", "after", "payments", "approved"})
"""Entries of a body that concern the invoice alone. A name that is not here makes it count, whatever it means."""
_CHARGES: Final = frozenset({"usage", "flat"})


def is_quiet(invoice: Invoice) -> bool:
    """Whether the invoice bills only usage and fees of its own period: without adjustments, discounts, commitments,
    prepaid credits, credit notes, fees in advance, usage without a price, or a balance below zero."""
    if invoice.state not in (FINALIZED, PAID) or invoice.sequence or invoice.total.startswith("-"):
        return False
    for line in invoice.lines:
        if line.kind not in _CHARGES or line.adjusts or '"unpriced"' in line.steps:
            return False
        if line.period_start < invoice.period_start or line.period_end > invoice.period_end:
            return False
    try:
        return body_of(invoice).fields.keys() <= _PLAIN
    except ValueError:
        return False
