"""The floor of an invoice with credit notes: what later invoices credit of it, by discounts too, never makes it come to
less than its credit notes credited. Pure.

``line_balances`` takes back by line what both credit. That leaves what no line tells: a discount is of all lines, and
one agreed later takes something off a fee that was credited before. For an invoice as a whole a line ``credit_note:``,
without a charge, takes back what would make it negative, and returns it if the invoice comes to more again. The amount
depends on the present state alone, not on the steps that led to it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.invoices.amounts.billed_of_period import NOTED, OF_PERIOD, is_ahead, is_lump, reductions
from rating.invoices.amounts.line_balances import LastNote, credited_by_line, last_note
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum
from rating.pricing.priced_line import ZERO, Step
from rating.subscriptions.period_terms import Terms, pinned_terms, pinned_terms_ahead
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, Line, body_of

DISCOUNT = "discount:"


@dataclass(frozen=True, slots=True)
class BilledInvoice:
    """An invoice that stands, or one that is being built. ``terms``: discounts of its own period, or of the running
    period whose fees it changes (``change``); None where it has adjustments only. Invoices of older releases: ``older``
    where the discounts were of its own charges alone, whichever invoice billed the period's fees in advance; ``lump``:
    discounts of its charges and its fees in advance at once."""

    invoice_id: str
    start_us: int
    end_us: int
    lines: Sequence[Line]
    terms: Terms | None
    change: bool = False
    older: bool = False
    lump: Terms | None = None

    def is_ahead(self, line: Line) -> bool:
        """Whether a line of it, or one that adjusts it, is for the period that follows its own."""
        return self.end_us <= line.period_start < line.period_end


def billing_of(invoice: Invoice) -> BilledInvoice:
    """The invoice with the discounts pinned on it."""
    change = "change" in body_of(invoice)
    terms = lump = None
    if change or '"terms"' in invoice.body:
        terms = Terms((pinned_terms_ahead(invoice) if change else pinned_terms(invoice)).discounts)
    if is_lump(invoice):
        terms, lump = None, terms
    return BilledInvoice(
        invoice.invoice_id, invoice.period_start, invoice.period_end, invoice.lines, terms, change,
        older=terms is not None and not change and body_of(invoice).terms_of != OF_PERIOD, lump=lump,
    )  # fmt: skip


class _BilledInvoices:
    """The invoices of a subscription in order, and what each comes to."""

    def __init__(self, billings: Iterable[BilledInvoice], currency: str) -> None:
        self._billings = list(billings)
        self._currency = currency
        self._by_id = {billing.invoice_id: billing for billing in self._billings}

    def __contains__(self, name: str) -> bool:
        return name in self._by_id

    def comes_to(self, name: str) -> Decimal:
        """The amount of the invoice with all that adjusts it, and with what discounts take off its fees in advance on
        whichever invoice; before credit notes and what is taken back of them."""
        parts = [Decimal(line.amount) for line in self._lines_of(name) if not line.charge.startswith(NOTED)]
        return exact_sum((*parts, self.moved(name), -self.moves(name)))

    def taken_back(self, name: str) -> tuple[Decimal, Decimal]:
        """What was taken back of credit notes: by line, and of the invoice as a whole."""
        taken = [line for line in self._lines_of(name) if line.charge.startswith(NOTED)]
        return (
            exact_sum(Decimal(line.amount) for line in taken if line.charge != NOTED),
            exact_sum(Decimal(line.amount) for line in taken if line.charge == NOTED),
        )

    def _lines_of(self, name: str) -> list[Line]:
        return [
            line
            for billing in self._billings
            for line in billing.lines
            if line.kind != "credit" and (line.adjusts or billing.invoice_id) == name
        ]

    def _of_period(self, start_us: int) -> BilledInvoice | None:
        """The invoice by whose terms the period is billed: its own, and while there is none the last that changed its
        fees."""
        of_period = [billing for billing in self._billings if billing.start_us == start_us < billing.end_us]
        changes = [billing for billing in self._billings if billing.change and billing.end_us == start_us]
        return next((billing for billing in of_period or reversed(changes) if billing.terms is not None), None)

    def moved(self, name: str) -> Decimal:
        """What other invoices' discounts take off the fees that the invoice billed in advance, beyond those that name
        it: what the discounts of all charges of the period come to beyond those without its fees."""
        carrier = self._by_id[name]
        later = self._of_period(carrier.end_us)
        if later is None or later.terms is None or later is carrier:
            return ZERO
        fees: list[tuple[str, Decimal]] = []
        others: list[tuple[str, Decimal]] = []
        taken: list[Decimal] = []
        stated: list[Decimal] = []
        for billing in self._billings:
            for line in billing.lines:
                of = self._by_id.get(line.adjusts, billing)
                ahead = of.is_ahead(line)
                if line.kind == "credit" or (of.end_us if ahead else of.start_us) != carrier.end_us:
                    continue
                if ":" not in line.charge:
                    (fees if ahead and of is carrier else others).append((line.product, Decimal(line.amount)))
                elif line.charge.startswith(DISCOUNT) and (ahead or of.lump is None):
                    (taken if ahead and of is carrier else stated).append(Decimal(line.amount))
            if billing.lump is not None and billing.end_us == carrier.end_us:
                (taken if billing is carrier else stated).append(self._taken_ahead(billing, billing.lump))
        if not fees and not taken:
            return ZERO
        whole = exact_sum(taken + stated) if later.older else self._off(fees + others, later.terms)
        return exact_sum((whole, -self._off(others, later.terms), -exact_sum(taken)))

    def moves(self, name: str) -> Decimal:
        """What the invoice's own discounts take off fees of its period that others billed in advance."""
        billing = self._by_id[name]
        if billing is not self._of_period(billing.start_us):
            return ZERO
        return exact_sum(self.moved(item.invoice_id) for item in self._billings if item.end_us == billing.start_us)

    def _taken_ahead(self, lump: BilledInvoice, terms: Terms) -> Decimal:
        """What the discounts of a lump are beyond those of its own charges, so off its fees in advance."""
        lines = [line for line in self._lines_of(lump.invoice_id) if not lump.is_ahead(line)]
        charged = [(line.product, Decimal(line.amount)) for line in lines if ":" not in line.charge]
        stated = (Decimal(line.amount) for line in lines if line.charge.startswith(DISCOUNT))
        return exact_sum((*stated, -self._off(charged, terms)))

    def _off(self, charged: Iterable[tuple[str, Decimal]], terms: Terms) -> Decimal:
        return exact_sum(part.amount for part in reductions(charged, terms, self._currency))


