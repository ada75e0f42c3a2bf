"""From a rule, what was measured and the alerts so far to the next records of usage.alerts. Pure.

Each crossing fires once, however many evaluate: a record names the version that it follows, so of two that saw one
crossing the first wins. A measurement is judged by a fold that was read before it, and passed over where an alert was
already made of later events (``ValidAlerts.covers``): so an alert never recovers by what was seen before it fired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from schemas.catalog.alerts import AlertRule, limit_of
from schemas.ledgers.alert_record import Alert, AlertKey
from schemas.ledgers.generations import Offsets
from schemas.prices.decimals import plain


@dataclass(frozen=True, slots=True)
class AsOf:
    """When something was measured: an instant (microseconds UTC), the last checkpoint (0: none), and the positions
    below which all events were counted."""

    instant_us: int
    checkpoint: int
    catalog_offset: int
    offsets: Offsets


@dataclass(frozen=True, slots=True)
class Observation:
    """What was measured for one subject in one period. ``value`` None: nothing is left that has one, as of a latest
    value without events, so no threshold is passed. ``base``: what percentages are of, None: of nothing. Of a balance
    the period is 0 to 0."""

    account_id: str
    subscription: str
    metric: str
    start_us: int
    end_us: int
    value: Decimal | None
    base: Decimal | None = None


def next_alerts(
    namespace: str,
    rule: AlertRule,
    rule_version: int,
    observation: Observation,
    as_of: AsOf,
    version_of: Callable[[str], int],
) -> Iterator[Alert]:
    """The records that follow from the observation, one for each threshold that it crossed. ``version_of``: alert id →
    the version that stands, 0 for none."""
    direction: Literal["falling", "rising"] = "falling" if rule.falling else "rising"
    for threshold in rule.thresholds:
        limit = limit_of(threshold, observation.base)
        if limit is None:
            continue
        key = AlertKey(
            namespace, rule.code, observation.account_id, observation.subscription, observation.start_us, threshold
        )
        version = version_of(key.alert_id)
        value = observation.value
        crossed = value is not None and (value <= limit if rule.falling else value >= limit)
        if crossed == bool(version % 2):
            continue
        yield Alert(
            key,
            version // 2 + 1,
            "fired" if crossed else "recovered",
            rule_version,
            rule.measure,
            observation.metric,
            observation.end_us,
            plain(limit),
            direction,
            "" if value is None else plain(value),
            as_of.instant_us,
            as_of.checkpoint,
            as_of.catalog_offset,
            as_of.offsets,
        )
