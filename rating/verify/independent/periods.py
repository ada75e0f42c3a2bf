"""What each billing period owes by its terms, worked out again from the lines of all invoices that carry any of it.

A period's discounts and its true-up are worked out over its own charges, whichever invoice bills them: fees in advance
stand on the invoice before. By fractions and on its own: it shares no code with the close.

Invoices of before terms were those of periods ("lumps") took discounts off all their charges at once. What that took
off a fee in advance is what it comes to beyond the discount of their own charges; rounding it as a whole may be a minor
unit away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from rating.verify.chains import Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.amounts import COMMITMENT, Amounts, minus, reductions, text, total
from rating.verify.independent.invoice_chain import (
    REDUCES,
    TAKEN_BACK,
    Chain,
    before_it,
    body,
    is_ahead,
    is_by_period,
    is_term,
    latest_instant,
    terms_of,
)
from rating.verify.invoice_body import PeriodTerms
from schemas.ledgers.invoice_claims import VOID
from schemas.values.currency import exponent

REMEDY: Final = "void the invoice and bill the period again; its lines and the terms pinned on it are the truth"
CHARGES: Final = ("usage", "flat")


class Periods:
    """The invoices of one subscription that are or were, by id, and their lines."""

    def __init__(self, chain: Chain, lines: StoredLines, findings: Findings) -> None:
        self._chain = chain
        self._lines = lines
        self._findings = findings
        self._expected: dict[str, Amounts] = {}  # invoice → what it should have taken off its fees in advance

    def check(self, head: Head) -> None:
        """Its discounts and its true-up, those of fees in advance, and what it adjusts of earlier ones. Heads come in
        the chain's order."""
        earlier = [invoice for invoice in before_it(head, self._chain) if invoice.invoice_id not in head.voids]
        own_lines = self.lines_of(head)
        lump = self.is_lump(head) or self._ahead_of(earlier, head)
        if lump or "terms" in body(head) or "terms_ahead" in body(head) or any(map(is_term, own_lines)):
            own_reductions, ahead_reductions = self._own_reductions(head, earlier), self._ahead(head, earlier)
            if is_by_period(head):
                if head.start_us < head.end_us:
                    taken_off = self._reductions_on([head], head.start_us, adjusting=not self.is_further(head, earlier))
                    self._compare(head, "", own_reductions, taken_off, 0)
                taken_off = self._reductions_on([head], head.end_us, adjusting="change" in body(head))
                self._compare(head, ", of fees in advance", ahead_reductions, taken_off, 0)
            else:
                taken_off = total((line.charge, line.amount) for line in own_lines if line.kind in REDUCES)
                self._compare(
                    head, "", total([*own_reductions.items(), *ahead_reductions.items()]), taken_off, 1 if lump else 0
                )
        for name in dict.fromkeys(line.adjusts for line in own_lines if line.adjusts):
            if name in self._chain:
                self._adjusted(head, self._chain[name], earlier)

    def lines_of(self, head: Head) -> Sequence[StoredLine]:
        """The lines of an invoice."""
        return self._lines.get((head.namespace, head.invoice_id, head.version), ())

    def is_lump(self, head: Head) -> bool:
        """Whether its discounts were taken off fees in advance and its own charges at once, by an older rule."""
        if is_by_period(head) or "terms" not in body(head):
            return False
        return any(line.kind == "flat" and is_ahead(line, head) for line in self.lines_of(head))

    def _start(self, line: StoredLine, carrier: Head) -> int | None:
        """Start of the period that the line is of; None for a lump at a start, all of which was taken in advance."""
        of = self._chain.get(line.adjusts, carrier)
        if is_ahead(line, of):
            return of.end_us
        return of.start_us if of.start_us < of.end_us else None

    def _charged(self, heads: Iterable[Head], start_us: int) -> Amounts:
        """Product → what the period's charges come to on these invoices."""
        return total(
            (line.product, line.amount)
            for head in heads
            for line in self.lines_of(head)
            if ":" not in line.charge and self._start(line, head) == start_us
        )

    def _reductions_on(self, heads: Iterable[Head], start_us: int, *, adjusting: bool = True) -> Amounts:
        """Key → what these invoices took off the period, or added to it; ``adjusting``: adjustments too."""
        return total(
            (line.charge, line.amount)
            for head in heads
            for line in self.lines_of(head)
            if is_term(line) and self._start(line, head) == start_us and (adjusting or not line.adjusts)
        )

    def _own_reductions(self, head: Head, earlier: Sequence[Head]) -> Amounts:
        """What it should take off its own period: what the period's charges owe, less what was taken off in advance."""
        start, terms = head.start_us, body(head).get("terms", {})
        if start == head.end_us or self.is_further(head, earlier):
            return {}  # at a start, or a further invoice of the period: what it adjusts is looked at by itself
        expected = reductions(self._charged([*earlier, head], start), terms, head.currency)
        already = self._reductions_on(earlier, start)
        if not is_by_period(head):  # it settled discounts by the terms of the invoice that they stood on
            own_charges = (
                (line.product, line.amount)
                for line in self.lines_of(head)
                if line.kind in CHARGES and not is_ahead(line, head)
            )
            unsettled = total([*own_charges, *self._charged(earlier, start).items()])
            as_billed = reductions(unsettled, terms, head.currency)
            as_billed.pop(COMMITMENT, None)
            expected = as_billed | {key: amount for key, amount in expected.items() if key == COMMITMENT}
        for invoice in earlier:
            if invoice.end_us == start and self.is_lump(invoice):
                # One fault is told once: the invoice after it is held against what should have been taken off, unless
                # it settles that.
                known = None if is_by_period(head) else self._expected.get(invoice.invoice_id)
                already = total(
                    [*already.items(), *(self.taken_ahead(invoice, earlier) if known is None else known).items()]
                )
        return minus(expected, already)

    @staticmethod
    def is_further(head: Head, earlier: Iterable[Head]) -> bool:
        """Whether it holds adjustments alone, after an invoice of the same period."""
        return not head.reissues and any(
            (invoice.start_us, invoice.end_us) == (head.start_us, head.end_us) for invoice in earlier
        )

    def effect(self, head: Head, name: str, earlier: Sequence[Head]) -> Fraction:
        """What the terms of the invoice's own period come to more because it settles fees that ``name`` billed in
        advance."""
        changes = "change" in body(head)  # it settles fees of a running period, by its discounts
        start = head.end_us if changes else head.start_us
        terms = {"discounts": body(head).get("terms_ahead", {}).get("discounts", [])} if changes else terms_of(head)
        settled = [
            line
            for line in self.lines_of(head)
            if line.adjusts and ":" not in line.charge and self._start(line, head) == start
        ]
        names = list(dict.fromkeys(line.adjusts for line in settled))
        if name not in names:
            return Fraction(0)
        if not is_by_period(head) or (start == head.start_us == head.end_us and not changes) or not terms:
            return Fraction(0)
        charged = self._charged([*earlier, head], start)
        reductions_both: list[
            Fraction
        ] = []  # with what adjusts the invoices up to ``name``, and those before it: one comes after another
        for later in (names[names.index(name) + 1 :], names[names.index(name) :]):
            without = minus(charged, total((line.product, line.amount) for line in settled if line.adjusts in later))
            reductions_both.append(sum(reductions(without, terms, head.currency).values(), Fraction(0)))
        return max(reductions_both[0] - reductions_both[1], Fraction(0))

    def _ahead(self, head: Head, earlier: Sequence[Head]) -> Amounts:
        """What it should take off the fees in advance that it bills."""
        fees = [line for line in self.lines_of(head) if line.kind == "flat" and is_ahead(line, head)]
        if "change" in body(head):  # it settles fees of a running period: by all that is billed of it so far
            charged_so_far = self._charged([*earlier, head], head.end_us)
            discounts: PeriodTerms = {"discounts": body(head).get("terms_ahead", {}).get("discounts", [])}
            return minus(
                reductions(charged_so_far, discounts, head.currency), self._reductions_on(earlier, head.end_us)
            )
        if not fees:
            return {}
        start, until = head.end_us, max(line.end_us for line in fees)
        charged, already = total((line.product, line.amount) for line in fees), Amounts()
        stands = next((invoice for invoice in reversed(earlier) if invoice.start_us == start < invoice.end_us), None)
        if stands is not None:  # billed again, as the invoice of the period after it counts on it
            terms: PeriodTerms = body(stands).get("terms", {})
            charged = total([*charged.items(), *self._charged(earlier, start).items()])
            already = self._reductions_on(earlier, start)
            already.pop(COMMITMENT, None)
        elif is_by_period(head):
            terms = body(head).get("terms_ahead", {})
        else:
            terms = self._terms_after(head, earlier, until)
        expected_ahead = reductions(charged, {"discounts": terms.get("discounts", [])}, head.currency)
        self._expected[head.invoice_id] = minus(expected_ahead, already)
        return self._expected[head.invoice_id]

    def _terms_after(self, head: Head, earlier: Sequence[Head], until_us: int) -> PeriodTerms:
        """The terms of the period after a lump: those of the lump that its invoice has, too (one agreed later is taken
        off there), and while there is none those that still hold."""
        for invoice in self._chain.values():
            if (
                invoice.start_us == head.end_us < invoice.end_us
                and invoice.state != VOID
                and head in before_it(invoice, self._chain)
            ):
                agreed = {discount["code"] for discount in terms_of(head).get("discounts", [])}
                of_period = terms_of(invoice).get("discounts", [])
                return {"discounts": [discount for discount in of_period if discount["code"] in agreed]}
        pinned = {
            invoice.start_us: body(invoice).get("terms", {})
            for invoice in [*earlier, head]
            if invoice.start_us < invoice.end_us
        }
        codes = [discount["code"] for terms in pinned.values() for discount in terms.get("discounts", [])]
        held = [
            discount
            for discount in terms_of(head).get("discounts", [])
            if codes.count(discount["code"]) < discount.get("periods", len(codes) + 1)
            and ("end" not in discount or until_us <= latest_instant(discount["end"]))
        ]
        return {"discounts": held}

    def taken_ahead(self, lump: Head, earlier: Sequence[Head]) -> Amounts:
        """What a lump's discounts came to beyond those of its own charges."""
        charged, billed = self._lump(lump, earlier, ahead=False)
        billed.pop(COMMITMENT, None)
        return minus(
            billed, reductions(charged, {"discounts": body(lump)["terms"].get("discounts", [])}, lump.currency)
        )

    def _ahead_of(self, earlier: Iterable[Head], head: Head) -> bool:
        """Whether an invoice before it with terms billed fees of its period in advance."""
        return any(
            invoice.end_us == head.start_us
            and ("terms" in body(invoice) or "terms_ahead" in body(invoice))
            and any(line.kind in CHARGES and is_ahead(line, invoice) for line in self.lines_of(invoice))
            for invoice in earlier
        )

    def _adjusted(self, head: Head, original: Head, earlier: Sequence[Head]) -> None:
        """What this invoice adjusts of an earlier one's terms, by what the invoices before it that were not void then
        had come to."""
        # What is taken back of credit notes changes no charge, so no term (``check_notes``, ``check_in_all``).
        adjusting = [
            line
            for line in self.lines_of(head)
            if line.adjusts == original.invoice_id and line.kind != "credit" and not line.charge.startswith(TAKEN_BACK)
        ]
        where, by_period = f", adjustment of {original.invoice_id}", is_by_period(head)
        terms = body(original).get("terms", {})
        ahead = [line for line in adjusting if by_period and is_ahead(line, original)]
        late = [line for line in adjusting if line not in ahead]
        if late and terms:
            lump = self.is_lump(original) or not by_period
            charged, billed = self._lump(original, earlier) if lump else self._period(head, original, earlier)
            self._changed(head, where, charged, billed, late, terms)
        if ahead and original.end_us != head.start_us:  # of a period that never was; else it is the invoice's own
            start = original.end_us
            charged, billed = self._charged(earlier, start), self._reductions_on(earlier, start)
            terms = body(original).get("terms_ahead", {})
            if self.is_lump(original):
                billed = total([*billed.items(), *self.taken_ahead(original, earlier).items()])
                terms = {"discounts": body(original)["terms"].get("discounts", [])}
            self._changed(head, f"{where} in advance", charged, billed, ahead, terms)

    def _period(self, head: Head, original: Head, earlier: Sequence[Head]) -> tuple[Amounts, Amounts]:
        """(charges, what terms did) of the period of ``original`` before ``head``. Fees in advance whose invoice was
        void by then are among the charges, with their discounts, though they are billed again only with ``head``, or
        after it."""
        start = original.start_us
        charged, billed = self._charged(earlier, start), self._reductions_on(earlier, start)
        stood = {(invoice.start_us, invoice.end_us) for invoice in earlier}
        voids = [
            invoice for name in head.voids if (invoice := self._chain.get(name)) is not None and invoice.end_us == start
        ]
        voids = [
            invoice for invoice in voids if (invoice.start_us, start) not in stood and "change" not in body(invoice)
        ]
        carrier = max(voids, key=lambda invoice: (bool(invoice.reissues), invoice.sequence), default=None)
        fees = (
            [line for line in self.lines_of(carrier) if line.kind == "flat" and is_ahead(line, carrier)]
            if carrier
            else []
        )
        if fees:
            charged = total([*charged.items(), *((line.product, line.amount) for line in fees)])
            discounts: PeriodTerms = {"discounts": body(original).get("terms", {}).get("discounts", [])}
            true_up = [(key, amount) for key, amount in billed.items() if key == COMMITMENT]
            billed = total([*reductions(charged, discounts, head.currency).items(), *true_up])
        return charged, billed

    def _lump(self, lump: Head, earlier: Iterable[Head], *, ahead: bool = True) -> tuple[Amounts, Amounts]:
        """(what its charges came to, what its terms did) on it and on ``before``; ``ahead``: its fees in advance
        too."""
        lump_lines: list[StoredLine] = []
        for invoice in {head.invoice_id: head for head in [lump, *earlier]}.values():
            for line in self.lines_of(invoice):
                is_own = invoice is lump and line.kind in (*CHARGES, *REDUCES)
                early = is_ahead(line, lump)
                adjusts = line.adjusts == lump.invoice_id and not (is_by_period(invoice) and early)
                if (is_own or adjusts) and (ahead or not early):
                    lump_lines.append(line)
        charged = total((line.product, line.amount) for line in lump_lines if ":" not in line.charge)
        return charged, total((line.charge, line.amount) for line in lump_lines if is_term(line))

    def _changed(
        self, head: Head, where: str, charged: Amounts, billed: Amounts, lines: list[StoredLine], terms: PeriodTerms
    ) -> None:
        """Compare what ``lines`` change of the terms of a period: ``charged`` and ``billed`` are what its charges and
        terms had come to before."""
        further = [(line.product, line.amount) for line in lines if ":" not in line.charge]
        now = reductions(total([*charged.items(), *further]), terms, head.currency)
        taken_off = total((line.charge, line.amount) for line in lines if is_term(line))
        self._compare(head, where, minus(now, billed), taken_off, 0)

    def _compare(self, head: Head, where: str, expected: Amounts, taken_off: Amounts, units: int) -> None:
        """``units``: how many minor units of a difference are rounding."""
        numbers = {line.charge: line.number for line in reversed(self.lines_of(head))}
        for key in sorted(expected.keys() | taken_off.keys()):
            wants, has = expected.get(key, Fraction(0)), taken_off.get(key, Fraction(0))
            if abs(wants - has) > Fraction(units, 10 ** exponent(head.currency)):
                line = f", line {numbers[key]}" if key in numbers else ""
                self._findings.add("invoice line", f"{head.place}{line}, {key}{where}", text(wants), text(has), REMEDY)
