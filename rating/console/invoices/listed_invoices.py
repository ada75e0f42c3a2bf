"""Tables of invoices and drafts that pages share: the number before the id, names before codes, local dates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import local, local_days, money
from rating.invoices.lists import Page
from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.ledgers.invoice_claims import FINALIZED

_ID_SHOWN = 12


def total_line(label: str, amount: str, currency: str) -> Html:
    """A sum below a table."""
    return tag("div", tag("span", label), tag("span", money(amount, currency)), class_="total")


def state_of(head: StoredInvoiceHead) -> str:
    """Its state for people: a finalized invoice is open, to refund or settled by what is due of it."""
    due = Decimal(head.amount_due)
    if head.state != FINALIZED:
        return head.state
    return "open" if due > 0 else "to refund" if due < 0 else "settled"


def state_badge(head: StoredInvoiceHead) -> Html:
    """Its state, as a word with a colour."""
    state = state_of(head)
    return tag("span", state, class_=f"badge {state.replace(' ', '-')}")


def short_name(head: StoredInvoiceHead) -> str:
    """Its number; where it has none yet the beginning of its id."""
    return head.number or f"{head.invoice_id[:_ID_SHOWN]}…"


def drafts(frame: Frame, waiting: Page) -> Html | None:
    """Drafts, each with what it waits for; nothing where there are none."""
    if not waiting.invoices:
        return None
    rows = [
        (
            *_head_cells(frame, head),
            head.draft["waits"] if head.draft else "",
            money(head.total, head.currency),
        )
        for head in waiting.invoices
    ]
    latest = " Only the latest are shown." if waiting.next_cursor else ""
    return join(
        tag("h2", "Drafts"),
        tag("p", f"Not billed yet: each close refreshes them, and nothing counts them.{latest}", class_="soft"),
        table(("Draft", "Customer", "Period", "Waits", "Total so far"), rows, frozenset({4})),
    )


def heads(frame: Frame, invoices: Sequence[StoredInvoiceHead]) -> Html:
    """A table of invoices."""
    if not invoices:
        return tag("p", "none yet; `weir close` bills what is due", class_="soft")
    rows = [
        (
            *_head_cells(frame, head),
            head.body.due_date or "",
            state_badge(head),
            money(head.total, head.currency),
            money(head.amount_due, head.currency) if Decimal(head.amount_due) else "",
        )
        for head in invoices
    ]
    return table(("Invoice", "Customer", "Period", "Due", "State", "Total", "To be paid"), rows, frozenset({5, 6}))


def _head_cells(frame: Frame, head: StoredInvoiceHead) -> tuple[Child, ...]:
    """Links to the invoice and its account, and the local days that it bills."""
    number = frame.link(short_name(head), "invoices", head.invoice_id)
    edges = f"{local(head.service_start_us, head.time_zone)} to {local(head.service_end_us, head.time_zone)}"
    period = local_days(head.service_start_us, head.service_end_us, head.time_zone)
    return (
        tag("span", number, title=head.invoice_id),
        frame.account(head.account_id),
        tag("span", period, title=f"{edges} (not included), {head.time_zone}", class_="days"),
    )
