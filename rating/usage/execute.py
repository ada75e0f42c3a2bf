"""Runs usage queries on ClickHouse and reads their rows as ``UsageGroup``s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any

from rating.usage.carry import EARLIEST_US, carried, carried_in_order, looking_back
from rating.usage.existence import beside_windows
from rating.usage.query import Usage, UsageGroup, UsageQuery, no_usage
from rating.usage.render import render
from schemas.values.json_text import canonical, exact
from schemas.values.record_copy import replace


def usage_totals(client: Any, query: UsageQuery) -> list[UsageGroup]:
    """The groups of ``query`` that have usage, in order of profile, account, bucket and dimensions; blocking.

    Without any grouping there is always exactly one row, also where there is no usage.
    ``client`` is from ``schemas.clickhouse.client.connect``.
    """
    if query.profile.carry_over and query.start_us > EARLIEST_US:
        rows = carried(query, _rows(client, looking_back(query)))
    else:
        rows = _rows(client, query)
    if not rows and not (query.by_account or query.buckets_us or query.step_us or query.dimensions):
        return [UsageGroup(no_usage(query.profile.aggregation))]
    return rows


def usage_of_steps(client: Any, query: UsageQuery) -> Iterable[tuple[str, str, int, str, int]]:
    """The groups of ``query``, which is by account and step without dimensions, as (profile, account, start of the
    step, quantity, events): a fraction of what ``usage_totals`` takes for many; blocking."""
    assert query.by_account, "it is by account"
    assert query.step_us, "and by step"
    rendered, profile = render(query), query.profile.profile_id
    answer = client.query(rendered.sql, parameters=rendered.parameters)
    columns = answer.result_columns if answer.row_count else ()
    return zip(*columns) if query.together or not columns else zip(repeat(profile), *columns)  # noqa: B905  # as long


def usage_with_total(client: Any, query: UsageQuery) -> tuple[list[UsageGroup], Usage]:
    """The groups of ``query`` as ``usage_totals`` gives them, and the total of the same without groups; blocking. One
    statement, but for what is carried over, where the total is not that of the groups."""
    total = replace(query, by_account=False, buckets_us=(), dimensions=(), top=0)
    if total == query:
        rows = usage_totals(client, query)
        return rows, rows[0].usage
    if query.profile.carry_over:
        return usage_totals(client, query), usage_totals(client, total)[0].usage
    rendered = render(query, with_total=True, beside=beside_windows(client, query))
    groups, usage = [], no_usage(query.profile.aggregation)
    for of_all, *values in client.query(rendered.sql, parameters=rendered.parameters).result_rows:
        group = _row(query, values)
        if of_all:
            usage = group.usage
        else:
            groups.append(group)
    return groups, usage


def stream_groups(client: Any, query: UsageQuery) -> Iterator[UsageGroup]:
    """The groups of ``query``, which has some, that have usage: in order of account, start of an interval of its own,
    and dimension values, those of one text as one; blocking. However many there are, few are in memory at once."""
    if query.profile.carry_over and query.start_us > EARLIEST_US:
        return carried_in_order(query, _streamed(client, looking_back(query), by_text=True))
    return _streamed(client, query, by_text=True)


def stream_rows(client: Any, query: UsageQuery) -> Iterator[UsageGroup]:
    """The groups of ``usage_totals`` for a query by account or dimensions, in its order; blocking. However many there
    are, few are in memory at once; therefore what is carried over has all of an account's buckets together by
    dimensions."""
    if query.profile.carry_over and query.start_us > EARLIEST_US:
        return carried_in_order(query, _streamed(client, looking_back(query), buckets_last=True))
    return _streamed(client, query)


def _streamed(
    client: Any, query: UsageQuery, by_text: bool = False, buckets_last: bool = False
) -> Iterator[UsageGroup]:
    rendered = render(query, by_text, beside=beside_windows(client, query), buckets_last=buckets_last)
    with client.query_row_block_stream(rendered.sql, parameters=rendered.parameters) as blocks:
        for block in blocks:
            for values in block:
                yield _row(query, values)


def _rows(client: Any, query: UsageQuery) -> list[UsageGroup]:
    rendered = render(query, beside=beside_windows(client, query))
    return [_row(query, values) for values in client.query(rendered.sql, parameters=rendered.parameters).result_rows]


def _row(query: UsageQuery, values: Sequence[Any]) -> UsageGroup:
    left = list(values)
    profile = str(left.pop(0)) if query.together else None
    account = str(left.pop(0)) if query.by_account else None
    bucket = int(left.pop(0)) if query.buckets_us or query.account_intervals or query.step_us else None
    *json_values, quantity, events = left
    dimensions = tuple(_dimension(value) for value in json_values)
    usage = Usage(Decimal(quantity), int(events))
    return UsageGroup(usage, account, bucket, dimensions, profile_id=profile, json_values=tuple(json_values))


def _dimension(raw: str) -> str | None:
    if not raw:
        return None
    value = exact(raw)
    return value if isinstance(value, str) else canonical(value)
