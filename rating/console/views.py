"""The header and the tables of invoices and drafts that pages share; the login, the overview and errors. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rating.books import EventBooks
from rating.console.html import Child, Html, address, join, link, page, table, tag
from rating.console.text import grouped, local, money
from rating.invoices.lists import Page
from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.values.instants import micros, rfc3339

_ACCOUNTS_SHOWN: Final = 200


def header(namespace: str) -> Html:
    """What stands above every page."""
    return tag(
        "header",
        tag("strong", link("Weir", namespace=namespace)),
        tag("span", namespace, class_="soft"),
        link("Billing runs", "runs", namespace=namespace),
        link("Alerts", "alerts", namespace=namespace),
        link("Anomalies", "anomalies", namespace=namespace),
        tag("a", "API", href="/docs"),
        tag("form", tag("button", "Log out"), method="post", action="/logout"),
    )


def total_line(label: str, amount: str, currency: str) -> Html:
    """A sum below a table."""
    return tag("div", tag("span", label), tag("span", money(amount, currency)), class_="total")


def login(next_page: str, note: str = "") -> Html:
    """The form that asks for the admin key; ``note``: what became of the last try, ``next_page``: what it leads to."""
    key = tag("input", type="password", name="key", required=True, autofocus=True, autocomplete="current-password")
    form = tag(
        "form",
        tag("h1", "Weir"),
        tag("p", "The admin key (WEIR_ADMIN_KEY) opens the console.", class_="soft"),
        tag("p", note, class_="bad", role="alert") if note else None,
        tag("label", "Admin key", key),
        tag("input", type="hidden", name="after", value=next_page),
        tag("button", "Log in", class_="first"),
        method="post",
        action="/login",
        class_="login",
    )
    return page("Log in", form)


def failure(title: str, detail: str) -> Html:
    """An error for people."""
    return page(title, tag("h1", title), tag("p", detail), tag("p", link("Back to the overview")))


def overview(
    *,
    namespace: str,
    namespaces: Sequence[str],
    books: EventBooks,
    counted_at: datetime | None,
    accounts: Sequence[str],
    invoices: Page,
    cursor: str | None,
    waiting: Page,
    alerts: Html | None,
    webhook: Html | None,
) -> Html:
    """A namespace at a glance; ``counted_at``: when the books were counted, where that is not this moment; ``waiting``:
    drafts; ``alerts``: those that are open; ``webhook``: how that stands."""
    chips = [
        tag("a", name, href=address(namespace=name), class_="here" if name == namespace else None)
        for name in namespaces
    ]
    hidden = len(accounts) - _ACCOUNTS_SHOWN
    account_links = [link(name, "accounts", name, namespace=namespace) for name in accounts[:_ACCOUNTS_SHOWN]]
    paging: list[Child] = [link("First page", namespace=namespace), " "] if cursor else []
    if invoices.next_cursor:
        paging.append(link("Further invoices", namespace=namespace, cursor=invoices.next_cursor))
    return page(
        namespace,
        header(namespace),
        tag("div", chips, class_="chips"),
        tag("h2", "Events"),
        ledger(books),
        tag("p", f"Counted at {rfc3339(micros(counted_at))}.", class_="soft") if counted_at else None,
        tag("h2", "Accounts"),
        tag("div", account_links, class_="chips") if account_links else tag("p", "none yet", class_="soft"),
        tag("p", f"and {grouped(hidden)} more", class_="soft") if hidden > 0 else None,
        alerts,
        drafts(namespace, waiting),
        tag("h2", "Invoices"),
        heads(namespace, invoices.invoices),
        tag("p", paging),
        webhook,
    )


def ledger(books: EventBooks) -> Html:
    """The books of events, as cards."""
    names = ("received", "refused", "accepted", "metered", "unmatched", "duplicates", "conflicts", "voided")
    cards = [tag("div", tag("b", grouped(getattr(books, name))), tag("span", name), class_="card") for name in names]
    if books.balanced:
        text = "The books balance: accepted = metered + unmatched + duplicates + conflicts; voided are of the metered."
    else:
        text = "The books do not balance at this moment: events may be under way. Reload in a while."
    verdict = tag("p", text, class_="good" if books.balanced else "bad")
    return join(tag("div", cards, class_="cards"), verdict)


def drafts(namespace: str, waiting: Page) -> Html | None:
    """Drafts, each with what it waits for; nothing where there are none."""
    if not waiting.invoices:
        return None
    rows = [
        (
            *_head_cells(namespace, head),
            head.draft["waits"] if head.draft else "",
            money(head.total, head.currency),
        )
        for head in waiting.invoices
    ]
    latest = " Only the latest are shown." if waiting.next_cursor else ""
    return join(
        tag("h2", "Drafts"),
        tag("p", f"Not billed yet: each close refreshes them, and nothing counts them.{latest}", class_="soft"),
        table(("Draft", "Account", "From", "To (not incl.)", "Waits", "Total so far"), rows, frozenset({5})),
    )


def heads(namespace: str, invoices: Sequence[StoredInvoiceHead]) -> Html:
    """A table of invoices."""
    if not invoices:
        return tag("p", "none yet; `weir close` bills what is due", class_="soft")
    rows = [(*_head_cells(namespace, head), head.state, money(head.total, head.currency)) for head in invoices]
    return table(("Invoice", "Account", "From", "To (not incl.)", "State", "Total"), rows, frozenset({5}))


def _head_cells(namespace: str, head: StoredInvoiceHead) -> tuple[Child, ...]:
    """Links to the invoice and its account, and the local dates from and to which it bills."""
    return (
        link(head.invoice_id, "invoices", head.invoice_id, namespace=namespace),
        link(head.account_id, "accounts", head.account_id, namespace=namespace),
        local(head.service_start_us, head.time_zone),
        local(head.service_end_us, head.time_zone),
    )