def kept_above_notes(standing: Sequence[Invoice], new: BilledInvoice, currency: str) -> list[Line]:
    """The lines that ``new`` needs beyond its own so that no invoice that it changes comes to less than its credit
    notes credited; where the notes credited more already, to no less than then. ``standing``: the invoices before it
    that are not void."""
    notes = _notes(standing)
    if not notes:
        return []
    changed = beside(standing, {line.adjusts for line in new.lines}, {new.start_us})
    stated = {invoice.invoice_id: billing_of(invoice) for invoice in standing}
    now = _BilledInvoices([*stated.values(), new], currency)
    lines: list[Line] = []
    for invoice in standing:
        name = invoice.invoice_id
        if name not in notes or name not in changed:
            continue
        noted, last = notes[name]
        then = _BilledInvoices(
            (stated[item.invoice_id] for item in standing if item is invoice or last.found(item)), currency
        )
        least = min(exact_sum((then.comes_to(name), *then.taken_back(name), -noted)), ZERO)
        by_line, in_all = now.taken_back(name)
        short = exact_sum((least, -now.comes_to(name), -by_line, noted))
        if change := exact_sum((max(min(short, exact_sum((noted, -by_line))), ZERO), -in_all)):
            lines.append(_line(invoice, new, change, currency))
    return lines


def moves_fees(standing: Sequence[Invoice], new: BilledInvoice, currency: str) -> bool:
    """Whether ``new`` changes what discounts take off fees that earlier invoices billed in advance, though no line
    names these: credit notes of the fees count for it. ``standing``: as in ``kept_above_notes``."""
    near = beside(standing, {line.adjusts for line in new.lines}, {new.start_us})
    billings = [
        billing_of(invoice)
        for invoice in standing
        if invoice.invoice_id in near or any(line.adjusts in near for line in invoice.lines)
    ]
    before, now = _BilledInvoices(billings, currency), _BilledInvoices([*billings, new], currency)
    names = [billing.invoice_id for billing in billings]
    # Above zero it is rounding, or stated off the fees and off others by now.
    return any(min(before.moved(name), ZERO) != min(now.moved(name), ZERO) for name in names)


