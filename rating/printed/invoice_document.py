"""What a printed invoice says, as the template takes it: short texts, at most so many of them. Pure."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from rating.invoices.amounts.prepaid.overage import payable
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from rating.plain_text import grouped, local_days, local_span, money
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum
from rating.printed.pinned_parties import InvoiceParties
from schemas.catalog.parties.invoice_parties import InvoiceParty
from schemas.ledgers.invoice_claims import DRAFT, PAID, VOID, WITHDRAWN
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone

MOST_LINES: Final = 1_000
"""Lines that are printed; the rest are one line with their sum."""
MOST_STEPS: Final = 4
"""Steps of a line's calculation."""
_MOST_NOTES: Final = 100
_MOST_TEXT: Final = 300
_STAMPS: Final = {DRAFT: "Draft", WITHDRAWN: "Withdrawn draft", VOID: "Void", PAID: "Paid"}


def invoice_document(whole_invoice: WholeInvoice, parties: InvoiceParties) -> JsonObject:
    """The values of rating/printed/invoice.typ. Texts are printed as they are, never read as markup."""
    head = whole_invoice.head
    return {
        "title": "Draft of an invoice" if head.is_draft else "Invoice",
        "number": head.number or head.invoice_id,
        "stamp": _STAMPS.get(head.state, ""),
        "seller": _party(parties.seller),
        "buyer": _party(parties.buyer),
        "logo": list(b64decode(parties.seller.logo)),
        "facts": [{"what": what, "text": _short(text)} for what, text in _facts(head)],
        "currency": head.currency,
        "lines": _lines(whole_invoice.lines, head),
        "sums": [{"what": what, "text": text} for what, text in _sums(head)],
        "remarks": [_short(text) for text in _remarks(head)],
        "notes": parties.seller.notes.split("\n") if parties.seller.notes else [],
    }


def _party(party: InvoiceParty) -> JsonObject:
    lines = [*party.address, *([f"Tax id: {party.tax_id}"] if party.tax_id else []), party.email]
    return {"name": _short(party.name), "lines": [line for line in lines if line]}


def _facts(head: StoredInvoiceHead) -> Iterator[tuple[str, str]]:
    yield "Number", head.number or "not given yet"
    issued = head.approved["at"] if head.approved else rfc3339(head.as_of_us)
    yield "As of" if head.is_draft else "Date of issue", _day(issued, head.time_zone)
    if head.body.due_date and not head.is_draft:
        yield "Due", str(head.body.due_date)
    yield "Period", local_days(head.service_start_us, head.service_end_us, head.time_zone)
    yield "Time zone", head.time_zone
    yield "Customer", head.account_id
    yield "Subscription", head.subscription
    if head.reissues:
        yield "In place of", f"{head.reissues}, which is void"


def _day(text: str, zone: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(parse_zone(zone)):%Y-%m-%d}"


def _lines(lines: Sequence[StoredInvoiceLine], head: StoredInvoiceHead) -> list[JsonObject]:
    printed = [_line(line, head) for line in lines[:MOST_LINES]]
    if further := lines[MOST_LINES:]:
        total = exact_sum(Decimal(line.amount) for line in further)
        text = f"{len(further)} further lines, which the invoice's page and its export list"
        printed.append({"number": "", "text": text, "more": [], "quantity": "",
                        "amount": grouped(money_text(total, head.currency))})  # fmt: skip
    return printed


def _line(line: StoredInvoiceLine, head: StoredInvoiceHead) -> JsonObject:
    of_head = (head.service_start_us, head.service_end_us), (head.period_start_us, head.period_end_us)
    span = (line.period_start_us, line.period_end_us)
    steps = [str(step.get("text", "")) for step in line.steps]
    more = [
        local_span(*span, head.time_zone) if span not in of_head else "",
        line.note,
        *steps[:MOST_STEPS],
        f"and {len(steps) - MOST_STEPS} further steps" if len(steps) > MOST_STEPS else "",
    ]
    quantity = "" if line.quantity is None else f"{grouped(plain(line.quantity))} {line.unit}".strip()
    return {"number": str(line.number), "text": _short(line.description),
            "more": [_short(part) for part in more if part],
            "quantity": _short(quantity), "amount": grouped(line.amount)}  # fmt: skip


def _sums(head: StoredInvoiceHead) -> Iterator[tuple[str, str]]:
    if head.subtotal != head.total:
        yield "Subtotal", money(head.subtotal, head.currency)
        if Decimal(head.credits_applied):
            yield "Prepaid credit", money(_negative(head.credits_applied), head.currency)
    if head.tax_amount is not None:
        yield "Tax", money(head.tax_amount, head.currency)
    yield "Total", money(head.total, head.currency)
    if head.is_draft or head.state == VOID:
        return
    for note in head.credit_notes[:_MOST_NOTES]:
        yield f"Credit note {note['number'] or ''}".strip(), money(_negative(note["amount"]), head.currency)
    if Decimal(head.amount_paid):
        yield "Paid", money(_negative(head.amount_paid), head.currency)
    yield "To pay", money(head.amount_due, head.currency)
    if left := payable(Decimal(head.amount_due), head.body):
        yield "Which comes to", money(left["amount"], left["currency"])


def _negative(amount: str) -> str:
    return amount.removeprefix("-") if amount.startswith("-") else f"-{amount}" if Decimal(amount) else amount


def _remarks(head: StoredInvoiceHead) -> Iterator[str]:
    """What became of it, without who of the seller decided."""
    if head.is_draft:
        yield "This is a draft: nothing of it is billed yet."
    if void := head.void:
        yield f"Void since {_day(void['at'], head.time_zone)}: nothing of it is to be paid."
    for payment in head.payments[:_MOST_NOTES]:
        yield f"Paid {_day(payment['paid_at'], head.time_zone)}: {_of(payment, head)}, {payment['reference']}"
    for note in head.credit_notes[:_MOST_NOTES]:
        yield f"Credited {_day(note['at'], head.time_zone)}: {_of(note, head)}, {note['reason']}"


def _of(entry: Mapping[str, Any], head: StoredInvoiceHead) -> str:
    return money(entry.get("subtotal", entry["amount"]), head.currency)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
