"""The balance of each line, so that nothing is credited both by a credit note and by an adjustment. Pure.

A line's balance is the amount billed, with its adjustments, minus what credit notes credited of it. An adjustment
states the full change of the line. If it credits what notes have credited already, a separate line
(``credit_note:`` and the charge) takes that part back, and returns it if the line rises again later. So each line
is credited once, in whatever order things happen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from rating.invoices.amounts.billed_of_period import NOTED
from rating.invoices.amounts.note_spread import spread_parts
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum, exactly
from rating.pricing.priced_line import ZERO, Step
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_details import CreditNoteEntry
from schemas.ledgers.invoice_record import Invoice, Line, body_of
from schemas.values.instants import micros, parse_rfc3339

LineKey = tuple[str, str, str, int, int]
"""(invoice id, charge, product, period start, period end) of a billed line."""


@dataclass(frozen=True, slots=True)
class LineCredits:
    """What credit notes credited of a line (``noted``), its present amount (``value``) and what adjustments took back
    of the credit so far (``kept``), and both at the time of its last credit note (``value_then``, ``kept_then``)."""

    noted: Decimal
    value: Decimal
    kept: Decimal
    value_then: Decimal
    kept_then: Decimal

    def to_keep(self, value: Decimal) -> Decimal:
        """The total to take back if the line's amount becomes ``value``: the decrease since the last note, limited
        to what notes credited."""
        with exactly():
            fell = self.value_then - value
            if fell >= 0:
                return self.kept_then + min(fell, max(self.noted - self.kept_then, ZERO))
            return max(self.kept_then + fell, ZERO)


class ChainCredits(Struct, frozen=True):
    """The lines of a chain of which credit notes credited something. ``notes``: number of credit notes considered, by
    the invoice that is adjusted and by each that adjusts one; ``order``: the chain's last credit note considered, 0 for
    none (``chain.last_order``)."""

    lines: Mapping[LineKey, LineCredits] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    order: int = 0


NOTHING_NOTED: Final = ChainCredits()


def credits_of_chain(chain: Iterable[Invoice], adjusted: Iterable[str]) -> ChainCredits:
    """What credit notes credited of the lines of the ``adjusted`` invoices, from the invoices in ``chain`` that are not
    void."""
    names = set(adjusted)
    standing = [invoice for invoice in chain if invoice.state != VOID]
    noted: dict[LineKey, Decimal] = {}
    last: dict[LineKey, LastNote] = {}
    parts: dict[LineKey, list[tuple[Invoice, Line]]] = {}
    for invoice in standing:
        of_notes = credited_by_line(invoice) if '"credit_notes"' in invoice.body else {}
        for line in invoice.lines:
            name = line.adjusts or invoice.invoice_id
            if name not in names or line.kind == "credit":
                continue
            key = key_of_line(name, line)
            parts.setdefault(key, []).append((invoice, line))
            if amount := of_notes.get(line.number, ZERO):
                noted[key] = exact_sum((noted.get(key, ZERO), amount))
                last[key] = last_note(invoice).or_later(last.get(key))
    counts = {
        invoice.invoice_id: len(body_of(invoice).credit_notes)
        for invoice in standing
        if invoice.invoice_id in names
        or ('"credit_notes"' in invoice.body and any(line.adjusts in names for line in invoice.lines))
    }
    return ChainCredits({key: _line_credits(amount, parts[key], last[key]) for key, amount in noted.items()}, counts)


def _line_credits(noted: Decimal, parts: Sequence[tuple[Invoice, Line]], last: LastNote) -> LineCredits:
    """``parts``: (invoice, line) of the line and of all lines that adjust it."""
    then = [(invoice, line) for invoice, line in parts if not line.adjusts or last.found(invoice)]
    sums = [
        exact_sum(Decimal(line.amount) for _, line in present if line.charge.startswith(NOTED) == is_back)
        for present in (parts, then)
        for is_back in (False, True)
    ]
    return LineCredits(noted, *sums)


def noted_in_all(notes: Iterable[CreditNoteEntry]) -> Decimal:
    """The total that credit notes credit: of the amount due, and of what prepaid credits paid."""
    return exact_sum(Decimal(note.get("subtotal", note["amount"])) for note in notes)


def returned(invoice: Invoice) -> dict[str, Decimal]:
    """Grant → what the invoice's credit notes restored to it."""
    amounts: dict[str, Decimal] = {}
    for note in body_of(invoice).credit_notes if '"prepaid"' in invoice.body else ():
        for part in note.get("prepaid", ()):
            amounts[part["grant"]] = exact_sum((amounts.get(part["grant"], ZERO), Decimal(part["amount"])))
    return amounts