def off_fees(before: Sequence[Invoice], invoice: Invoice) -> list[tuple[str, Decimal]]:
    """(invoice in ``before``, amount below zero): what the discounts of ``invoice`` are beyond those of its own charges
    alone, so off the fees that these billed in advance, in their order."""
    billing = billing_of(invoice)
    if billing.terms is None or not billing.terms.discounts:
        return []
    own_lines = [line for line in invoice.lines if not line.adjusts and (billing.change or not billing.is_ahead(line))]
    charged = [
        (line.product, Decimal(line.amount)) for line in own_lines if line.kind != "credit" and ":" not in line.charge
    ]
    of_own = [-part.amount for part in reductions(charged, Terms(billing.terms.discounts), invoice.currency)]
    beyond = exact_sum((*(Decimal(line.amount) for line in own_lines if line.charge.startswith(DISCOUNT)), *of_own))
    names = carriers(before, invoice.period_start) if beyond < 0 else ()
    parts: list[tuple[str, Decimal]] = []
    for carrier in [item for item in before if item.invoice_id in names]:
        fees = exact_sum(
            Decimal(line.amount)
            for item in [*before, invoice]
            for line in item.lines
            if (line.adjusts or item.invoice_id) == carrier.invoice_id and is_ahead(line, carrier)
        )
        if part := max(beyond, -max(fees, ZERO)):
            parts.append((carrier.invoice_id, part))
            beyond = exact_sum((beyond, -part))
    return parts


def beside(invoices: Sequence[Invoice], names: Collection[str], instants: Iterable[int] = ()) -> set[str]:
    """Those of ``invoices`` whose amounts may change with those of ``names`` (ids among them) or of a period that
    begins at one of ``instants``: with their period, or the one before or after it, since discounts are of a period's
    fees whichever invoice bills them."""
    edges = {edge for invoice in invoices if invoice.invoice_id in names for edge in _edges(invoice)} | {*instants}
    return {invoice.invoice_id for invoice in invoices if not edges.isdisjoint(_edges(invoice))}


def standing_with_notes(chain: Sequence[Invoice]) -> tuple[Invoice, ...]:
    """The invoices that are not void, if any has credit notes; else none."""
    if not any('"credit_notes"' in invoice.body for invoice in chain):
        return ()
    return tuple(invoice for invoice in chain if invoice.state != VOID)


def carriers(chain: Iterable[Invoice], start_us: int) -> set[str]:
    """The invoices that stand and billed fees in advance of the period that begins at ``start_us``."""
    return {
        invoice.invoice_id
        for invoice in chain
        if invoice.state != VOID
        and invoice.period_end == start_us
        and any(is_ahead(line, invoice) for line in invoice.lines)
    }


def moved_off(chain: Iterable[Invoice], name: str, currency: str) -> Decimal:
    """What discounts on later invoices take off the fees that the invoice ``name`` billed in advance, and no line says
    that names it; above 0: what they give back of what lines do say."""
    billed = _BilledInvoices((billing_of(invoice) for invoice in chain if invoice.state != VOID), currency)
    return billed.moved(name) if name in billed else ZERO


def moved_to(chain: Iterable[Invoice], name: str, currency: str) -> Decimal:
    """What the discounts of the invoice ``name`` take off fees that earlier ones billed in advance, 0 or less: it
    stands on the invoice's lines, and is not off its own charges."""
    billed = _BilledInvoices((billing_of(invoice) for invoice in chain if invoice.state != VOID), currency)
    return min(billed.moves(name), ZERO) if name in billed else ZERO


def _edges(invoice: Invoice) -> tuple[int, int]:
    return invoice.period_start, invoice.period_end


def _notes(standing: Iterable[Invoice]) -> Mapping[str, tuple[Decimal, LastNote]]:
    """Invoice → what credit notes credited of its lines and of those that adjust it, and the last one."""
    notes: dict[str, tuple[Decimal, LastNote]] = {}
    for invoice in standing:
        if '"credit_notes"' not in invoice.body:
            continue
        of_line, last = credited_by_line(invoice), last_note(invoice)
        for line in invoice.lines:
            if amount := of_line.get(line.number, ZERO):
                name = line.adjusts or invoice.invoice_id
                noted, before = notes.get(name, (ZERO, None))
                notes[name] = exact_sum((noted, amount)), last.or_later(before)
    return notes


def _line(invoice: Invoice, new: BilledInvoice, amount: Decimal, currency: str) -> Line:
    was = (
        "credited already by credit notes"
        if amount > 0
        else "no longer credited by the adjustment, but by credit notes"
    )
    text = f"{plain(abs(amount))} of {invoice.invoice_id} {was}"
    return Line(
        kind="adjustment", charge=NOTED, product="", description=f"Discounts and adjustments: {was}",
        period_start=new.start_us, period_end=new.end_us, price=json.dumps({"credit_notes": invoice.invoice_id}),
        amount=money_text(amount, currency), unrounded=plain(amount),
        steps=json.dumps([Step("credit", amount, text).as_json()], ensure_ascii=False), note=text,
        adjusts=invoice.invoice_id,
    )  # fmt: skip
