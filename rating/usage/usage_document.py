"""Usage as a document, CSV or Parquet: a row a group, written as they come. Pure but for the file.

Columns: account_id, from, to, dimensions, quantity, events, as far as it is grouped by them. CSV has instants as RFC
3339, UTC, and exact decimals as text; Parquet has timestamps and decimal256 with 12 places, and every text raw.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import IO, Final, Literal, TypeVar

from rating import parquet_table
from rating.csv_text import write_rows
from rating.parquet_table import ColumnKind, write_parquet
from rating.pricing import plain
from rating.usage import naming
from rating.usage.query import UsageGroup, UsageQuery, no_usage
from rating.usage.usage_parameters import UsageQuestion
from schemas.values.instants import rfc3339

UsageFormat = Literal["csv", "parquet"]
MEDIA_TYPES: Final[dict[UsageFormat, str]] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": parquet_table.MEDIA_TYPE,
}
_COLUMNS: Final = ("account_id", "from", "to", "quantity", "events")
_PAGE: Final = 20_000

T = TypeVar("T")


def write_usage(out: IO[bytes], question: UsageQuestion, groups: Iterable[UsageGroup], form: UsageFormat) -> int:
    """Write the groups that ``question`` has; gives the number of rows."""
    query = question.query
    columns: list[tuple[str, ColumnKind]] = [("account_id", "text")] if query.by_account else []
    columns += [("from", "instant"), ("to", "instant")]
    columns += [(name, "text") for name in naming.columns(query.dimensions, _COLUMNS)]
    columns += [("quantity", "quantity"), ("events", "integer")]
    if form == "parquet":
        return write_parquet(out, columns, _pages(_rows(query, groups, lambda us: us, lambda quantity: quantity)))
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    rows = _rows(query, groups, _remembered(rfc3339), plain)
    raw = frozenset(index for index, (_, kind) in enumerate(columns) if kind != "text")
    count = write_rows(text, [name for name, _ in columns], [rows], raw, "\r\n")
    text.flush()
    text.detach()
    return count


def with_empty_buckets(query: UsageQuery, groups: Sequence[UsageGroup]) -> Sequence[UsageGroup]:
    """With a group for every bucket, where the grouping is by time alone, so that a history has no gaps."""
    if not query.buckets_us or query.by_account or query.dimensions:
        return groups
    by_start = {group.bucket_us: group for group in groups}
    empty = no_usage(query.profile.aggregation)
    return [by_start.get(start) or UsageGroup(empty, None, start) for start in query.buckets_us]


def _rows(
    query: UsageQuery,
    groups: Iterable[UsageGroup],
    edge_of: Callable[[int], object],
    quantity_of: Callable[[Decimal], object],
) -> Iterator[list[object]]:
    ends = dict(query.intervals())
    for group in groups:
        start = query.start_us if group.bucket_us is None else group.bucket_us
        end = query.end_us if group.bucket_us is None else ends[group.bucket_us]
        account = [group.account_id] if query.by_account else []
        quantity = group.usage.quantity
        edges = (edge_of(start), edge_of(end))
        shown = None if quantity is None else quantity_of(quantity)
        yield [*account, *edges, *group.dimensions, shown, group.usage.events]


def _pages(rows: Iterator[T]) -> Iterator[list[T]]:
    while page := list(islice(rows, _PAGE)):
        yield page


def _remembered(text_of: Callable[[int], str]) -> Callable[[int], str]:
    """``text_of`` that works each instant out once: edges of buckets come again and again."""
    texts: dict[int, str] = {}

    def remembered(us: int) -> str:
        text = texts.get(us)
        if text is None:
            text = texts[us] = text_of(us)
        return text

    return remembered
