"""What a search has found, and the page of one event. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rating.console.frame import Frame
from rating.console.html import Child, Html, facts, join, tag
from rating.console.invoices.listed_invoices import heads
from rating.console.text import local
from rating.invoices.stored_invoice import StoredInvoiceHead
from rating.voided_events import StoredEvent
from schemas.values.instants import rfc3339


@dataclass(frozen=True, slots=True)
class SearchHits:
    """What has ``text`` in its code, name, number or key; ``further``: whether there are more accounts."""

    text: str
    accounts: tuple[str, ...] = ()
    invoices: tuple[StoredInvoiceHead, ...] = ()
    event: StoredEvent | None = None
    further: bool = False


def hits_page(frame: Frame, hits: SearchHits) -> Html:
    """All that was found, or what to do where nothing was."""
    parts: list[Child] = []
    if hits.accounts:
        parts += [tag("h2", "Customers"), tag("ul", [tag("li", frame.account(code)) for code in hits.accounts])]
    if hits.further:
        parts.append(tag("p", frame.link("All customers with this", "accounts", q=hits.text)))
    if hits.invoices:
        parts += [tag("h2", "Invoices"), heads(frame, hits.invoices)]
    if hits.event is not None:
        shown = frame.link(hits.text, "event", key=hits.text)
        parts += [tag("h2", "Events"), tag("p", shown, f": {hits.event.event_name} of {hits.event.account_id}")]
    if not parts:
        parts = [_nothing(frame, hits.text)]
    title = f"Search: {hits.text}" if hits.text else "Search"
    return frame.page("search", title, tag("h1", title), parts)


def _nothing(frame: Frame, text: str) -> Html:
    tried = (
        "a customer's code or name, or a part of them; an invoice's number, its end, or its id; the idempotency key of"
        " an event"
    )
    if not text:
        return tag("p", f"Give {tried}.")
    return join(
        tag("p", tag("strong", f"Nothing in {frame.namespace} has this."), f" What is looked for: {tried}."),
        tag("ul",
            tag("li", "Another namespace may have it: choose it at the side, and search again."),
            tag("li", "An event with a source of its own has another identity: ",
                frame.link("look with its source", "event", key=text), "."),
            tag("li", "An event that was sent and is missing: ", frame.link("No usage showing?", "doctor"), ".")),
    )  # fmt: skip


def event_page(frame: Frame, key: str, source: str, event: StoredEvent | None, zone: str) -> Html:
    """The event that counted under a key. ``zone``: its account's."""
    form = frame.form(
        tag("label", "Idempotency key", tag("input", name="key", value=key, size=36)),
        tag("label", "Source (mostly none)", tag("input", name="source", value=source, size=24)),
        tag("button", "Look", class_="first"),
        path=("event",),
    )
    if event is None:
        text = (
            "No event with this key and source has counted. A copy that was refused never counts; whether one came is"
            " told by "
        )
        body: Child = tag("p", text, frame.link("No usage showing?", "doctor"), ", account by account.")
    else:
        when = join(
            local(event.timestamp_us, zone), tag("span", f" {zone} · {rfc3339(event.timestamp_us)}", class_="soft")
        )
        rows: list[tuple[str, Child]] = [
            ("Name", event.event_name),
            ("Customer", frame.account(event.account_id)),
            ("Time", when),
            ("Counts", tag("span", "no: it was voided", class_="bad") if event.voided else "yes"),
            ("Properties", tag("code", event.properties)),
        ]
        body = facts(rows)
    return frame.page("search", f"Event {key}", tag("h1", "Event ", tag("code", key)), form, body)