@dataclass(frozen=True, slots=True)
class LastNote:
    """The last of some credit notes: its rank in the chain, 0 in records of before there were ranks, and its instant
    (microseconds UTC)."""

    order: int = 0
    at_us: int = 0

    def or_later(self, note: LastNote | None) -> LastNote:
        """The later of both."""
        return self if note is None else LastNote(max(self.order, note.order), max(self.at_us, note.at_us))

    def found(self, invoice: Invoice) -> bool:
        """Whether the invoice stood when the note was written. Its time alone does not tell: a close as of an earlier
        instant may come after the note."""
        counted = body_of(invoice).after_note
        return invoice.as_of <= self.at_us if counted is None or not self.order else counted < self.order


def last_note(invoice: Invoice) -> LastNote:
    """The last credit note of an invoice that has some."""
    notes = body_of(invoice).credit_notes
    return LastNote(
        max((note.get("order", 0) for note in notes), default=0),
        max((micros(parse_rfc3339(note["at"])) for note in notes), default=0),
    )


def key_of_line(invoice_id: str, line: Line) -> LineKey:
    """The key of a line of that invoice, or of the line that it adjusts."""
    return invoice_id, line.charge.removeprefix(NOTED), line.product, line.period_start, line.period_end


def credited_by_line(invoice: Invoice) -> dict[int, Decimal]:
    """Line number → what credit notes credited of it. A note without lines is distributed as pinned (``spread``),
    else in proportion to what is left of each line."""
    lines = {
        line.number: Decimal(line.amount)
        for line in invoice.lines
        if line.kind != "credit" and not line.charge.startswith(NOTED) and Decimal(line.amount) > 0
    }
    credited: dict[int, Decimal] = {}
    with exactly():
        for note in body_of(invoice).credit_notes:
            parts: Iterable[tuple[int, Decimal]] = [
                (credited_line["line"], Decimal(credited_line["amount"]))
                for credited_line in note.get("lines", note.get("spread", ()))
            ]
            if "lines" not in note and "spread" not in note:
                weights = [(number, amount - credited.get(number, ZERO)) for number, amount in lines.items()]
                parts = list(spread_parts(Decimal(note["amount"]), weights, invoice.currency))
            for number, amount in parts:
                credited[number] = credited.get(number, ZERO) + amount
    return credited


@dataclass(frozen=True, slots=True)
class LinesLeft:
    """(line, amount that can still be credited) of each line, and (``unnoted``) amount that the invoice's own credit
    notes have not credited; ``adjusted``: whether other invoices have adjusted some of them."""

    each: tuple[tuple[int, Decimal], ...]
    unnoted: tuple[tuple[int, Decimal], ...]

    @property
    def adjusted(self) -> bool:
        return self.each != self.unnoted


def left_of_lines(chain: Sequence[Invoice], invoice: Invoice) -> LinesLeft:
    """What credit notes of the invoice can still credit of its lines; ``chain``: the present chain, empty if only
    the invoice counts."""
    noted = credited_by_line(invoice)
    unnoted: list[tuple[int, Decimal]] = []
    left: list[tuple[int, Decimal]] = []
    for line in invoice.lines:
        amount = Decimal(line.amount)
        if line.kind != "credit" and not line.charge.startswith(NOTED) and amount > 0:
            amount_left = exact_sum((amount, -noted.get(line.number, ZERO)))
            unnoted.append((line.number, amount_left))
            balance = balance_of(chain, invoice, line) if chain else amount_left
            left.append((line.number, max(min(amount_left, balance), ZERO)))
    return LinesLeft(tuple(left), tuple(unnoted))


