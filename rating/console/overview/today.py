"""What needs somebody today, each a link to where it is dealt with. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rating.console.frame import Frame
from rating.console.html import Html, join, tag
from rating.console.text import grouped, rounded


@dataclass(frozen=True, slots=True)
class Today:
    """Numbers of a moment. ``metered``: events taken in during the last five minutes; ``refused``: events, and
    ``duplicates``: copies that were dropped, in the last 24 hours; ``drafts``, ``alerts``, ``anomalies`` (of the last
    seven days): as many as were read; ``further``: those of them of which there are more; ``given_up``: webhook
    messages."""

    metered: int
    refused: int
    duplicates: int
    drafts: int
    alerts: int
    anomalies: int
    given_up: int
    further: frozenset[str] = frozenset()


def today_panel(frame: Frame, today: Today) -> Html:
    """What flows, as cards; what waits for somebody, as a list."""
    cards = (
        (rounded(Decimal(today.metered) / 5), "events a minute", ("events",)),
        (grouped(today.refused), "refused in 24 hours", ("events", "refused")),
        (grouped(today.duplicates), "copies dropped in 24 hours", ("events",)),
    )
    waiting: tuple[tuple[str, int, str, str, dict[str, str]], ...] = (
        ("drafts", today.drafts, "drafts wait for approval", "invoices", {"state": "draft"}),
        ("alerts", today.alerts, "alerts are open", "alerts", {}),
        ("anomalies", today.anomalies, "anomalies in the last seven days", "anomalies", {}),
        ("given_up", today.given_up, "webhook messages were given up: `weir webhook replay --given-up`", "", {}),
        ("refused", today.refused, "events were refused in the last 24 hours", "events/refused", {}),
    )
    items = [
        tag("li", frame.link(f"{grouped(count)}{'+' if name in today.further else ''} {text}",
                             *filter(None, path.split("/")), **query))
        for name, count, text, path, query in waiting
        if count
    ]  # fmt: skip
    return join(
        tag("h2", "Today"),
        tag("div", [tag("div", tag("b", number), tag("span", frame.link(text, *path)), class_="card")
                    for number, text, path in cards], class_="cards"),
        tag("ul", items, class_="plain") if items else tag("p", "Nothing waits for somebody.", class_="good"),
    )  # fmt: skip
