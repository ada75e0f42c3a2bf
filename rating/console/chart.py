"""Bars as inline SVG: one a bucket, with its number as a tooltip."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rating.console.html import Html, tag
from rating.console.text import grouped
from rating.pricing import plain

_WIDTH: Final = 1000
_HEIGHT: Final = 220
_TOP: Final = 18
_BOTTOM: Final = 22
_LABEL: Final = 30


def bars(
    values: Sequence[tuple[str, Decimal | None]], unit: str, before: Sequence[tuple[str, Decimal | None]] = ()
) -> Html:
    """(label, quantity) each, in order of time; None is no bar. Bars below zero hang from the base line. ``before``:
    the same of an earlier time, each drawn behind the bar of its place."""
    numbers = [value or Decimal(0) for _, value in values]
    past = [value or Decimal(0) for _, value in before[: len(values)]]
    high, low = max([*numbers, *past, Decimal(0)]), min([*numbers, *past, Decimal(0)])
    # Pixels only: no quantity is ever computed from these floats.
    span = float(high - low) or 1.0
    scale = (_HEIGHT - _TOP - _BOTTOM) / span
    base = _TOP + float(high) * scale if high or low else float(_HEIGHT - _BOTTOM)
    step = _WIDTH / max(len(values), 1)
    drawn = [
        _drawn(label, value, unit, "past", index, step, base, scale)
        for index, (label, value) in enumerate(before[: len(values)])
    ]
    drawn += [
        _drawn(label, value, unit, "bar", index, step, base, scale, 0.2 if before else 0.12)
        for index, (label, value) in enumerate(values)
    ]
    every = max(1, -(-len(values) // 12))
    labels = [_label(label, index, step) for index, (label, _) in enumerate(values) if index % every == 0]
    greatest = tag("text", f"{grouped(high)} {unit}".strip(), x=0, y=12)
    line = tag("line", class_="axis", x1=0, x2=_WIDTH, y1=f"{base:.1f}", y2=f"{base:.1f}")
    named = f"usage, highest {plain(high)} {unit}".strip()
    return tag("svg", greatest, line, drawn, labels, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=named)


def _label(text: str, index: int, step: float) -> Html:
    middle = index * step + step / 2
    if middle < _LABEL:  # it would be cut
        return tag("text", text, x=0, y=_HEIGHT - 5)
    return tag("text", text, x=f"{middle:.1f}", y=_HEIGHT - 5, text_anchor="middle")


def _drawn(
    label: str, value: Decimal | None, unit: str, class_: str, index: int, step: float, base: float, scale: float,
    margin: float = 0.04,
) -> Html:  # fmt: skip
    number = value or Decimal(0)
    height = max(abs(float(number)) * scale, 1.0 if number else 0.0)
    top = base - height if number >= 0 else base
    shown = "none" if value is None else f"{grouped(value)} {unit}".strip()
    return bar(f"{label}: {shown}", class_, index, step, top, height, rx="1.5", margin=margin)


def bar(
    title: str, class_: str, index: int, step: float, top: float, height: float, rx: str | None = None,
    margin: float = 0.12,
) -> Html:  # fmt: skip
    """A bar with its tooltip, the one of this number from the left; pixels: ``step`` from one bar to the next, ``top``
    and ``height`` its own, ``rx`` the radius of its corners; ``margin``: the part of a step left free at both sides."""
    return tag(
        "rect",
        tag("title", title),
        class_=class_,
        x=f"{index * step + step * margin:.1f}",
        y=f"{top:.1f}",
        width=f"{step * (1 - 2 * margin):.1f}",
        height=f"{height:.1f}",
        rx=rx,
    )
