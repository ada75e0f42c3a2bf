"""What a search has found, and the page of one event. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rating.console.events.event_fates import MetricFate
from rating.console.events.read_events import MeteredEvent
from rating.console.frame import Frame
from rating.console.html import Child, Html, facts, join, table, tag
from rating.console.invoices.listed_invoices import heads
from rating.console.text import local, moment
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


def event_page(
    frame: Frame, key: str, source: str, event: MeteredEvent | None, zone: str, fates: Sequence[MetricFate] = ()
) -> Html:
    """The event that was taken in under a key. ``zone``: its account's; ``fates``: what each metric made of it."""
    form = frame.form(
        tag("label", "Idempotency key", tag("input", name="key", value=key, size=36)),
        tag("label", "Source (mostly none)", tag("input", name="source", value=source, size=24)),
        tag("button", "Look", class_="first"),
        path=("event",),
    )
    if event is None:
        text = "No event with this key and source was taken in. One that was refused stands at "
        body: Child = tag("p", text, frame.link("Refused events", "events", "refused"), ".")
    else:
        when = join(local(event.us, zone), tag("span", f" {zone} · {rfc3339(event.us)}", class_="soft"))
        rows: list[tuple[str, Child]] = [
            ("Name", event.event_name),
            ("Customer", frame.account(event.account_id)),
            ("Time", when),
            ("Came", moment(rfc3339(event.received_ms * 1000), zone)),
            ("Counts", tag("span", "no: it was voided", class_="bad") if event.voided else "yes"),
            ("Properties", tag("code", event.properties)),
        ]
        body = join(facts(rows), _fates(frame, event, fates))
    return frame.page("events", f"Event {key}", tag("h1", "Event ", tag("code", key)), form, body)


def _fates(frame: Frame, event: MeteredEvent, fates: Sequence[MetricFate]) -> Html:
    if not fates:
        doctor = frame.link("No usage showing?", "doctor", account_id=event.account_id)
        return join(
            tag("h2", "What counts it"),
            tag("p", tag("strong", f"No metric counts events named {event.event_name}. "), doctor),
        )
    rows = [
        (
            frame.named("metric", fate.metric),
            tag("span", "counts", class_="good") if fate.counted else tag("span", "does not count", class_="bad"),
            fate.why,
            tag("code", fate.value) if fate.value else "",
        )
        for fate in fates
    ]
    return join(tag("h2", "What counts it"), table(("Metric", "", "Why not", "The event has"), rows))
