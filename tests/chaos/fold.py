"""The totals that must come out: an independent fold of what was acknowledged. Imports nothing of ours but the
traffic."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from tests.chaos.traffic import Identity, Sent

METRICS: Final = (
    "call.count",
    "call.sum",
    "call.count_unique",
    "call.max",
    "call.min",
    "call.latest",
    "call.abroad",
    "ping.count",
)
Totals = dict[tuple[str, str, str], Decimal]
"""(namespace, metric, account) → quantity; for ``call.abroad`` the account is followed by a slash and the region."""


def fold(events: Iterable[Sent]) -> Totals:
    """Every total of the events, which must have different identities."""
    groups: dict[tuple[str, str, str], list[Sent]] = {}
    seen: set[Identity] = set()
    for event in events:
        if event.identity in seen:
            raise ValueError(f"{event.identity} is folded twice")
        seen.add(event.identity)
        groups.setdefault((event.identity.namespace, event.event_name, event.account), []).append(event)
    totals: Totals = {}
    for (namespace, name, account), group in groups.items():
        if name == "ping":
            totals[namespace, "ping.count", account] = Decimal(len(group))
        elif name == "call":
            totals |= _calls(namespace, account, group)
    return totals


def _calls(namespace: str, account: str, group: list[Sent]) -> Totals:
    values = [Decimal(event.value) for event in group]
    latest = max(group, key=lambda event: (event.timestamp, event.identity.key, Decimal(event.value)))
    totals = {
        (namespace, "call.count", account): Decimal(len(group)),
        (namespace, "call.sum", account): sum(values, Decimal(0)),
        (namespace, "call.count_unique", account): Decimal(len({event.value for event in group})),
        (namespace, "call.max", account): max(values),
        (namespace, "call.min", account): min(values),
        (namespace, "call.latest", account): Decimal(latest.value),
    }
    for region in sorted({event.region for event in group} - {"eu"}):
        abroad = (Decimal(event.value) for event in group if event.region == region)
        totals[namespace, "call.abroad", f"{account}/{region}"] = sum(abroad, Decimal(0))
    return totals
