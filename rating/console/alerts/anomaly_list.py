"""The console's page of anomalies: each with a picture of the days before and the numbers that say why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from rating.alerts.alert_store import StoredAlert
from rating.console.chart import bar
from rating.console.frame import Frame
from rating.console.html import Html, join, table, tag
from rating.console.text import grouped, local
from schemas.values.instants import instant
from schemas.values.time_zones import parse_zone

_WIDTH: Final = 1000
_HEIGHT: Final = 180
_TOP: Final = 16
_BOTTOM: Final = 20
_WORDS: Final = {"spike": "more than usual", "drop": "less than usual", "silence": "no events"}


def anomalies(frame: Frame, alerts: Sequence[StoredAlert], zone_of: Callable[[str], str], cursor: str | None) -> Html:
    """A page of anomalies. ``zone_of``: account → its time zone; ``cursor``: of the next page, None: there is none."""
    shown = [_anomaly(frame, stored, zone_of(stored.alert.key.account_id)) for stored in alerts]
    none = "no anomalies; a rule with measure anomaly has an account's days judged by its own weeks before"
    further = [frame.link("Earlier anomalies", "anomalies", cursor=cursor)] if cursor else []
    return frame.page(
        "anomalies",
        "Anomalies",
        tag("h1", "Anomalies"),
        tag("p", "Days judged by the eight weeks before, weekday by weekday; the newest first.", class_="soft"),
        shown or tag("p", none, class_="soft"),
        tag("p", further),
    )


def _anomaly(frame: Frame, stored: StoredAlert, zone: str) -> Html:
    alert, key = stored.alert, stored.alert.key
    why: dict[str, Any] = stored.to_json()["anomaly"]
    day = local(key.period_start_us, zone)
    recovered = ", taken back since by late events or voids" if alert.state == "recovered" else ""
    said = (
        f"{_WORDS.get(key.threshold, key.threshold)}{recovered}: {grouped(alert.value)} from {grouped(why['events'])}"
        f" events, where {grouped(why['expected'])} are expected, and {grouped(why['low'])} to {grouped(why['high'])}"
        f" is usual; {grouped(why['score'])} spreads from what is expected."
    )
    dates = _days_before(key.period_start_us, zone, len(why["history"]))
    past = [(date, Decimal(quantity)) for date, quantity in zip(dates, why["history"], strict=True)]
    weekday = [(date, grouped(quantity)) for date, quantity in past[::-1][6::7]]
    account = frame.account(key.account_id)
    return tag(
        "section",
        tag("h2", f"{key.threshold} of {alert.metric} on {day}: ", account),
        tag("p", said),
        tag(
            "div", picture(past, (day, Decimal(alert.value)), Decimal(why["low"]), Decimal(why["high"])), class_="chart"
        ),
        tag("p", f"Rule {key.rule}. The same weekday before:", class_="soft"),
        table(("day", "quantity"), weekday, frozenset({1})),
    )


def _days_before(start_us: int, zone: str, number: int) -> list[str]:
    """The local dates before the one that starts then, in order of time."""
    day = instant(start_us).astimezone(parse_zone(zone)).date()
    return [str(day - timedelta(days=back)) for back in range(number, 0, -1)]


def picture(past: Sequence[tuple[str, Decimal]], day: tuple[str, Decimal], low: Decimal, high: Decimal) -> Html:
    """Bars of the days before, those of the same weekday stronger, and of the day itself last, with the edges of what
    is usual for it as lines."""
    values = [*past, day]
    top = max(*(value for _, value in values), high, Decimal(1))
    # Pixels only: no quantity is ever computed from these floats.
    scale, step = (_HEIGHT - _TOP - _BOTTOM) / float(top), _WIDTH / len(values)
    base = _HEIGHT - _BOTTOM
    drawn: list[Html] = []
    for index, (date, value) in enumerate(values):
        height = max(float(value) * scale, 1.0)
        last = index == len(values) - 1
        same_weekday = (len(values) - 1 - index) % 7 == 0
        class_ = "odd" if last else "bar" if same_weekday else "past"
        drawn.append(bar(f"{date}: {grouped(value)}", class_, index, step, base - height, height))
    edges = [
        join(
            tag(
                "line",
                class_="edge",
                x1=0,
                x2=_WIDTH,
                y1=f"{base - float(edge) * scale:.1f}",
                y2=f"{base - float(edge) * scale:.1f}",
            ),
            tag("text", f"{name} {grouped(edge)}", x=0, y=f"{base - float(edge) * scale - 4:.1f}"),
        )
        for name, edge in (("high", high), ("low", low))
        if edge > 0
    ]
    labels = [
        tag("text", values[0][0], x=0, y=_HEIGHT - 5),
        tag("text", day[0], x=_WIDTH, y=_HEIGHT - 5, text_anchor="end"),
    ]
    described = (
        f"Daily totals of {len(past)} days before {day[0]}; {grouped(day[1])} on it, {grouped(low)} to {grouped(high)}"
        " is usual."
    )
    return tag(
        "svg",
        tag("title", f"{day[0]}: {grouped(day[1])}"),
        tag("desc", described),
        drawn,
        edges,
        tag("line", class_="axis", x1=0, x2=_WIDTH, y1=base, y2=base),
        labels,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=described,
    )
