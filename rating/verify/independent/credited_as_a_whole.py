"""Invoices with credit notes as a whole: what later invoices credit of one, by discounts too, does not make it come to
less than its credit notes credited.

By fractions and on its own: it shares no code with the close. What a line ``credit_note:`` without a charge takes back
is held against what invoices and notes come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from rating.verify.chains import Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.amounts import Amounts, minus, reductions, text, total
from rating.verify.independent.invoice_chain import TAKEN_BACK, before_it, body, is_ahead, is_by_period, terms_of
from rating.verify.independent.notes import REMEDY, Rank, credited_of, last_of, notes_before, stood_by
from rating.verify.independent.periods import Periods
from rating.verify.invoice_body import PeriodTerms


def check_in_all(
    head: Head,
    chain: Mapping[str, Head],
    lines: StoredLines,
    periods: Periods,
    missing: Mapping[str, Fraction],
    findings: Findings,
) -> None:
    """Of every invoice with credit notes that the invoice or its discounts change: what it takes back of the notes
    beyond what it takes back by line. ``missing``: adjusted invoice → what it should have taken back by line, which is
    told there."""
    earlier = [invoice for invoice in before_it(head, chain) if invoice.invoice_id not in head.voids][::-1]
    own_lines = periods.lines_of(head)
    taken = total((line.adjusts, line.amount) for line in own_lines if line.charge == TAKEN_BACK)
    has_notes = any('"credit_notes"' in invoice.body for invoice in earlier)
    expected = dict(_expected(head, earlier, lines, periods, missing)) if has_notes else {}
    for name in sorted(taken.keys() | expected.keys()):
        wants, has = expected.get(name, Fraction(0)), taken.get(name, Fraction(0))
        if wants != has:
            location = f"{head.place}, {TAKEN_BACK} taken back of credit notes of {name} as a whole"
            findings.add("invoice line", location, text(wants), text(has), REMEDY)


def _expected(
    head: Head, earlier: Sequence[Head], lines: StoredLines, periods: Periods, missing: Mapping[str, Fraction]
) -> Iterator[tuple[str, Fraction]]:
    noted, last = Amounts(), dict[str, Rank]()
    for invoice in earlier:
        notes = notes_before(invoice, head, earlier)
        of_line = credited_of(invoice, notes, lines) if notes else {}
        for line in periods.lines_of(invoice) if notes else ():
            if part := of_line.get(line.number):
                name = line.adjusts or invoice.invoice_id
                noted[name] = noted.get(name, Fraction(0)) + part
                last[name] = last_of(notes, last.get(name, (0, 0)))
    adjusted = {line.adjusts for line in periods.lines_of(head) if line.adjusts and line.charge != TAKEN_BACK}
    near = {head.start_us}
    for invoice in earlier:
        near |= {invoice.start_us, invoice.end_us} if invoice.invoice_id in adjusted else set()
    for invoice in earlier:
        name = invoice.invoice_id
        if name not in noted or (name not in adjusted and not near & {invoice.start_us, invoice.end_us}):
            continue
        before = [item for item in earlier if item is invoice or stood_by(item, last[name])]
        by_line, in_all = _taken_back([*earlier, head], name, periods)
        by_line += missing.get(name, Fraction(0))
        in_all -= sum((Fraction(line.amount) for line in periods.lines_of(head) if _is_in_all(line, name)), Fraction(0))
        left_then = _comes_to(before, name, periods) + sum(_taken_back(before, name, periods)) - noted[name]
        left_now = _comes_to([*earlier, head], name, periods) + by_line - noted[name]
        most = noted[name] - by_line
        yield name, max(min(min(left_then, Fraction(0)) - left_now, most), Fraction(0)) - in_all


def _is_in_all(line: StoredLine, name: str) -> bool:
    return line.adjusts == name and line.charge == TAKEN_BACK


def _of(heads: Iterable[Head], name: str, periods: Periods) -> Iterator[StoredLine]:
    for invoice in heads:
        for line in periods.lines_of(invoice):
            if line.kind != "credit" and name == (line.adjusts or invoice.invoice_id):
                yield line


def _taken_back(heads: Sequence[Head], name: str, periods: Periods) -> tuple[Fraction, Fraction]:
    """What was taken back of its credit notes: by line, and as a whole."""
    taken = [line for line in _of(heads, name, periods) if line.charge.startswith(TAKEN_BACK)]
    in_all = sum((Fraction(line.amount) for line in taken if line.charge == TAKEN_BACK), Fraction(0))
    return sum((Fraction(line.amount) for line in taken), Fraction(0)) - in_all, in_all


def _comes_to(heads: Sequence[Head], name: str, periods: Periods) -> Fraction:
    """What the invoice comes to with what adjusts it and its part of discounts on other invoices; without credit
    notes."""
    lines = (Fraction(line.amount) for line in _of(heads, name, periods) if not line.charge.startswith(TAKEN_BACK))
    amount = sum(lines, _elsewhere(heads, name, periods))
    (invoice,) = (item for item in heads if item.invoice_id == name)
    if _by_terms_of(heads, invoice.start_us, periods) is invoice:
        for carrier in heads:
            if carrier.end_us == invoice.start_us:
                amount -= _elsewhere(heads, carrier.invoice_id, periods)
    return amount


def _by_terms_of(heads: Sequence[Head], start_us: int, periods: Periods) -> Head | None:
    """The invoice whose terms the period has: its own first one with terms that are not of its fees in advance, too; or
    the last that changed its fees."""
    of_period = [invoice for invoice in heads if invoice.start_us == start_us < invoice.end_us]
    if not of_period:
        changes = [invoice for invoice in heads if invoice.end_us == start_us and "change" in body(invoice)]
        return changes[-1] if changes else None
    return next((invoice for invoice in of_period if "terms" in body(invoice) and not periods.is_lump(invoice)), None)


def _elsewhere(heads: Sequence[Head], name: str, periods: Periods) -> Fraction:
    """What discounts take off its fees in advance and no line says that names it: those of all charges of their period,
    less those of the charges without them."""
    (carrier,) = (item for item in heads if item.invoice_id == name)
    of_period = _by_terms_of(heads, carrier.end_us, periods)
    if of_period is None or of_period is carrier:
        return Fraction(0)
    pinned = body(of_period).get("terms_ahead", {}) if "change" in body(of_period) else terms_of(of_period)
    terms: PeriodTerms = {"discounts": pinned.get("discounts", [])}
    by_id = {invoice.invoice_id: invoice for invoice in heads}
    charged, fees, said, said_of_all = Amounts(), Amounts(), Fraction(0), Fraction(0)
    for invoice in heads:
        for line in periods.lines_of(invoice):
            of = by_id.get(line.adjusts, invoice)
            ahead = is_ahead(line, of)
            if line.kind == "credit" or carrier.end_us != (of.end_us if ahead else of.start_us):
                continue
            is_fee = ahead and of is carrier
            if line.charge.startswith("discount:") and (ahead or not periods.is_lump(of)):
                said += Fraction(line.amount) * is_fee
                said_of_all += Fraction(line.amount)
            elif ":" not in line.charge:
                charged = total([*charged.items(), (line.product, line.amount)])
                fees = total([*fees.items(), (line.product, Fraction(line.amount) * is_fee)])
        if invoice.end_us == carrier.end_us and periods.is_lump(invoice):
            at_once = sum(periods.taken_ahead(invoice, heads).values(), Fraction(0))
            said, said_of_all = said + at_once * (invoice is carrier), said_of_all + at_once
    of_all, of_others = (
        sum(reductions(amounts, terms, of_period.currency).values(), Fraction(0))
        for amounts in (charged, minus(charged, fees))
    )
    if not is_by_period(of_period) and "change" not in body(of_period):
        of_all = said_of_all  # an older release took it off the invoice's own charges alone
    return of_all - of_others - said
