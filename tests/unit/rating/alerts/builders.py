"""Rules and measurements for tests of alerts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rating.alerts.crossings import AsOf, Observation
from schemas.catalog.alerts import AlertRule

NO_CLIENT: Any = None
"""In place of ClickHouse's client, where all that would ask it is replaced or left out: who asks it after all fails."""
START, END = 1_356_998_400_000_000, 1_359_676_800_000_000


def rule(*thresholds: str, **more: Any) -> AlertRule:
    """Usage of calls.n, rising unless told otherwise."""
    body = {"code": "r", "measure": "usage", "profile": "calls.n", "thresholds": thresholds}
    return AlertRule.model_validate(body | more)


def seen(value: int | str | Decimal, *, start_us: int = START, base: str | None = None) -> Observation:
    """What was measured of subscription s of account acme."""
    return Observation(
        "acme", "s", "calls.n", start_us, END, Decimal(value), None if base is None else Decimal(base)
    )  # fmt: skip


def as_of(offset: int = 1) -> AsOf:
    """Everything below ``offset`` was counted."""
    return AsOf(START + offset, 0, 7, {(1, 0): offset})
