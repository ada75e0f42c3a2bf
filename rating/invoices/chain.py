"""A subscription's chain of invoices where some are void: what is billed, what has to be billed again, what may be
voided. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.instants import micros, parse_rfc3339


def voids_of(chain: Sequence[Invoice]) -> tuple[str, ...]:
    """Ids of the chain's void invoices, sorted: what the next invoice is planned after."""
    return tuple(sorted(invoice.invoice_id for invoice in chain if invoice.state == VOID))


def last_period(chain: Sequence[Invoice]) -> Invoice | None:
    """The invoice whose period is the last, void or not; the next period starts where it ended."""
    return max(chain, key=lambda invoice: (invoice.period_end, invoice.period_start, invoice.sequence), default=None)


def next_sequence(chain: Sequence[Invoice], start_us: int) -> int:
    """The first number that no invoice of that period start has."""
    return max((invoice.sequence + 1 for invoice in chain if invoice.period_start == start_us), default=0)


def vacant(chain: Sequence[Invoice]) -> Iterator[Invoice]:
    """Of each period all of whose invoices are void the newest one, in the order of the periods: it has to be billed
    again.

    Further invoices that hold adjustments alone are none of them, nor those that settle a change: what they adjusted is
    worked out anew.
    """
    newest: dict[tuple[int, int], Invoice] = {}
    for invoice in chain:
        if "change" in body_of(invoice):
            continue
        span = invoice.period_start, invoice.period_end
        if span not in newest or body_of(invoice).reissues:
            newest[span] = invoice
    for _, newest_invoice in sorted(newest.items()):
        if newest_invoice.state == VOID:
            yield newest_invoice


def billed_up_to(chain: Sequence[Invoice]) -> int:
    """The checkpoint up to which late usage is on invoices that stand; 0: what came at any time may be late.

    What an invoice is as of, its predecessors were adjusted as of, unless one of them was voided after it was planned.
    """
    voids: set[str] = set()
    checkpoint = 0
    for invoice in chain:
        if invoice.state == VOID:
            voids.add(invoice.invoice_id)
        elif not voids or voids <= set(body_of(invoice).voids):
            checkpoint = invoice.checkpoint
    return checkpoint


def counted_on_by(chain: Sequence[Invoice], invoice_id: str) -> list[str]:
    """Invoices that stand and adjust that one, or settle a change of the fees that it billed in advance; of one that
    settles a change, the invoice of its period. As long as they do, it cannot be voided."""
    invoice_counted = next((invoice for invoice in chain if invoice.invoice_id == invoice_id), None)
    settles = invoice_counted is not None and "change" in body_of(invoice_counted)
    return [
        invoice.invoice_id
        for invoice in chain
        if invoice.state != VOID
        and invoice is not invoice_counted
        and (
            any(line.adjusts == invoice_id for line in invoice.lines)
            or (invoice_counted is not None and _goes_on(invoice_counted, invoice, settles))
        )
    ]


def credited_since(chain: Sequence[Invoice], invoice: Invoice) -> list[str]:
    """Invoices that ``invoice`` added to, by adjustments, and that have a credit note of a later instant, whose limit
    counted what was added. As long as that is there, ``invoice`` cannot be voided."""
    added = {line.adjusts for line in invoice.lines if line.kind != "credit" and Decimal(line.amount) > 0}
    return [
        adjusted.invoice_id
        for adjusted in chain
        if adjusted.invoice_id in added
        and any(micros(parse_rfc3339(note["at"])) >= invoice.as_of for note in body_of(adjusted).credit_notes)
    ]


def given_back_by(chain: Sequence[Invoice], invoice: Invoice) -> list[str]:
    """Later invoices that stand and gave prepaid credit back of what ``invoice`` added to, where it drew on some: they
    may have given back its draws."""
    if all(line.kind != "credit" for line in invoice.lines):
        return []
    added = {line.adjusts for line in invoice.lines if line.kind != "credit" and line.adjusts}
    position = next(number for number, standing in enumerate(chain) if standing.invoice_id == invoice.invoice_id)
    return [
        later.invoice_id
        for later in chain[position + 1 :]
        if later.state != VOID and any(line.kind == "credit" and line.adjusts in added for line in later.lines)
    ]


def _goes_on(invoice: Invoice, later: Invoice, settles: bool) -> bool:
    if settles:
        return bool(later.period_start == invoice.period_end < later.period_end)
    return bool(later.period_start == invoice.period_end and "change" in body_of(later))
