"""Differences as horizontal bars from a middle line: less to the left, more to the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rating.console.html import Html, tag
from rating.console.text import grouped

_WIDTH: Final = 1000
_ROW: Final = 26
_NAMES: Final = 300
_LONGEST_NAME: Final = 34


def difference_bars(rows: Sequence[tuple[str, Decimal]], currency: str) -> Html:
    """(name, what is paid more) each, from top to bottom; below zero: less."""
    # Pixels only: no amount is ever computed from these floats.
    greatest = float(max((abs(amount) for _, amount in rows), default=Decimal(0))) or 1.0
    middle = _NAMES + (_WIDTH - _NAMES) / 2
    scale = (_WIDTH - _NAMES) / 2 / greatest
    height = _ROW * len(rows)
    drawn = [tag("line", class_="axis", x1=f"{middle:.1f}", x2=f"{middle:.1f}", y1=0, y2=height)]
    for index, (name, amount) in enumerate(rows):
        length = max(abs(float(amount)) * scale, 1.0)
        sign = "+" if amount > 0 else ""
        title = f"{name}: {sign}{grouped(amount)} {currency}"
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        drawn.append(tag("text", short, x=0, y=index * _ROW + 17))
        bar = tag(
            "rect", tag("title", title), class_="more-paid" if amount > 0 else "less-paid", rx="1.5",
            x=f"{middle if amount > 0 else middle - length:.1f}", y=index * _ROW + 4, width=f"{length:.1f}",
            height=_ROW - 8,
        )  # fmt: skip
        drawn.append(bar)
    named = (
        f"what {len(rows)} customers would pay more or less, greatest difference {grouped(_greatest(rows))} {currency}"
    )
    return tag("svg", drawn, viewBox=f"0 0 {_WIDTH} {max(height, _ROW)}", role="img", aria_label=named)


def _greatest(rows: Sequence[tuple[str, Decimal]]) -> Decimal:
    return max((amount for _, amount in rows), key=abs, default=Decimal(0))
