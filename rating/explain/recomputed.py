"""A line's quantity, computed again and split by local day and by dimension values, through the one query builder."""

from __future__ import annotations

from decimal import Decimal

from clickhouse_connect.driver.client import Client

from rating.explain.subject import Subject
from rating.periods import Interval, split
from rating.pricing import plain
from rating.pricing.exact import exact_sum
from rating.usage import Usage, UsageQuery, no_usage, stream_groups, usage_totals
from schemas.values.instants import instant, micros, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace


def total(client: Client, query: UsageQuery) -> Usage:
    """The total as a line has it: a matrix's is the sum of its combinations. Blocking."""
    whole = replace(query, by_account=False, buckets_us=())
    rows = list(stream_groups(client, whole)) if query.dimensions else usage_totals(client, whole)
    if len(rows) == 1:
        return rows[0].usage
    if not rows:
        return no_usage(query.profile.aggregation)
    return Usage(exact_sum(row.usage.quantity or Decimal(0) for row in rows), sum(row.usage.events for row in rows))


def by_day(client: Client, subject: Subject) -> list[JsonObject]:
    """A row for every local day of the line's period. Blocking."""
    query = subject.query
    days = tuple(split(Interval(instant(query.start_us), instant(query.end_us)), "day", subject.zone))
    daily_query = replace(query, by_account=False, dimensions=(), buckets_us=tuple(micros(day.start) for day in days))
    usage_by_start = {row.bucket_us: row.usage for row in usage_totals(client, daily_query)}
    nothing = no_usage(query.profile.aggregation)
    rows = []
    for day in days:
        usage = usage_by_start.get(micros(day.start), nothing)
        rows.append(
            {
                "date": f"{day.start.astimezone(subject.zone):%Y-%m-%d}",
                "from": rfc3339(micros(day.start)),
                "to": rfc3339(micros(day.end)),
                "quantity": plain_or_none(usage.quantity),
                "events": usage.events,
            }
        )
    return rows


def by_dimensions(client: Client, subject: Subject) -> list[JsonObject] | None:
    """A row for every combination of a matrix's dimension values; None for other prices. Blocking."""
    query = subject.query
    if not query.dimensions:
        return None
    return [
        {
            "values": dict(zip(query.dimensions, row.dimensions, strict=True)),
            "quantity": plain_or_none(row.usage.quantity),
            "events": row.usage.events,
        }
        for row in stream_groups(client, replace(query, by_account=False))
    ]


def plain_or_none(number: Decimal | None) -> str | None:
    """The number as a plain decimal string, None for None."""
    return None if number is None else plain(number)
