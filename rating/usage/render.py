"""A usage query as parameterised SQL. The only place where usage is totalled (DESIGN invariant 8).

    records ─▶ partial states by group ─┐
                                        ├─▶ merged by group ─▶ quantity, events
    windows ─▶ partial states by group ─┤   (plan "windows" only, without accounts that have voided events in the
    folds   ─▶ partial states by group ─┘    interval: these have a branch of records, whole)

Every value is bound; the text depends on the query's shape alone. Instants are bound as integer microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rating.usage import void_conditions
from rating.usage.aggregates import parts_of, parts_of_several
from rating.usage.beside_windows import ANYTHING, BesideWindows
from rating.usage.query import UsageQuery
from rating.usage.usage_conditions import (
    folded_conditions,
    newest_fold,
    record_conditions,
    unfolded_conditions,
    unrolled_conditions,
    voids_of,
    window_conditions,
)
from schemas.clickhouse.binder import Binder


@dataclass(frozen=True, slots=True)
class Rendered:
    """A statement with ``{name:Type}`` placeholders, and the values bound to them by name."""

    sql: str
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Source:
    """A table of usage: its name, its column of time, and the expression that counts its events."""

    table: str
    at: str
    events: str


_RECORDS: Final = _Source("usage_records", "timestamp", "count()")
_WINDOWS: Final = _Source("usage_windows", "window_start", "sum(`count`)")
_FOLDS: Final = _Source("usage_window_folds", "window_start", "sum(`count`)")

# A replayed row has the same append time (records) or window start (windows), hence the same partition. What columns
# of the sorting key say is looked at before copies are merged, which all have the same of them: half of the CPU.
_SETTINGS: Final = "SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1"


_TEXT_OF_CONSTANT: Final = '^"(true|false|null|(0|-?[1-9][0-9]{0,14})|-?(0|[1-9][0-9]{0,8})[.][0-9]{0,5}[1-9])"$'

_OWN_PLACES: Final = (("own_accounts", "Array(String)"), ("own_starts", "Array(Int64)"), ("own_ends", "Array(Int64)"))


def render(
    query: UsageQuery,
    by_text: bool = False,
    with_total: bool = False,
    beside: BesideWindows = ANYTHING,
    buckets_last: bool = False,
) -> Rendered:
    """The SQL of ``query``. Columns: profile_id, account_id, bucket, dimension_0… (as far as grouped by),
    quantity (text), events.

    Only groups with at least one record come back. Rows are in order of their group. ``by_text``: as a price names
    values, those of one text (1 and "1"; none and "") are one group, of which all buckets stand together, as they do of
    every group with ``buckets_last``.
    ``with_total``, where there are groups: the first column is 1 in a row that is the total of all of them, and comes
    first; 0 in each group's. ``beside``: what a statement about windows need not read, since there is nothing of it.
    """
    bind = Binder()
    together = query.together
    parts = parts_of_several((query.profile, *together), bind) if together else parts_of(query.profile, bind)
    branches = []
    if query.plan == "windows":
        if unrolled := unrolled_conditions(query, bind, beside):
            branches.append(_branch(query, bind, _RECORDS, parts.of_records, unrolled, by_text))
        windows = window_conditions(query, bind, beside)
        if unfolded := unfolded_conditions(query, bind, beside.fold):
            branches.append(_branch(query, bind, _WINDOWS, parts.of_windows, [*windows, *unfolded], by_text))
        if folded := folded_conditions(bind, beside.fold):
            branches.append(_branch(query, bind, _FOLDS, parts.of_windows, [*windows, *folded], by_text))
    if query.plan == "records" or beside.voids:
        records = record_conditions(query, bind)
        if query.plan == "windows":
            records.append(void_conditions.account_has_voids(*voids_of(query, bind)))
        branches.append(_branch(query, bind, _RECORDS, parts.of_records, records, by_text))
    keys = _keys(query)
    of_all = [f"grouping({', '.join(keys)}) > 0 AS of_all"] if with_total else []
    select = [*of_all, *keys, f"toString({parts.merged}) AS quantity", "sum(events) AS events"]
    lines = [f"WITH ({newest_fold(query, bind)}) AS fold"] if query.plan == "windows" and beside.fold is None else []
    lines += [f"SELECT {', '.join(select)}", "FROM (", "\nUNION ALL\n".join(branches), ")"]
    if with_total:
        lines += [f"GROUP BY GROUPING SETS (({', '.join(keys)}), ())"]
    elif keys:
        lines += [f"GROUP BY {', '.join(keys)}"]
    # Without this an empty group would answer 0 where there is no maximum at all.
    lines += ["HAVING events > 0"]
    if keys:
        bucket = ["bucket"] if (by_text or buckets_last) and query.buckets_us else []
        first = ["of_all DESC"] if with_total else []
        first += [f"{parts.merged} DESC"] if query.top else []
        lines += [f"ORDER BY {', '.join([*first, *(key for key in keys if key not in bucket), *bucket])}"]
    if query.top:
        lines += [f"LIMIT {bind('top', 'UInt32', query.top + with_total)}"]
    bound = f", max_rows_to_read = {query.most_rows}" if query.most_rows else ""
    return Rendered("\n".join([*lines, _SETTINGS + bound]), bind.parameters)


def _keys(query: UsageQuery) -> list[str]:
    """The columns that the query groups by."""
    keys = _entity_keys(query)
    if query.buckets_us or query.account_intervals or query.step_us:
        keys.append("bucket")
    return keys + [f"dimension_{number}" for number in range(len(query.dimensions))]


def _entity_keys(query: UsageQuery) -> list[str]:
    return [*(["profile_id"] if query.together else []), *(["account_id"] if query.by_account else [])]


def value_key(raw: str) -> str:
    """The key of a dimension's value as a price names it, of what JSONExtractRaw gives: JSON that is the same for a
    short number, true, false or null and its text, and for a missing value and ""."""
    text = f"substring({raw}, 2, length({raw}) - 2)"
    return f"multiIf({raw} = '', '\"\"', match({raw}, '{_TEXT_OF_CONSTANT}'), {text}, {raw})"


def _branch(
    query: UsageQuery, bind: Binder, source: _Source, part: str, conditions: Sequence[str], by_text: bool
) -> str:
    """The SELECT of partial states of one table by group."""
    keys = _entity_keys(query)
    join = ""
    if query.buckets_us:
        # Bucket starts come from one source of time zones, ours; the join finds each row's by binary search.
        starts = bind("buckets", "Array(Int64)", list(query.buckets_us))
        keys.append("toUnixTimestamp64Micro(bucket_start) AS bucket")
        join = (
            f"\nASOF INNER JOIN (SELECT 1 AS one, fromUnixTimestamp64Micro(arrayJoin({starts}), 'UTC') AS bucket_start)"
            f" AS buckets ON source.one = buckets.one AND source.{source.at} >= buckets.bucket_start"
        )
    elif query.step_us:
        step = bind("step", "Int64", query.step_us)
        keys.append(f"intDiv(toUnixTimestamp64Micro(source.{source.at}), {step}) * {step} AS bucket")
    elif query.account_intervals:
        # The conditions have read every record of these accounts from the first start to the last end.
        accounts, starts, ends = (
            bind(name, kind, list(values))
            for (name, kind), values in zip(_OWN_PLACES, zip(*query.account_intervals, strict=True), strict=True)
        )
        keys.append("own_start AS bucket")
        at = f"toUnixTimestamp64Micro(source.{source.at})"
        own_intervals = (
            "(SELECT one.1 AS own_account, one.2 AS own_start, one.3 AS own_end"
            f" FROM (SELECT arrayJoin(arrayZip({accounts}, {starts}, {ends})) AS one)) AS own"
            " ON source.account_id = own.own_account"
        )
        if query.apart:  # a record is in one of them at most, that which began last
            join = f"\nASOF INNER JOIN {own_intervals} AND {at} >= own.own_start\nWHERE {at} < own_end"
        else:
            join = f"\nINNER JOIN {own_intervals}\nWHERE {at} >= own_start AND {at} < own_end"
    for number, name in enumerate(query.dimensions):
        raw = f"JSONExtractRaw(dimensions, {bind(f'dimension_name_{number}', 'String', name)})"
        keys.append(f"{value_key(raw) if by_text else raw} AS dimension_{number}")
    inner = f"SELECT *, 1 AS one FROM {source.table} FINAL\n    WHERE " + "\n    AND ".join(conditions)
    select = ", ".join([*keys, f"{part} AS part", f"{source.events} AS events"])
    group = f"\nGROUP BY {', '.join(_keys(query))}" if keys else ""
    return f"SELECT {select}\nFROM (\n    {inner}\n) AS source{join}{group}\nHAVING events > 0"
