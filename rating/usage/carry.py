"""``carry_over`` of a latest profile: an interval without events has the last value before it. Pure.

Nothing is totalled here: the same query is asked with one more bucket, from the first instant an event may have up to
the start, and its answers are passed on from bucket to bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, TypeAlias

from rating.usage.query import Usage, UsageGroup, UsageQuery
from schemas.values.record_copy import replace

_Group: TypeAlias = tuple[str | None, tuple[str | None, ...], tuple[str, ...]]

EARLIEST_US: Final = 0
"""No event is earlier: ``schemas.events.acceptance`` refuses it."""


def looking_back(query: UsageQuery) -> UsageQuery:
    """``query`` with one more bucket, from the earliest instant of an event up to the query's start."""
    starts = query.buckets_us or (query.start_us,)
    return replace(query, start_us=EARLIEST_US, buckets_us=(EARLIEST_US, *starts))


def carried(query: UsageQuery, rows: Iterable[UsageGroup]) -> list[UsageGroup]:
    """The rows of ``query`` from those of ``looking_back(query)``, in order of account, bucket and dimensions.

    A value that is carried has no events.
    """
    groups: dict[_Group, dict[int | None, Usage]] = {}
    for row in rows:
        groups.setdefault(_group(row), {})[row.bucket_us] = row.usage
    carried_rows = [row for group, usages in groups.items() for row in _carried(query, group, usages)]
    return sorted(carried_rows, key=lambda row: (row.account_id or "", row.bucket_us or 0))


def carried_in_order(query: UsageQuery, rows: Iterable[UsageGroup]) -> Iterator[UsageGroup]:
    """The same, one group after another: ``rows`` in order of account, dimensions and bucket, and so is what comes."""
    for group, of_group in groupby(rows, key=_group):
        yield from _carried(query, group, {row.bucket_us: row.usage for row in of_group})


def _group(row: UsageGroup) -> _Group:
    """Values of one text (1 and "1") are carried each by itself."""
    return row.account_id, row.dimensions, row.json_values


def _carried(query: UsageQuery, group: _Group, usages: dict[int | None, Usage]) -> Iterator[UsageGroup]:
    account, dimensions, json_values = group
    last_usage = usages.get(EARLIEST_US)
    for start in query.buckets_us or (query.start_us,):
        usage = usages.get(start)
        if usage is None and last_usage is not None:
            usage = Usage(last_usage.quantity, 0)
        if usage is not None:
            last_usage = usage
            bucket = start if query.buckets_us else None
            yield UsageGroup(usage, account, bucket, dimensions, json_values=json_values)
