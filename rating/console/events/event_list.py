"""The pages of events that came last, and of those that were refused. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rating.console.events.read_events import EVENTS_SHOWN, EventFilter, MeteredEvent
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import grouped, moment
from schemas.clickhouse.stored_rejections import Rejection
from schemas.values.instants import rfc3339

_BYTES_SHOWN = 4_000
STAGES = {"gateway": "the gateway", "admit": "the inbox", "meter": "the meter"}


def event_list(
    frame: Frame,
    criteria: EventFilter,
    names: Sequence[str],
    events: Sequence[MeteredEvent],
    refused: int,
    zone_of: Callable[[str], str],
) -> Html:
    """``names``: of events that metrics measure; ``refused``: of the last day; ``zone_of``: account → its time zone."""
    return frame.page(
        "events",
        "Events",
        tag("h1", "Events"),
        _form(frame, criteria, names),
        tag("p", frame.link(f"{grouped(refused)} refused in the last 24 hours", "events", "refused"),
            class_="bad" if refused else "soft"),
        _rows(frame, events, zone_of) if events else _none(frame, criteria),
        tag("p", f"The {EVENTS_SHOWN} that came last.", class_="soft") if len(events) == EVENTS_SHOWN else None,
    )  # fmt: skip


def _form(frame: Frame, criteria: EventFilter, names: Sequence[str]) -> Html:
    options = [tag("option", "any", value="", selected=not criteria.event_name)]
    known = names if not criteria.event_name or criteria.event_name in names else [criteria.event_name, *names]
    options += [tag("option", name, value=name, selected=name == criteria.event_name) for name in known]
    return join(
        frame.form(
            tag(
                "label",
                "Customer, as events name it",
                tag("input", name="account_id", value=criteria.account_id, size=20),
            ),
            tag("label", "Name", tag("select", options, name="name")),
            tag("button", "Show", class_="first"),
            path=("events",),
        ),
        frame.form(
            tag("label", "Idempotency key", tag("input", name="key", size=30, required=True)),
            tag("label", "Source (mostly none)", tag("input", name="source", size=16)),
            tag("button", "Look for it"),
            path=("event",),
        ),
    )


def _rows(frame: Frame, events: Sequence[MeteredEvent], zone_of: Callable[[str], str]) -> Html:
    rows: list[tuple[Child, ...]] = []
    for event in events:
        zone = zone_of(event.account_id)
        source = event.source or None
        rows.append(
            (
                moment(rfc3339(event.received_ms * 1000), "UTC"),
                frame.link(event.idempotency_key, "event", key=event.idempotency_key, source=source),
                event.event_name,
                frame.account(event.account_id),
                moment(rfc3339(event.us), zone),
                _counted(frame, event),
            )
        )
    return table(("Came (UTC)", "Key", "Name", "Customer", "Its time, local", "Counts for"), rows)


def _counted(frame: Frame, event: MeteredEvent) -> Html:
    if event.voided:
        return tag("span", "voided", class_="bad")
    names = [frame.name_of("metric", profile) or profile for profile in event.profiles]
    if names:
        return join(", ".join(names))
    source = event.source or None
    return join(
        tag("span", "nothing: ", class_="bad"),
        frame.link("why?", "event", key=event.idempotency_key, source=source),
    )


def _none(frame: Frame, criteria: EventFilter) -> Html:
    doctor = frame.link("No usage showing?", "doctor", account_id=criteria.account_id or None)
    return tag("p", "No event of this kind came in the last 30 days. ", doctor)


def refused_list(
    frame: Frame, reason: str, rejections: Sequence[Rejection], cursor: str | None, may_replay: bool
) -> Html:
    """``cursor``: of the next page, None on the last; ``may_replay``: whether to tell how they are given another
    chance."""
    rows: list[tuple[Child, ...]] = [
        (
            moment(rfc3339(refused.received_us), "UTC"),
            join(refused.reason, tag("p", refused.detail, class_="soft")),
            STAGES.get(refused.stage, refused.stage),
            grouped(refused.events),
            frame.account(refused.account_id) if refused.account_id else "",
            join(
                refused.event_name,
                tag("p", refused.idempotency_key, class_="soft code") if refused.idempotency_key else None,
                tag("details", tag("summary", "as it came"), tag("pre", _text(refused))),
                tag("p", f"replayed: {refused.replayed}", class_="soft") if refused.replayed else None,
                tag("p", tag("code", refused.rejection_id.hex()), class_="soft"),
            ),
        )
        for refused in rejections
    ]
    columns = ("Came (UTC)", "Why", "Refused by", "Events", "Customer", "Event")
    text = "Mended its cause? `weir rejected replay ID` or `--reason …` judges them again, as of when they came."
    return frame.page(
        "events",
        "Refused events",
        tag("h1", "Refused events"),
        tag("p", frame.link("← All events", "events")),
        frame.form(
            tag(
                "label",
                "Reason",
                tag("input", name="reason", value=reason, size=20, placeholder="too_old, malformed …"),
            ),
            tag("button", "Show", class_="first"),
            path=("events", "refused"),
        ),
        tag("p", text, class_="soft") if may_replay and rows else None,
        table(columns, rows, frozenset({3})) if rows else tag("p", "Nothing is refused that was not replayed."),
        tag("p", frame.link("Earlier ones", "events", "refused", reason=reason or None, cursor=cursor))
        if cursor
        else None,
    )


def _text(refused: Rejection) -> str:
    """Its bytes as text, in hexadecimal where they are none, the beginning of many."""
    try:
        text = refused.original.decode()
    except UnicodeDecodeError:
        text = refused.original.hex()
    return text if len(text) <= _BYTES_SHOWN else f"{text[:_BYTES_SHOWN]} …"
