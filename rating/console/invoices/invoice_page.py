"""The console's page of one invoice or draft: what became of it, and each line with its steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rating.console.frame import Frame
from rating.console.html import Child, Html, facts, join, table, tag
from rating.console.invoices.decision_forms import DONE, decisions
from rating.console.invoices.listed_invoices import short_name, state_badge, total_line
from rating.console.text import grouped, local_days, local_span, moment, money, rounded
from rating.invoices.amounts.billed_of_period import CHARGED
from rating.invoices.amounts.prepaid.overage import payable
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from schemas.ledgers.invoice_claims import VOID
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


def invoice(frame: Frame, whole_invoice: WholeInvoice, done: str = "", problem: str = "") -> Html:
    """One invoice in full, as the customer reads it once it is printed. ``done``: the decision that was taken just now,
    ``problem``: why one was not."""
    head = whole_invoice.head
    name = short_name(head)
    rows = [
        (
            frame.link(line.number, "invoices", head.invoice_id, "lines", str(line.number)),
            _described(line, head, frame),
            _quantity(line),
            grouped(line.amount),
        )
        for line in whole_invoice.lines
    ]
    days = local_days(head.service_start_us, head.service_end_us, head.time_zone)
    return frame.page(
        "invoices",
        f"{'Draft' if head.draft else 'Invoice'} {name}",
        tag("h1", "Draft " if head.draft else "Invoice ", name, " ", state_badge(head)),
        tag("p", DONE[done], class_="good screen", role="status") if _stands(head, done) else None,
        tag("p", problem, class_="bad screen", role="alert") if problem else None,
        tag("p", frame.account(head.account_id)),
        tag("p", f"{days}, {head.time_zone} · ", _plans(whole_invoice, frame), class_="soft"),
        *_became(head, frame),
        tag("h2", "Lines"),
        table(("#", "Line", "Quantity", f"Amount ({head.currency})"), rows, frozenset({2, 3})),
        _subtotal(head),
        total_line("Total", head.total, head.currency),
        tag("p", "A line's number leads to the events behind it.", class_="soft screen"),
        tag("p", frame.link("As PDF", "invoices", f"{head.invoice_id}.pdf"), class_="screen"),
        decisions(frame, head),
        _origin(head, frame),
    )


def _stands(head: StoredInvoiceHead, done: str) -> bool:
    """Whether the invoice bears out what an address says was decided, which anybody can write."""
    draft = head.draft
    match done:
        case "approve":
            return head.approved is not None
        case "hold" | "release":
            return draft is not None and (draft["held"] is not None) == (done == "hold")
        case "payments":
            return bool(head.payments)
    return done == VOID == head.state


def _origin(head: StoredInvoiceHead, frame: Frame) -> Html:
    """By what it came about, for whoever looks into it."""
    rows: list[tuple[str, Child]] = [
        ("Id", tag("code", head.invoice_id)),
        ("Version", head.version),
        ("Subscription", head.subscription),
        ("Period", local_span(head.period_start_us, head.period_end_us, head.time_zone)),
        ("In UTC", f"{rfc3339(head.period_start_us)} to {rfc3339(head.period_end_us)}"),
        ("Billing run", frame.link(head.run_id, "runs", head.run_id)),
        ("As of", f"checkpoint {head.checkpoint}, {rfc3339(head.as_of_us)}, catalog offset {head.catalog_offset}"),
    ]
    if head.predecessor:
        rows.append(("The invoice before", frame.link(head.predecessor, "invoices", head.predecessor)))
    return tag("details", tag("summary", "How it came about"), facts(rows))


def _subtotal(head: StoredInvoiceHead) -> Html | None:
    if head.subtotal == head.total:
        return None
    return tag("p", f"Subtotal before tax and prepaid credits: {money(head.subtotal, head.currency)}")


def _plans(whole_invoice: WholeInvoice, frame: Frame) -> Html:
    """The plans that its charges were priced by, in the order of its lines; its own where it has no charges."""
    priced = [(line.plan, line.plan_version) for line in whole_invoice.lines if line.kind in CHARGED and line.plan]
    plans = dict.fromkeys(priced or [(whole_invoice.head.plan, whole_invoice.head.plan_version)])
    return join(
        [
            join(", " if index else None, "plan ", frame.named("plan", code), f" version {version}")
            for index, (code, version) in enumerate(plans)
        ]
    )


def _became(head: StoredInvoiceHead, frame: Frame) -> Iterator[Html]:
    """Its number, what is to be paid, what was, and why it is void or in whose place it stands."""
    if draft := head.draft:
        state = tag("strong", f"Draft, version {head.version}: ")
        waits = f"{draft['waits']}. Nothing of it is billed yet."
        yield tag("p", state, waits, class_="bad" if draft["held"] else "soft")
    if approval := head.approved:
        at = moment(approval["at"], head.time_zone)
        yield tag("p", f"Approved by {approval['author']} at ", at, f", as version {approval['draft']} of its draft")
    if void := head.void:
        at = moment(void["at"], head.time_zone)
        yield tag("p", tag("strong", "Void"), " since ", at, f", by {void['author']}: {void['reason']}")
    if head.reissues:
        reissued = frame.link(head.reissues, "invoices", head.reissues)
        yield tag("p", "in place of ", reissued, ", which is void")
    for payment in head.payments:
        amount = money(payment["amount"], head.currency)
        at = moment(payment["paid_at"], head.time_zone)
        yield tag("p", f"Paid {amount} at ", at, f": {payment['reference']}")
    for note in head.credit_notes:
        yield tag("p", _credit_note(note, head.currency))
    if head.state != VOID and not head.draft:
        due = f" by {head.body.due_date}" if head.body.due_date else ""
        left = payable(Decimal(head.amount_due), head.body)
        in_money = f", which comes to {money(left['amount'], left['currency'])}" if left else ""
        yield tag("p", f"Due{due}: {money(head.amount_due, head.currency)}{in_money}")


def _credit_note(note: JsonObject, currency: str) -> str:
    text = f"Credit note {note['number'] or ''} over {money(note['subtotal'], currency)}: {note['reason']}"
    for part in note["prepaid"]:
        text += f"; {grouped(part['amount'])} came back to prepaid credit {part['grant']}"
    of_lines = ", ".join(f"line {line['line']}: {grouped(line['amount'])}" for line in note.get("lines", ()))
    return f"{text} ({of_lines})" if of_lines else text


def _described(line: StoredInvoiceLine, head: StoredInvoiceHead, frame: Frame) -> Html:
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
        adjusts = tag("p", "adjusts ", frame.link(line.adjusts, "invoices", line.adjusts))
    return join(tag("strong", line.description), metric, span, note, adjusts, steps)


def _quantity(line: StoredInvoiceLine) -> Html | str:
    return "" if line.quantity is None else rounded(line.quantity, line.unit)
