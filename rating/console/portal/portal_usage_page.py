"""A page of the portal: one metric over a time, by day and by dimension. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rating.console.chart import bars
from rating.console.html import Html, join, table, tag
from rating.console.portal.portal_frame import PortalFrame
from rating.console.text import rounded
from rating.console.usage.usage_choice import local_label
from rating.usage import UsageGroup
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone

MOST_PARTS: Final = 200


@dataclass(frozen=True, slots=True)
class PortalUsage:
    """What was asked for: ``start`` and ``end`` as typed, "" for this month; ``split``: the dimension, "" for none, of
    ``dimensions``. ``by_day``: the answer of GET /v1/portal/usage, ``parts``: groups, the greatest
    first, of MOST_PARTS + 1 at most; None where ``problem`` says why not."""

    metric: str
    start: str
    end: str
    split: str
    dimensions: tuple[str, ...]
    by_day: JsonObject | None = None
    parts: Sequence[UsageGroup] | None = None
    problem: str = ""


def portal_usage_page(portal: PortalFrame, usage: PortalUsage) -> Html:
    """The form, the bars, the parts."""
    name = portal.metric(usage.metric)
    return portal.page(
        name,
        tag("h1", name),
        _form(portal, usage),
        tag("p", usage.problem, class_="bad", role="alert") if usage.problem else None,
        _by_day(portal, usage, usage.by_day) if usage.by_day else None,
        _parts(usage, usage.parts, str((usage.by_day or {}).get("unit") or "")) if usage.parts else None,
    )


def _form(portal: PortalFrame, usage: PortalUsage) -> Html:
    options = [tag("option", "no dimension", value="")] + [
        tag("option", name, value=name, selected=name == usage.split) for name in usage.dimensions
    ]
    return tag(
        "form",
        tag("input", type="hidden", name="token", value=portal.token),
        tag("input", type="hidden", name="metric", value=usage.metric),
        tag("label", "From (empty: this month)", tag("input", name="from", value=usage.start, size=12)),
        tag("label", "To (not included)", tag("input", name="to", value=usage.end, size=12)),
        tag("label", "Parts by", tag("select", options, name="split")),
        tag("button", "Show", class_="first"),
        action="/portal/usage",
        class_="line",
    )


def _by_day(portal: PortalFrame, usage: PortalUsage, answer: JsonObject) -> Html:
    zone, unit = parse_zone(answer["time_zone"]), str(answer["unit"] or "")
    days = [
        (local_label(row["from"], zone, "day"), None if row["quantity"] is None else Decimal(row["quantity"]))
        for row in answer["rows"]
    ]
    groups = {"group_by": f"day,dimension:{usage.split}" if usage.split else "day"}
    csv = portal.link(
        "As CSV", "usage.csv", metric=usage.metric, **{"from": usage.start or None, "to": usage.end or None}, **groups
    )
    return join(
        tag("p", "In all ", rounded(answer["total"]["quantity"], unit), f" · days in {answer['time_zone']} · ", csv),
        tag("div", bars(days, unit), class_="chart", tabindex=0),
        tag(
            "details",
            tag("summary", "As a table"),
            table(("Day", "Quantity"), [(day, rounded(quantity, unit)) for day, quantity in days], frozenset({1})),
            class_="more",
        ),
    )


def _parts(usage: PortalUsage, parts: Sequence[UsageGroup], unit: str) -> Html:
    more = f"These are the {MOST_PARTS} greatest; the CSV has all." if len(parts) > MOST_PARTS else ""
    cells = [
        (part.dimensions[0] or "–", rounded(part.usage.quantity, unit), part.usage.events)
        for part in parts[:MOST_PARTS]
    ]
    return join(
        tag("h2", "By ", usage.split),
        table((usage.split, "Quantity", "Events"), cells, frozenset({1, 2})),
        tag("p", more, class_="soft") if more else None,
    )
