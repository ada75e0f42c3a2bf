"""The alerts of a namespace that have fired and not recovered, on its overview. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rating.alerts.alert_store import StoredAlert
from rating.console.html import Html, join, link, table, tag
from rating.console.text import grouped
from schemas.values.instants import rfc3339

OPEN_SHOWN: Final = 10


def open_alerts(namespace: str, alerts: Sequence[StoredAlert]) -> Html | None:
    """The newest OPEN_SHOWN of ``alerts``; nothing where there are none."""
    if not alerts:
        return None
    rows = [
        (
            stored.alert.key.rule,
            link(stored.alert.key.account_id, "accounts", stored.alert.key.account_id, namespace=namespace),
            f"{stored.alert.measure} {stored.alert.metric}",
            stored.alert.key.threshold,
            grouped(stored.alert.value),
            rfc3339(stored.appended_us),
        )
        for stored in alerts[:OPEN_SHOWN]
    ]
    further = " Only the latest are shown." if len(alerts) > OPEN_SHOWN else ""
    return join(
        tag("h2", "Open alerts"),
        tag("p", f"Fired and not recovered; `weir alerts` lists all.{further}", class_="soft"),
        table(("Rule", "Account", "Of", "Threshold", "Value", "Since"), rows, frozenset({3, 4})),
    )
