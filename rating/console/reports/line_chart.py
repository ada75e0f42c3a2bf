"""Lines over time as inline SVG, one a name, with the legend below. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rating.console.html import Html, join, tag
from rating.console.text import grouped

MOST_LINES: Final = 8
_WIDTH: Final = 1000
_HEIGHT: Final = 260
_TOP: Final = 18
_BOTTOM: Final = 22
_POINTS_MARKED: Final = 60


def lines(series: Sequence[tuple[str, Sequence[Decimal | None]]], labels: Sequence[str], unit: str) -> Html:
    """The first MOST_LINES of ``series``: (name, quantity by label) each; None is no point, where a line breaks off."""
    shown = series[:MOST_LINES]
    numbers = [value for _, values in shown for value in values if value is not None]
    high, low = max([*numbers, Decimal(0)]), min([*numbers, Decimal(0)])
    # Pixels only: no quantity is ever computed from these floats.
    scale = (_HEIGHT - _TOP - _BOTTOM) / (float(high - low) or 1.0)
    step = _WIDTH / max(len(labels), 1)

    def place(index: int, value: Decimal) -> tuple[str, str]:
        return f"{index * step + step / 2:.1f}", f"{_TOP + float(high - value) * scale:.1f}"

    base = f"{_TOP + float(high) * scale:.1f}"
    drawn = [tag("text", f"{grouped(high)} {unit}".strip(), x=0, y=12)]
    drawn.append(tag("line", class_="axis", x1=0, x2=_WIDTH, y1=base, y2=base))
    for number, (name, values) in enumerate(shown):
        drawn += [
            tag("polyline", class_=f"curve l{number}", points=" ".join(",".join(place(*point)) for point in run))
            for run in _runs(values)
        ]
        if len(labels) <= _POINTS_MARKED:
            drawn += [
                _point(f"{name}, {label}: {grouped(value)} {unit}".strip(), number, *place(index, value))
                for index, (label, value) in enumerate(zip(labels, values, strict=True))
                if value is not None
            ]
    every = max(1, -(-len(labels) // 10))
    drawn += [
        tag(
            "text", label, x=f"{index * step + step / 2:.1f}", y=_HEIGHT - 5, text_anchor="middle" if index else "start"
        )
        for index, label in enumerate(labels)
        if index % every == 0
    ]
    named = f"{len(shown)} lines over time, highest {grouped(high)} {unit}".strip()
    picture = tag("svg", drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=named)
    return join(tag("div", picture, class_="chart", tabindex=0, role="group", aria_label="Chart"), _legend(shown))


def _runs(values: Sequence[Decimal | None]) -> list[list[tuple[int, Decimal]]]:
    """Places that follow on each other."""
    runs: list[list[tuple[int, Decimal]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            runs[-1].append((index, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _point(title: str, number: int, x: str, y: str) -> Html:
    return tag("circle", tag("title", title), class_=f"point l{number}", cx=x, cy=y, r=3)


def _legend(shown: Sequence[tuple[str, Sequence[Decimal | None]]]) -> Html:
    items = [tag("li", _swatch(number), " ", name) for number, (name, _) in enumerate(shown)]
    return tag("ul", items, class_="legend")


def _swatch(number: int) -> Html:
    stroke = tag("line", class_=f"curve l{number}", x1=0, x2=24, y1=5, y2=5)
    return tag("svg", stroke, viewBox="0 0 24 10", class_="swatch", aria_hidden="true")
