"""A namespace at a glance. Pure."""

from __future__ import annotations

from datetime import datetime

from rating.books import EventBooks
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, tag
from rating.console.invoices.listed_invoices import drafts, heads
from rating.console.text import grouped
from rating.invoices.lists import Page
from schemas.values.instants import micros, rfc3339


def overview(
    frame: Frame,
    *,
    books: EventBooks,
    counted_at: datetime | None,
    counts: dict[str, int],
    invoices: Page,
    cursor: str | None,
    waiting: Page,
    alerts: Html | None,
    webhook: Html | None,
    today: Html,
) -> Html:
    """``counted_at``: when the books were counted, where that is not this moment; ``counts``: catalog entries in force
    by kind; ``waiting``: drafts; ``alerts``: those that are open; ``webhook``: how that
    stands; ``today``: what needs somebody."""
    paging: list[Child] = [frame.link("First page"), " "] if cursor else []
    if invoices.next_cursor:
        paging.append(frame.link("Further invoices", cursor=invoices.next_cursor))
    return frame.page(
        "",
        "Overview",
        tag("h1", frame.title or frame.namespace),
        _catalog(frame, counts),
        today,
        tag("h2", "Events so far"),
        ledger(books),
        tag("p", f"Counted at {rfc3339(micros(counted_at))}.", class_="soft") if counted_at else None,
        alerts,
        drafts(frame, waiting),
        tag("h2", "Invoices"),
        heads(frame, invoices.invoices),
        tag("p", paging),
        webhook,
    )


def _catalog(frame: Frame, counts: dict[str, int]) -> Html:
    """What the catalog has; where it has nothing, what to do first."""
    if not any(counts.values()):
        text = "Nothing is measured or sold in this namespace yet: `weir apply -f catalog.yaml` says what is; "
        return tag("p", text, tag("a", "the API", href="/docs"), " has the same.")
    customers = frame.link(f"{grouped(counts['account'])} customers", "accounts")
    rest = ", ".join(f"{grouped(counts[kind])} {kind}s" for kind in ("subscription", "plan", "product", "meter"))
    return tag("p", customers, f", {rest}")


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
