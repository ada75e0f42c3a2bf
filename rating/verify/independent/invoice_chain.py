"""A subscription's invoices in order, and of which period their lines and terms are. It shares no code with the
close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Final

from rating.verify.chains import Head, StoredLine
from rating.verify.invoice_body import InvoiceBody, PeriodTerms, read_body
from schemas.values.instants import SECOND, micros

REDUCES: Final = ("discount", "commitment")
TAKEN_BACK: Final = "credit_note:"
"""Prefix of the charge of lines that take back what credit notes had credited; alone: of an invoice as a whole."""

Chain = Mapping[str, Head]
"""The invoices of one subscription by id, void ones included."""


def is_term(line: StoredLine) -> bool:
    """A discount, a true-up, or the adjustment of one."""
    return ":" in line.charge and line.charge.partition(":")[0] in REDUCES


def latest_instant(value: str) -> int:
    """The instant, microseconds UTC; a date's midnight wherever it comes last, since the account's zone is not at
    hand."""
    if "T" in value:
        return micros(datetime.fromisoformat(value))
    return micros(datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)) + 14 * 3600 * SECOND


def terms_of(head: Head) -> PeriodTerms:
    """The terms of the invoice's own period; empty where none are pinned."""
    return body(head).get("terms", {})


def is_by_period(head: Head) -> bool:
    """Whether its terms are those of periods (not a lump)."""
    return bool(body(head).get("terms_of") == "period")


def is_ahead(line: StoredLine, head: Head) -> bool:
    """Whether a line of the invoice, or one that adjusts it, is of the period after its own."""
    return line.start_us >= head.end_us and line.end_us > line.start_us


def body(head: Head) -> InvoiceBody:
    """The fields of the invoice's body."""
    return read_body(head.body)


def before_it(head: Head, chain: Chain) -> Iterator[Head]:
    """Its predecessors, the nearest first; a circle ends the walk."""
    visited = {head.invoice_id}
    earlier = chain.get(head.predecessor)
    while earlier is not None and earlier.invoice_id not in visited:
        visited.add(earlier.invoice_id)
        yield earlier
        earlier = chain.get(earlier.predecessor)


def in_order(chain: Chain) -> list[Head]:
    """Each invoice after its predecessor; those whose predecessor is unknown, or is another's, come where they can."""
    followers: dict[str, list[Head]] = {}
    for head in chain.values():
        followers.setdefault(head.predecessor if head.predecessor in chain else "", []).append(head)
    ordered: dict[str, Head] = {}
    waiting = followers.get("", [])[::-1]
    while waiting:
        head = waiting.pop()
        if head.invoice_id not in ordered:
            ordered[head.invoice_id] = head
            waiting += followers.get(head.invoice_id, [])[::-1]
    return [*ordered.values(), *(head for name, head in chain.items() if name not in ordered)]
