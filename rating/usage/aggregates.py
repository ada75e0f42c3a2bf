"""How an aggregation reads records and windows. Pure.

Versions of one profile may aggregate differently; the last one valid in an interval decides how its total is made, of
the records of all of them. What each record holds is its version's (``schemas.matching.rules``):

===============  ===============  ===========================
version          quantity         unique value
===============  ===============  ===========================
sum, max, min    its number       nothing
latest           its number       the event's idempotency key
count            1                nothing
count_unique     1                its value, canonical JSON
===============  ===============  ===========================

So ``sum``, ``max``, ``min`` and ``latest`` read the quantities of every version and ``count`` all their records, while
``count_unique`` reads the values of its own versions alone: ``has_unique_value`` says so of records, and windows hold
unique states of these only (``stream_processors.rollup.windows``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rating.usage.measured_profile import Measured
from schemas.catalog.meters import Aggregation
from schemas.clickhouse.binder import Binder


class AggregateParts(NamedTuple):
    """How an aggregation is computed: a partial state from records, the same from windows, and their merger."""

    of_records: str
    of_windows: str
    merged: str


# Sums go through Decimal256, since a sum of Decimal128 wraps around. latest: the greatest (timestamp, key); the
# quantity itself breaks a tie between sources that used one key at one instant, so that the answer never depends on
# order.
_PARTS: Final[dict[Aggregation, AggregateParts]] = {
    "count": AggregateParts("count()", "sum(`count`)", "sum(part)"),
    "sum": AggregateParts("sum(toDecimal256(quantity, 12))", "sum(`sum`)", "sum(part)"),
    "max": AggregateParts("max(quantity)", "max(`max`)", "max(part)"),
    "min": AggregateParts("min(quantity)", "min(`min`)", "min(part)"),
    "latest": AggregateParts(
        "max((timestamp, unique_value, quantity))",
        "max((latest_timestamp, latest_key, latest))",
        "tupleElement(max(part), 3)",
    ),
    "count_unique": AggregateParts(
        "uniqExactStateIf(unique_value, {has_unique_value})",
        "uniqExactMergeState(unique_state)",
        "uniqExactMerge(part)",
    ),
}

_OF_PROFILES: Final[dict[Aggregation, str]] = {
    "count": "countIf({of_them})",
    "sum": "sumIf(toDecimal256(quantity, 12), {of_them})",
    "max": "maxIf(quantity, {of_them})",
    "min": "minIf(quantity, {of_them})",
    "latest": "maxIf((timestamp, unique_value, quantity), {of_them})",
    "count_unique": "uniqExactStateIf(unique_value, unique_value != '' AND {of_them})",
}
"""A partial state of the records of some profiles alone."""


def parts_of(profile: Measured, bind: Binder) -> AggregateParts:
    """The SQL of the profile's aggregation."""
    parts = _PARTS[profile.aggregation]
    return parts._replace(of_records=parts.of_records.format(has_unique_value=has_unique_value(profile, bind)))


def parts_of_several(profiles: Sequence[Measured], bind: Binder) -> AggregateParts:
    """The SQL of profiles without ``keyed`` versions, each with its own aggregation, in a query of records by profile:
    where these differ, a partial state is a tuple of one for each, which has its profiles' records alone."""
    by_aggregation: dict[Aggregation, list[str]] = {}
    for profile in profiles:
        by_aggregation.setdefault(profile.aggregation, []).append(profile.profile_id)
    if len(by_aggregation) == 1:
        return parts_of(profiles[0], bind)
    states, merged = [], []
    for number, (aggregation, ids) in enumerate(by_aggregation.items(), 1):
        of_them = f"profile_id IN {bind(f'ids_{aggregation}', 'Array(String)', ids)}"
        states.append(_OF_PROFILES[aggregation].format(of_them=of_them))
        of_state = _PARTS[aggregation].merged.replace("part", f"tupleElement(part, {number})")
        merged += [of_them, f"toString({of_state})"]
    return AggregateParts(f"tuple({', '.join(states)})", "", f"multiIf({', '.join(merged)}, '')")


def has_unique_value(profile: Measured, bind: Binder) -> str:
    """A condition on usage_records: the record has a value that ``count_unique`` counts."""
    if not profile.keyed:
        return "unique_value != ''"
    return f"unique_value != '' AND profile_version NOT IN {bind('keyed', 'Array(UInt32)', list(profile.keyed))}"
