"""Settles negative invoices against the account's other invoices: a credit balance is drawn on by amounts due.
Pure.

A transfer consists of two payments that cancel each other: a negative one on the negative invoice, then one on the
invoice it pays; each names the other. The first is decisive: refunding the balance and transferring it compete for
the invoice's next version. If a process dies between the two, the next close adds the second; if the paid invoice
is void by then, the balance is returned. Negative invoices of releases without this mechanism were settled by other
means and are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from rating.invoices.amounts.billed_of_period import OF_PERIOD
from rating.invoices.transitions import NewPayment, amount_due, with_payment
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_claims import FINALIZED, VOID
from schemas.ledgers.invoice_details import PaymentEntry
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.record_copy import replace

AUTHOR: Final = "close"
_FOR: Final = "for "
_OF: Final = "of "
_BACK: Final = "back from "


def draws(invoices: Iterable[Invoice], now_us: int) -> list[Invoice]:
    """The next versions of negative invoices that pay others, at most one per invoice; empty if nothing is left to
    draw."""
    owed: dict[tuple[str, str], list[Invoice]] = {}
    credits: list[Invoice] = []
    for invoice in invoices:
        if invoice.state != FINALIZED:
            continue
        if invoice.total.startswith("-"):
            if body_of(invoice).terms_of == OF_PERIOD:
                credits.append(invoice)
        else:
            owed.setdefault((invoice.account_id, invoice.currency), []).append(invoice)
    left_of: dict[str, Decimal] = {}
    following_versions: list[Invoice] = []
    for credit in sorted(credits, key=_age):
        left = -_due(credit)
        names = {line.adjusts for line in credit.lines}
        others = owed.get((credit.account_id, credit.currency), ())
        for candidate in sorted(others, key=lambda invoice: (invoice.invoice_id not in names, *_age(invoice))):
            if not _may_pay(credit, candidate):
                continue
            name = candidate.invoice_id
            due = left_of.setdefault(name, _due(candidate))
            amount = min(left, due)
            if amount > 0 and (following := _paid(credit, f"{_FOR}{name}", -amount, now_us, name)) is not None:
                left_of[name] = exact_sum((due, -amount))
                following_versions.append(following)
                break  # the remainder is drawn in the next round
    return following_versions


def counterparts(invoices: Iterable[Invoice], now_us: int) -> Iterator[Invoice]:
    """The missing second payments: next versions of invoices that a draw paid and that do not record it yet; at
    most one per invoice.

    If the paid invoice is void by now, or was paid otherwise meanwhile, the balance is returned.
    """
    by_id = {invoice.invoice_id: invoice for invoice in invoices}
    changed: set[str] = set()
    for credit in [
        invoice for invoice in by_id.values() if invoice.total.startswith("-") and '"payments"' in invoice.body
    ]:
        name = credit.invoice_id
        for payment in [payment for payment in _payments(credit) if payment["reference"].startswith(_FOR)]:
            paid = by_id.get(payment["invoice"])
            if paid is None or _has(credit, f"{_BACK}{payment['invoice']}"):
                continue
            amount = -Decimal(payment["amount"])
            void = paid.state == VOID
            if not void and _has(paid, f"{_OF}{name}"):
                continue
            back = void or amount > _due(paid)
            target = credit if back else paid
            reference = f"{_BACK}{paid.invoice_id}" if back else f"{_OF}{name}"
            source = paid.invoice_id if back else name
            if target.invoice_id not in changed:
                following = _paid(target, reference, amount, now_us, source)
                if following is not None:
                    changed.add(target.invoice_id)
                    yield following


def _may_pay(credit: Invoice, invoice: Invoice) -> bool:
    """Whether a negative invoice may pay another: one that it adjusts itself, or one of the account finalised at
    the same time or later; each once."""
    drawn = _has(credit, f"{_FOR}{invoice.invoice_id}")
    adjusts = any(line.adjusts == invoice.invoice_id for line in credit.lines)
    return not drawn and (adjusts or invoice.as_of >= credit.as_of)


def _age(invoice: Invoice) -> tuple[int, int, str]:
    return invoice.as_of, invoice.period_start, invoice.invoice_id


def _due(invoice: Invoice) -> Decimal:
    return amount_due(invoice.state, Decimal(invoice.total), body_of(invoice))


def _payments(invoice: Invoice) -> Sequence[PaymentEntry]:
    return body_of(invoice).payments


def _has(invoice: Invoice, reference: str) -> bool:
    return any(payment["reference"] == reference for payment in _payments(invoice))


def _paid(invoice: Invoice, reference: str, amount: Decimal, now_us: int, source: str) -> Invoice | None:
    """The invoice's next version, with a claim id derived from the payment, so that two processes write the same
    version."""
    following = with_payment(invoice, NewPayment(reference, amount, now_us, AUTHOR, source))
    if following is None:
        return None
    return replace(following, claim_id=f"{invoice.invoice_id}:{following.version}:{reference}")
