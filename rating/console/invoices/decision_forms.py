"""The forms by which somebody decides on an invoice or draft; which there are follows from its state. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from rating.console.frame import Frame
from rating.console.html import Child, Html, address, tag
from rating.invoices.amounts.prepaid.overage import payable
from rating.invoices.stored_invoice import StoredInvoiceHead
from rating.pricing import plain
from schemas.ledgers.invoice_claims import DRAFT, FINALIZED, PAID

DONE: Final = {
    "approve": "The draft was approved: it is the invoice below.",
    "hold": "The draft is held back: no close finalises it until it is released.",
    "release": "The draft is released: the next close refreshes it, and finalises it if it is due.",
    "payments": "The payment is recorded.",
    "void": "The invoice is void: it counts nowhere, and the next close bills its period again.",
}
"""By decision, the last part of the API's path: what is said once it was taken."""


def decisions(frame: Frame, head: StoredInvoiceHead) -> Html | None:
    """The forms; nothing where none applies or the key may only look."""
    forms = list(_forms(frame, head)) if frame.may_hold else []
    return tag("section", tag("h2", "Decide"), forms, class_="decisions", aria_label="Decisions") if forms else None


def _forms(frame: Frame, head: StoredInvoiceHead) -> Iterator[Html]:
    draft = head.draft
    if draft is not None and head.state == DRAFT:
        if draft["held"]:
            yield _form(frame, head, "release", "Release the draft")
            return
        if draft["approval"] == "required" and frame.may_decide:
            version = tag("input", type="hidden", name="version", value=head.version)
            yield _form(frame, head, "approve", f"Approve version {head.version}, as it stands here", version)
        yield _form(frame, head, "hold", "Hold the draft back", _reason())
    if head.state in (FINALIZED, PAID) and frame.may_decide:
        if Decimal(head.amount_due):
            yield _payment(frame, head)
        yield _form(frame, head, "void", "Void the invoice", _reason())


def _payment(frame: Frame, head: StoredInvoiceHead) -> Html:
    """In the invoice's currency; in money where it is in units that come to money."""
    payment = payable(Decimal(head.amount_due), head.body)
    amount, currency = (payment["amount"], payment["currency"]) if payment else (head.amount_due, head.currency)
    entry = tag("input", name="amount", value=plain(Decimal(amount)), required=True, size=14, inputmode="decimal")
    return _form(
        frame,
        head,
        "payments",
        "Record the payment",
        tag("input", type="hidden", name="currency", value=currency),
        tag("label", f"Amount ({currency})", entry),
        tag("label", "Reference, recorded once", tag("input", name="reference", required=True, size=24, maxlength=200)),
    )


def _reason() -> Html:
    return tag("label", "Reason, kept with it", tag("input", name="reason", required=True, size=36, maxlength=1000))


def _form(frame: Frame, head: StoredInvoiceHead, decision: str, text: str, *fields: Child) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="token", value=frame.token),
        *fields,
        tag("button", text),
        method="post",
        action=address("invoices", head.invoice_id, decision, namespace=frame.namespace),
        class_="line",
    )
