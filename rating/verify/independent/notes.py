"""Adjustments beside credit notes: what credit notes had credited of a line is not credited again by what adjusts it.

By fractions and on its own: it shares no code with the close. Which credit notes an invoice counted stands in its body:
all up to the rank ``after_note`` in the chain, whatever their times. Where it has no such rank, those count that were
written while the invoice was not in the chain yet, as their own record says; of older releases those that ``noted``
counts by invoice, else those made before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from rating.verify.chains import Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.amounts import rounded, text
from rating.verify.independent.invoice_chain import TAKEN_BACK, before_it, body, is_term
from rating.verify.independent.periods import Periods
from rating.verify.invoice_body import StoredCreditNote, read_body
from schemas.values.instants import micros, parse_rfc3339

REMEDY: Final = (
    "void the invoice and bill the period again; a line is credited once, by its credit notes or by what adjusts it"
)

NotedLine = tuple[str, str, int, int]


def check_notes(
    head: Head, chain: Mapping[str, Head], lines: StoredLines, periods: Periods, findings: Findings
) -> dict[str, Fraction]:
    """Of every line that the invoice adjusts: what it credits with what it takes back, against what credit notes had
    credited. Adjusted invoice → what is not taken back, as found."""
    missing: dict[str, Fraction] = {}
    own_lines = _lines_on(head, lines)
    earlier = [invoice for invoice in before_it(head, chain) if invoice.invoice_id not in head.voids][::-1]
    for name in dict.fromkeys(line.adjusts for line in own_lines if line.adjusts):
        if name not in chain or all(not notes_before(invoice, head, earlier) for invoice in earlier):
            continue
        # What its own terms do is their effect; a further invoice of a period has none, it adjusts those of the first.
        further = periods.is_further(head, earlier) and "change" not in body(head)
        own_terms = [line for line in own_lines if is_term(line) and line.start_us == head.start_us and not further]
        if head.start_us == head.end_us and "change" not in body(head):
            # An opening that is billed again adjusts the period of its fees, too; such lines come after all charges'.
            first = min((line.number for line in own_lines if line.adjusts and not is_term(line)), default=0)
            own_terms = [line for line in own_terms if line.number < first]
        adjusting = [
            line for line in own_lines if line.adjusts == name and line.kind != "credit" and line not in own_terms
        ]
        room = max(
            -sum((_room(line) for line in adjusting), Fraction(0)) - periods.effect(head, name, earlier), Fraction(0)
        )
        for line in [adjusted for adjusted in adjusting if not adjusted.charge.startswith(TAKEN_BACK)]:
            change = Fraction(line.amount)
            take_back = _to_take_back(name, _key(line), earlier, lines, head, change)
            expected = Fraction(0)
            if take_back is not None:
                expected = max(min(take_back, room), Fraction(0)) if change < 0 else min(take_back, Fraction(0))
            room -= max(expected, Fraction(0))
            noted_amount = sum(
                (
                    Fraction(candidate.amount)
                    for candidate in adjusting
                    if _key(candidate) == _key(line) and candidate.charge.startswith(TAKEN_BACK)
                ),
                Fraction(0),
            )
            if noted_amount != expected:
                missing[name] = missing.get(name, Fraction(0)) + expected - noted_amount
                findings.add(
                    "invoice line",
                    f"{head.place}, line {line.number}, {line.charge} beside credit notes of {name}",
                    f"{text(change + expected)} in all",
                    text(change + noted_amount),
                    REMEDY,
                )
    return missing


def _lines_on(head: Head, lines: StoredLines) -> Sequence[StoredLine]:
    return lines.get((head.namespace, head.invoice_id, head.version), ())


def _key(line: StoredLine) -> NotedLine:
    return line.charge.removeprefix(TAKEN_BACK), line.product, line.start_us, line.end_us


def _room(line: StoredLine) -> Fraction:
    """What a line takes of the room for credits, major units. Below zero: it credits; above: terms give less because of
    it."""
    amount = Fraction(line.amount)
    if line.charge.startswith(TAKEN_BACK):
        return Fraction(0)
    return (
        max(amount, Fraction(0)) if line.charge.startswith(("discount:", "commitment:")) else min(amount, Fraction(0))
    )


def notes_before(invoice: Head, head: Head, earlier: Iterable[Head]) -> list[StoredCreditNote]:
    """The credit notes of ``invoice`` that ``head``, after ``earlier``, counted or had to count."""
    if '"credit_notes"' not in invoice.body:
        return []
    notes = read_body(invoice.body).get("credit_notes", [])
    fields = read_body(head.body)
    if "after_note" in fields:
        return [note for note in notes if note.get("order", 0) <= fields["after_note"]]
    if (last := read_body(invoice.body).get("credited")) and any(item.invoice_id == last["head"] for item in earlier):
        return notes
    counted = fields.get("noted", {})
    if invoice.invoice_id in counted:
        return notes[: counted[invoice.invoice_id]]
    return [note for note in notes if _noted_at_us(note) < head.as_of_us]


def _noted_at_us(note: StoredCreditNote) -> int:
    return micros(parse_rfc3339(note["at"]))


Rank = tuple[int, int]
"""(rank in the chain, instant in microseconds UTC) of the last of some credit notes; a rank of 0: of older releases."""


def last_of(notes: Iterable[StoredCreditNote], last: Rank = (0, 0)) -> Rank:
    """The last of the notes, or ``last`` where that is later."""
    for note in notes:
        last = max(last[0], note.get("order", 0)), max(last[1], _noted_at_us(note))
    return last


def stood_by(invoice: Head, last: Rank) -> bool:
    """Whether the invoice stood when the note of that rank was written: by what it counted, else by their times."""
    counted = body(invoice).get("after_note")
    return invoice.as_of_us <= last[1] if counted is None or not last[0] else counted < last[0]


def credited_of(invoice: Head, notes: Iterable[StoredCreditNote], lines: StoredLines) -> dict[int, Fraction]:
    """Line number → what the notes credited of it, major units; a note without lines credits in proportion to what is
    left of each."""
    line_amounts = {
        line.number: Fraction(line.amount)
        for line in _lines_on(invoice, lines)
        if line.kind != "credit" and not line.charge.startswith(TAKEN_BACK) and line.amount > 0
    }
    credited = dict.fromkeys(line_amounts, Fraction(0))
    for note in notes:
        if "lines" in note or "spread" in note:
            for part in note.get("lines", note.get("spread", ())):
                credited[part["line"]] = credited.get(part["line"], Fraction(0)) + Fraction(part["amount"])
            continue
        remaining = {number: amount - credited[number] for number, amount in line_amounts.items()}
        remaining_total, so_far, told_so_far = sum(remaining.values(), Fraction(0)), Fraction(0), Fraction(0)
        for number, amount in remaining.items():
            so_far += amount
            until = (
                rounded(Fraction(note["amount"]) * so_far / remaining_total, invoice.currency)
                if remaining_total
                else Fraction(0)
            )
            credited[number], told_so_far = credited[number] + until - told_so_far, until
    return credited


def _to_take_back(
    name: str, key: NotedLine, earlier: Sequence[Head], lines: StoredLines, head: Head, change: Fraction
) -> Fraction | None:
    """How much more of the line is to be taken back where it changes by ``change``; None where credit notes credited
    nothing of it."""
    noted, last = Fraction(0), (0, 0)
    for invoice in earlier:
        notes = notes_before(invoice, head, earlier)
        credited = credited_of(invoice, notes, lines) if notes else {}
        if part := sum(
            (credited.get(line.number, Fraction(0)) for line in _lines_of(name, key, invoice, lines)), Fraction(0)
        ):
            noted, last = noted + part, last_of(notes, last)
    if not noted:
        return None
    value = taken_back = value_then = taken_back_then = Fraction(0)
    for invoice in earlier:
        for line in _lines_of(name, key, invoice, lines):
            amount, then = Fraction(line.amount), invoice.invoice_id == name or stood_by(invoice, last)
            if line.charge.startswith(TAKEN_BACK):
                taken_back, taken_back_then = taken_back + amount, taken_back_then + amount * then
            else:
                value, value_then = value + amount, value_then + amount * then
    fell = value_then - value - change
    if fell < 0:
        return max(taken_back_then + fell, Fraction(0)) - taken_back
    return taken_back_then + min(fell, max(noted - taken_back_then, Fraction(0))) - taken_back


def _lines_of(name: str, key: NotedLine, invoice: Head, lines: StoredLines) -> Iterator[StoredLine]:
    for line in _lines_on(invoice, lines):
        if line.kind != "credit" and (line.adjusts or invoice.invoice_id) == name and _key(line) == key:
            yield line
