"""A subscription's chain of invoices, some of which may be void: what is billed, what must be billed again, what
may be voided. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.instants import micros, parse_rfc3339


def voids_of(chain: Sequence[Invoice]) -> tuple[str, ...]:
    """Sorted ids of the chain's void invoices, on which the next invoice's plan is based."""
    return tuple(sorted(invoice.invoice_id for invoice in chain if invoice.state == VOID))


def last_period(chain: Sequence[Invoice]) -> Invoice | None:
    """The invoice with the last period, void or not; the next period starts where it ended."""
    return max(chain, key=lambda invoice: (invoice.period_end, invoice.period_start, invoice.sequence), default=None)


def last_order(chain: Iterable[Invoice]) -> int:
    """Rank of the chain's last credit note; 0 if there is none, or if it stems from a release without ranks."""
    return max(
        (
            note.get("order", 0)
            for invoice in chain
            if '"credit_notes"' in invoice.body
            for note in body_of(invoice).credit_notes
        ),
        default=0,
    )


def next_sequence(chain: Sequence[Invoice], start_us: int) -> int:
    """The first sequence number not used by an invoice with that period start."""
    return max((invoice.sequence + 1 for invoice in chain if invoice.period_start == start_us), default=0)


def is_interim(invoice: Invoice) -> bool:
    """Whether it bills what was used of a running period, before that ended; the period's own invoice takes it off."""
    return '"interim"' in invoice.body and "interim" in body_of(invoice)


def interims_of(chain: Iterable[Invoice], start_us: int) -> list[Invoice]:
    """The interim invoices that stand of the period that begins at ``start_us``."""
    of_period = (invoice for invoice in chain if invoice.period_end == start_us and invoice.state != VOID)
    return [invoice for invoice in of_period if is_interim(invoice)]


def begun_us(invoice: Invoice) -> int:
    """From when on the invoice tells something of its subscription: the end of its period; of an interim one, as of
    when it was made."""
    change = body_of(invoice).change if is_interim(invoice) else None
    return invoice.period_end if change is None else micros(parse_rfc3339(change))


def episode_of(chain: Iterable[Invoice], start_us: int) -> int:
    """The number of the next interim invoice of the period that begins at ``start_us``, void ones counted: 1, 2, …"""
    return 1 + sum(1 for invoice in chain if invoice.period_end == start_us and is_interim(invoice))


def periods_to_reissue(chain: Sequence[Invoice]) -> Iterator[Invoice]:
    """The newest invoice of each period whose invoices are all void, in order of the periods; these periods must be
    billed again.

    Invoices with adjustments only, and those that settle a change, are left out: what they adjusted is computed
    anew.
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
    """The checkpoint up to which late usage is included in valid invoices; 0: usage of any time may be late.

    An invoice's predecessors were adjusted as of its checkpoint, unless one was voided after it was planned.
    """
    voids: set[str] = set()
    checkpoint = 0
    for invoice in chain:
        if invoice.state == VOID:
            voids.add(invoice.invoice_id)
        elif not voids or voids <= set(body_of(invoice).voids):
            checkpoint = invoice.checkpoint
    return checkpoint


def invoices_built_on(chain: Sequence[Invoice], invoice_id: str) -> list[str]:
    """Valid invoices that adjust the given one, or settle a change of fees it billed in advance; for one that
    settles a change, the invoice of its period. It cannot be voided while there are any."""
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
