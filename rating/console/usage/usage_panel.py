"""A metric's usage as a page shows it: the form, the chart with the span before behind it, the table, the breakdown.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rating.console.chart import bars
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import rounded
from rating.console.usage.usage_choice import (
    STEPS,
    ShownUsage,
    UsageChoice,
    local_label,
    micros_of,
    span_after,
    span_before,
)
from rating.pricing.exact import exact_sum
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone

MOST_BARS: Final = 750
PARTS_SHOWN: Final = 20
_ADDS_UP: Final = ("sum", "count")


def metric_options(frame: Frame, metrics: Sequence[str], chosen: str) -> list[Html]:
    """The options of a choice of metrics, by name."""
    names = {metric: frame.name_of("metric", metric) for metric in metrics}
    texts = {metric: f"{name} ({metric})" if name else metric for metric, name in names.items()}
    return [tag("option", text, value=metric, selected=metric == chosen) for metric, text in texts.items()]


def choice_form(frame: Frame, choice: UsageChoice, path: tuple[str, ...]) -> Html:
    """The form of a choice."""
    steps = [tag("option", step, value=step, selected=step == choice.step) for step in STEPS]
    splits = [tag("option", "nothing", value="", selected=not choice.split_by)]
    splits += [tag("option", name, value=name, selected=name == choice.split_by) for name in choice.dimensions]
    return frame.form(
        tag("label", "Metric", tag("select", metric_options(frame, choice.metrics, choice.metric), name="metric")),
        tag("label", "From (local date)", tag("input", name="from", value=choice.start, size=12)),
        tag("label", "To (not included)", tag("input", name="to", value=choice.end, size=12)),
        tag("label", "By", tag("select", steps, name="step")),
        tag("label", "Break down by", tag("select", splits, name="split")) if choice.dimensions else None,
        tag("button", "Show", class_="first"),
        path=path,
    )


def panel(frame: Frame, shown: ShownUsage, path: tuple[str, ...]) -> Html:
    """``path``: of the page that it stands on."""
    if shown.usage is None:
        form = choice_form(frame, shown.choice, path)
        return join(form, tag("p", shown.problem, class_="bad", role="alert") if shown.problem else None)
    return join(
        _around(frame, shown, path),
        choice_form(frame, shown.choice, path),
        history(shown),
        breakdown(shown),
    )


def _around(frame: Frame, shown: ShownUsage, path: tuple[str, ...]) -> Html | None:
    """Links to the spans before and after."""
    usage = shown.usage
    if usage is None:
        return None
    zone, edges = parse_zone(usage["time_zone"]), (micros_of(usage["from"]), micros_of(usage["to"]))
    query = {"metric": shown.choice.metric, "split": shown.choice.split_by or None}
    links: list[Child] = []
    for text, (start, end) in (
        ("← Period before", span_before(*edges, zone)),
        ("Period after →", span_after(*edges, zone)),
    ):
        links.append(tag("a", text, href=frame.address(*path, **query, from_=start, to=end)))
    return tag("p", [join(item, " ") for item in links], class_="around")


def history(shown: ShownUsage) -> Html:
    """The chart, the totals, and the same as a table."""
    usage = shown.usage
    assert usage is not None
    zone, unit, step = parse_zone(usage["time_zone"]), usage["unit"], shown.choice.step
    values = [(local_label(row["from"], zone, step), _decimal(row["quantity"])) for row in usage["rows"]]
    before = [] if shown.before is None else shown.before["rows"]
    past = [(local_label(row["from"], zone, step), _decimal(row["quantity"])) for row in before]
    if len(values) > MOST_BARS:
        drawn: Html = tag("p", f"More than {MOST_BARS} bars: choose longer steps, or a shorter time.", class_="soft")
    else:
        drawn = tag("div", bars(values, unit, past), class_="chart", tabindex=0, role="group", aria_label="Chart")
    rows = [
        (label, rounded(value), *([rounded(past[index][1]) if index < len(past) else ""] if past else []))
        for index, (label, value) in enumerate(values[:MOST_BARS])
    ]
    columns = (step.capitalize(), "Quantity", *(["Period before"] if past else []))
    numbers = tag("details", tag("summary", "As a table"), table(columns, rows, frozenset({1, 2})))
    return join(drawn, tag("p", _total(usage)), _compared(shown), numbers)


def _total(usage: JsonObject) -> Html:
    total = usage["total"]
    quantity, events = rounded(total["quantity"], usage["unit"]), rounded(total["events"])
    return join(f"{usage['aggregation']}: ", quantity, " from ", events, " events")


def _compared(shown: ShownUsage) -> Html | None:
    if shown.before is None:
        return None
    text = "The period before, grey behind it: "
    return tag("p", text, rounded(shown.before["total"]["quantity"], shown.before["unit"]), class_="soft")


def breakdown(shown: ShownUsage) -> Html | None:
    """The greatest values of the dimension, with their parts of the total where these add up."""
    parts, name = shown.parts, shown.choice.split_by
    if parts is None:
        return None
    total = Decimal(parts["total"]["quantity"] or 0)
    adds_up = parts["aggregation"] in _ADDS_UP
    rows: list[tuple[Child, ...]] = []
    for row in parts["rows"][:PARTS_SHOWN]:
        value = next(iter(row["dimensions"].values()))
        quantity = Decimal(row["quantity"] or 0)
        share = _share(quantity, total) if adds_up and total > 0 else ""
        rows.append(
            ("none" if value is None else value, rounded(row["quantity"]), rounded(row["events"]), share)
        )  # fmt: skip
    if adds_up and len(parts["rows"]) >= PARTS_SHOWN:
        others = exact_sum(
            (total, *(Decimal(row["quantity"] or 0).copy_negate() for row in parts["rows"][:PARTS_SHOWN]))
        )
        rows.append((tag("em", "all others"), rounded(others), "", _share(others, total)))
    columns = (name, f"Quantity ({parts['unit']})" if parts["unit"] else "Quantity", "Events", "Part")
    return join(tag("h3", f"By {name}"), table(columns, rows, frozenset({1, 2})))


def _share(quantity: Decimal, total: Decimal) -> Html:
    """A part of the total as a bar with its percents."""
    percent = f"{quantity * 100 / total:.1f} %" if total else "–"
    meter = tag(
        "meter", value=f"{max(quantity, Decimal(0)) / total:.4f}" if total else 0, min=0, max=1, aria_label=percent
    )
    return join(meter, " ", percent)


def metric_table(frame: Frame, shown: ShownUsage, path: tuple[str, ...]) -> Html | None:
    """Each metric with its total of the span; those with usage first."""
    if not shown.totals:
        return None
    span = {"from_": shown.choice.start, "to": shown.choice.end}
    rows = [
        (
            tag(
                "a",
                frame.name_of("metric", total["metric"]) or total["metric"],
                href=frame.address(*path, metric=total["metric"], **span),
            ),
            total["aggregation"],
            rounded(total["total"]["quantity"], total["unit"]),
            rounded(total["total"]["events"]),
        )
        for total in sorted(shown.totals, key=lambda total: not total["total"]["events"])
    ]
    left = len(shown.choice.metrics) - len(rows)
    more = tag("p", f"{left} more metrics: choose one in the form.", class_="soft") if left > 0 else None
    return join(table(("Metric", "Counted as", "Quantity", "Events"), rows, frozenset({2, 3})), more)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