def taken_back(
    note_credits: ChainCredits, adjusting: Sequence[Line], currency: str, effects: Mapping[str, Decimal] | None = None
) -> list[Line]:
    """The lines that take back the part of ``adjusting`` that credit notes had credited already; where a discount
    falls with its fee, only the net of both.

    ``effects``: adjusted invoice → change of the terms of the invoice's own period because of such lines.
    """
    taken: list[Line] = []
    if not note_credits.lines:
        return taken
    with exactly():
        room: dict[str, Decimal] = {name: -max(amount, ZERO) for name, amount in (effects or {}).items()}
        for line in adjusting:
            amount, term = Decimal(line.amount), line.charge.startswith(("discount:", "commitment:"))
            counts = -max(amount, ZERO) if term else max(-amount, ZERO)
            room[line.adjusts] = room.get(line.adjusts, ZERO) + counts
        for line in adjusting:
            name, change = line.adjusts, Decimal(line.amount)
            of = note_credits.lines.get(key_of_line(name, line))
            if of is None:
                continue
            amount = of.to_keep(of.value + change) - of.kept
            amount = max(min(amount, room[name]), ZERO) if change < 0 else min(amount, ZERO)
            room[name] -= max(amount, ZERO)
            if amount:
                taken.append(_line(line, amount, currency))
    return taken


def _line(line: Line, amount: Decimal, currency: str) -> Line:
    was = (
        "credited already by credit notes"
        if amount > 0
        else "no longer credited by the adjustment, but by credit notes"
    )
    text = f"{plain(abs(amount))} of {line.adjusts} {was}"
    return Line(
        kind="adjustment", charge=f"{NOTED}{line.charge}", product=line.product,
        description=f"{line.description}: {was}", period_start=line.period_start, period_end=line.period_end,
        price=json.dumps({"credit_notes": line.adjusts}), amount=money_text(amount, currency), unrounded=plain(amount),
        steps=json.dumps([Step("credit", amount, text).as_json()], ensure_ascii=False), note=text, adjusts=line.adjusts,
    )  # fmt: skip


def nothing_further(lines: Sequence[Line]) -> bool:
    """Whether the lines only state that everything was credited by credit notes before."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        sums[line.adjusts] = exact_sum((sums.get(line.adjusts, ZERO), Decimal(line.amount)))
    return any(line.charge.startswith(NOTED) for line in lines) and not any(sums.values())


def balance_of(chain: Iterable[Invoice], invoice: Invoice, line: Line) -> Decimal:
    """The amount of a line, or of the one it adjusts, that is billed and not credited by adjustments or credit
    notes."""
    name = line.adjusts or invoice.invoice_id
    key = key_of_line(name, line)
    parts: list[Decimal] = []
    for standing in with_newest(chain, invoice):
        notes = credited_by_line(standing)
        for line in standing.lines:
            if line.kind != "credit" and key_of_line(line.adjusts or standing.invoice_id, line) == key:
                parts += [Decimal(line.amount), -notes.get(line.number, ZERO)]
    return exact_sum(parts)


def adjusted_by(chain: Iterable[Invoice], invoice: Invoice) -> Decimal:
    """The amount that later valid invoices added to an invoice; negative: credited."""
    name = invoice.invoice_id
    return exact_sum(
        Decimal(line.amount)
        for invoice in chain
        if invoice.state != VOID and invoice.invoice_id != name
        for line in invoice.lines
        if line.adjusts == name and line.kind != "credit"
    )


def with_newest(chain: Iterable[Invoice], invoice: Invoice) -> list[Invoice]:
    """The valid invoices of the chain, with ``invoice`` in place of its stored version."""
    return [standing for standing in chain if standing.state != VOID and standing.invoice_id != invoice.invoice_id] + [
        invoice
    ]
