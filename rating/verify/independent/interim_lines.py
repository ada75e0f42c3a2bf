"""Interim invoices are taken off again: by the next one of their period, and by its own invoice. By fractions and on
its own: it shares no code with the close."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from rating.verify.chains import Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.amounts import text
from rating.verify.independent.invoice_chain import before_it, body

REMEDY: Final = "void the invoice and bill the period again; it takes off what interim invoices of the period billed"

_Key = tuple[str, str, int, int]


def check_interims(head: Head, chain: Mapping[str, Head], lines: StoredLines, findings: Findings) -> None:
    """With ``head``, where it bills a whole period or its use so far, each line of use on an interim invoice before it
    of that period, not void then, comes to nothing with all that adjusts it."""
    whole_period, interim = head.start_us < head.end_us, "interim" in body(head)
    if not (whole_period or interim):
        return
    earlier = [invoice for invoice in before_it(head, chain) if invoice.invoice_id not in head.voids]
    for of_period in earlier:
        if of_period.end_us != head.start_us or "interim" not in body(of_period):
            continue
        amounts: dict[_Key, Fraction] = {}
        used: set[_Key] = set()
        for invoice in (head, *earlier):
            for line in _lines(invoice, lines):
                is_own_usage = invoice is of_period and line.kind == "usage"
                if is_own_usage or line.adjusts == of_period.invoice_id:
                    amounts[_key(line)] = amounts.get(_key(line), Fraction(0)) + Fraction(line.amount)
                    used |= {_key(line)} if is_own_usage else set()
        for key in sorted(used):
            if amounts[key]:
                findings.add(
                    "invoice",
                    f"{head.place}, what {of_period.invoice_id} billed of {key[0]} before",
                    "taken off in full",
                    f"{text(amounts[key])} more",
                    REMEDY,
                )


def _lines(invoice: Head, lines: StoredLines) -> Iterable[StoredLine]:
    return lines.get((invoice.namespace, invoice.invoice_id, invoice.version), ())


def _key(line: StoredLine) -> _Key:
    return line.charge, line.product, line.start_us, line.end_us
