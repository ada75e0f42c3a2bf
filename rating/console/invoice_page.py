"""The console's page of one invoice or draft: what became of it, and each line with its steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rating.console.html import Html, join, link, page, table, tag
from rating.console.text import grouped, local_span, money
from rating.console.views import header, total_line
from rating.invoices.amounts.billed_of_period import CHARGED
from rating.invoices.amounts.prepaid.overage import payable
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from schemas.ledgers.invoice_claims import VOID
from schemas.values.json_text import JsonObject


def invoice(namespace: str, whole_invoice: WholeInvoice) -> Html:
    """One invoice in full."""
    head = whole_invoice.head
    facts = (
        local_span(head.service_start_us, head.service_end_us, head.time_zone) + f", {head.time_zone}",
        _plans(whole_invoice),
        head.state,
        f"as of checkpoint {head.checkpoint}",
    )
    rows = [
        (
            link(line.number, "invoices", head.invoice_id, "lines", str(line.number), namespace=namespace),
            _described(line, head, namespace),
            _quantity(line),
            grouped(line.amount),
        )
        for line in whole_invoice.lines
    ]
    return page(
        head.invoice_id,
        header(namespace),
        tag("h1", "Draft " if head.draft else "Invoice ", tag("code", head.invoice_id)),
        tag("p", link(head.account_id, "accounts", head.account_id, namespace=namespace)),
        tag("p", " · ".join(facts), class_="soft"),
        _previous(head, namespace),
        *_became(head, namespace),
        tag("h2", "Lines"),
        table(("#", "Line", "Quantity", f"Amount ({head.currency})"), rows, frozenset({2, 3})),
        _subtotal(head),
        total_line("Total", head.total, head.currency),
        tag("p", "A line's number leads to the events behind it.", class_="soft"),
    )


def _previous(head: StoredInvoiceHead, namespace: str) -> Html | None:
    if not head.predecessor:
        return None
    return tag("p", link("the invoice before", "invoices", head.predecessor, namespace=namespace))


def _subtotal(head: StoredInvoiceHead) -> Html | None:
    if head.subtotal == head.total:
        return None
    return tag("p", f"Subtotal before tax and prepaid credits: {money(head.subtotal, head.currency)}")


def _plans(whole_invoice: WholeInvoice) -> str:
    """The plans that its charges were priced by, in the order of its lines; its own where it has no charges."""
    priced = [(line.plan, line.plan_version) for line in whole_invoice.lines if line.kind in CHARGED and line.plan]
    plans = dict.fromkeys(priced or [(whole_invoice.head.plan, whole_invoice.head.plan_version)])
    return ", ".join(f"plan {code} version {version}" for code, version in plans)


def _became(head: StoredInvoiceHead, namespace: str) -> Iterator[Html]:
    """Its number, what is to be paid, what was, and why it is void or in whose place it stands."""
    if draft := head.draft:
        state = tag("strong", f"Draft, version {head.version}: ")
        waits = f"{draft['waits']}. Nothing of it is billed yet."
        yield tag("p", state, waits, class_="bad" if draft["held"] else "soft")
    if approval := head.approved:
        who = f"Approved by {approval['author']} at {approval['at']}"
        yield tag("p", f"{who}, as version {approval['draft']} of its draft", class_="soft")
    if head.number:
        yield tag("p", "Number ", tag("strong", head.number))
    if void := head.void:
        yield tag("p", tag("strong", "Void"), f" since {void['at']}, by {void['author']}: {void['reason']}")
    if head.reissues:
        reissued = link(head.reissues, "invoices", head.reissues, namespace=namespace)
        yield tag("p", "in place of ", reissued, ", which is void")
    for payment in head.payments:
        amount = money(payment["amount"], head.currency)
        yield tag("p", f"Paid {amount} at {payment['paid_at']}: {payment['reference']}")
    for note in head.credit_notes:
        yield tag("p", _credit_note(note, head.currency))
    if head.state != VOID and not head.draft:
        due = f" by {head.body.due_date}" if head.body.due_date else ""
        asked = payable(Decimal(head.amount_due), head.body)
        in_money = f", which comes to {money(asked['amount'], asked['currency'])}" if asked else ""
        yield tag("p", f"Due{due}: {money(head.amount_due, head.currency)}{in_money}")


def _credit_note(note: JsonObject, currency: str) -> str:
    text = f"Credit note {note['number'] or ''} over {money(note['subtotal'], currency)}: {note['reason']}"
    for part in note["prepaid"]:
        text += f"; {grouped(part['amount'])} came back to prepaid credit {part['grant']}"
    of_lines = ", ".join(f"line {line['line']}: {grouped(line['amount'])}" for line in note.get("lines", ()))
    return f"{text} ({of_lines})" if of_lines else text


def _described(line: StoredInvoiceLine, head: StoredInvoiceHead, namespace: str) -> Html:
    span = None
    shown_above = (head.service_start_us, head.service_end_us), (head.period_start_us, head.period_end_us)
    if (line.period_start_us, line.period_end_us) not in shown_above:
        span = tag("p", local_span(line.period_start_us, line.period_end_us, head.time_zone), class_="soft")
    steps = tag("ul", [tag("li", str(step["text"])) for step in line.steps], class_="steps") if line.steps else None
    versions = ", ".join(map(str, line.profile_versions))
    metric = tag("span", f" · {line.profile_id} (version {versions})", class_="soft") if line.profile_id else None
    note = tag("p", line.note, class_="soft") if line.note else None
    adjusts = None
    if line.adjusts:
        adjusts = tag("p", "adjusts ", link(line.adjusts, "invoices", line.adjusts, namespace=namespace))
    return join(tag("strong", line.description), metric, span, note, adjusts, steps)


def _quantity(line: StoredInvoiceLine) -> str:
    return "" if line.quantity is None else f"{grouped(line.quantity)} {line.unit}".strip()
