"""Bars as inline SVG: one a bucket, with its number as a tooltip."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rating.console.html import Html, tag
from rating.pricing import plain

_WIDTH: Final = 1000
_HEIGHT: Final = 220
_TOP: Final = 18
_BOTTOM: Final = 22


def bars(values: Sequence[tuple[str, Decimal | None]], unit: str) -> Html:
    """(label, quantity) each, in order of time; None is no bar. Bars below zero hang from the base line."""
    numbers = [value or Decimal(0) for _, value in values]
    high, low = max([*numbers, Decimal(0)]), min([*numbers, Decimal(0)])
    # Pixels only: no quantity is ever computed from these floats.
    span = float(high - low) or 1.0
    scale = (_HEIGHT - _TOP - _BOTTOM) / span
    base = _TOP + float(high) * scale
    step = _WIDTH / max(len(values), 1)
    drawn: list[Html] = []
    for index, ((label, value), number) in enumerate(zip(values, numbers, strict=True)):
        height = max(abs(float(number)) * scale, 1.0 if value is not None and number else 0.0)
        top = base - height if number >= 0 else base
        shown = "none" if value is None else f"{plain(value)} {unit}".strip()
        drawn.append(bar(f"{label}: {shown}", "bar", index, step, top, height, rx="1.5"))
    every = max(1, -(-len(values) // 12))
    labels = [
        tag("text", label, x=f"{index * step + step / 2:.1f}", y=_HEIGHT - 5, text_anchor="middle")
        for index, (label, _) in enumerate(values)
        if index % every == 0
    ]
    greatest = tag("text", f"{plain(high)} {unit}".strip(), x=0, y=12)
    line = tag("line", class_="axis", x1=0, x2=_WIDTH, y1=f"{base:.1f}", y2=f"{base:.1f}")
    named = f"usage, highest {plain(high)} {unit}".strip()
    return tag("svg", greatest, line, drawn, labels, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=named)


def bar(title: str, class_: str, index: int, step: float, top: float, height: float, rx: str | None = None) -> Html:
    """A bar with its tooltip, the one of this number from the left; pixels: ``step`` from one bar to the next, ``top``
    and ``height`` its own, ``rx`` the radius of its corners."""
    return tag(
        "rect",
        tag("title", title),
        class_=class_,
        x=f"{index * step + step * 0.12:.1f}",
        y=f"{top:.1f}",
        width=f"{step * 0.76:.1f}",
        height=f"{height:.1f}",
        rx=rx,
    )
