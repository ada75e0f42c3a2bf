"""A usage query as parameterised SQL. The only place where usage is totalled (DESIGN invariant 8).

    records ─▶ partial states by group ─┐
                                        ├─▶ merged by group ─▶ quantity, events
    windows ─▶ partial states by group ─┤   (plan "windows" only, without accounts that have voided events in the
    folds   ─▶ partial states by group ─┘    interval: these have a branch of records, whole)

Every value is bound; the text depends on the query's shape alone. Instants are bound as integer microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rating.usage import void_conditions
from rating.usage.aggregates import parts_of
from rating.usage.query import UsageQuery, UsageRange, split
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below, position_beyond
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import SECOND


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

# A replayed row has the same append time (records) or window start (windows), hence the same partition.
_SETTINGS: Final = "SETTINGS do_not_merge_across_partitions_select_final = 1"


_TEXT_OF_CONSTANT: Final = '^"(true|false|null|(0|-?[1-9][0-9]{0,14})|-?(0|[1-9][0-9]{0,8})[.][0-9]{0,5}[1-9])"$'

_OWN_PLACES: Final = (("own_accounts", "Array(String)"), ("own_starts", "Array(Int64)"), ("own_ends", "Array(Int64)"))


def render(query: UsageQuery, by_text: bool = False) -> Rendered:
    """The SQL of ``query``. Columns: profile_id, account_id, bucket, dimension_0… (as far as grouped by),
    quantity (text), events.

    Only groups with at least one record come back. Rows are in order of their group. ``by_text``: as a price names
    values, those of one text (1 and "1"; none and "") are one group, of which all buckets stand together.
    """
    bind = Binder()
    parts = parts_of(query.profile, bind)
    branches = [_branch(query, bind, _RECORDS, parts.of_records, record_conditions(query, bind), by_text)]
    if query.plan == "windows":
        windows = _windows(query, bind)
        unfolded = [*windows, *_unfolded(query, bind)]
        branches.append(_branch(query, bind, _WINDOWS, parts.of_windows, unfolded, by_text))
        branches.append(_branch(query, bind, _FOLDS, parts.of_windows, [*windows, _FOLDED], by_text))
        voided_accounts = [
            *record_conditions(replace(query, plan="records"), bind),
            void_conditions.account_has_voids(*_voids(query, bind)),
        ]
        branches.append(_branch(query, bind, _RECORDS, parts.of_records, voided_accounts, by_text))
    keys = _keys(query)
    select = [*keys, f"toString({parts.merged}) AS quantity", "sum(events) AS events"]
    lines = [_newest_fold(query, bind)] if query.plan == "windows" else []
    lines += [f"SELECT {', '.join(select)}", "FROM (", "\nUNION ALL\n".join(branches), ")"]
    if keys:
        lines += [f"GROUP BY {', '.join(keys)}"]
    # Without this an empty group would answer 0 where there is no maximum at all.
    lines += ["HAVING events > 0"]
    if keys:
        bucket = ["bucket"] if by_text and query.buckets_us else []
        lines += [f"ORDER BY {', '.join([*(key for key in keys if key not in bucket), *bucket])}"]
    return Rendered("\n".join([*lines, _SETTINGS]), bind.parameters)


def _keys(query: UsageQuery) -> list[str]:
    """The columns that the query groups by."""
    keys = _entity_keys(query)
    if query.buckets_us or query.account_intervals or query.step_us:
        keys.append("bucket")
    return keys + [f"dimension_{number}" for number in range(len(query.dimensions))]


def _entity_keys(query: UsageQuery) -> list[str]:
    return [*(["profile_id"] if query.alike else []), *(["account_id"] if query.by_account else [])]


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
        join = (
            "\nINNER JOIN (SELECT one.1 AS own_account, one.2 AS own_start, one.3 AS own_end"
            f" FROM (SELECT arrayJoin(arrayZip({accounts}, {starts}, {ends})) AS one)) AS own"
            " ON source.account_id = own.own_account"
            f"\nWHERE toUnixTimestamp64Micro(source.{source.at}) >= own_start"
            f" AND toUnixTimestamp64Micro(source.{source.at}) < own_end"
        )
    for number, name in enumerate(query.dimensions):
        raw = f"JSONExtractRaw(dimensions, {bind(f'dimension_name_{number}', 'String', name)})"
        keys.append(f"{value_key(raw) if by_text else raw} AS dimension_{number}")
    inner = f"SELECT *, 1 AS one FROM {source.table} FINAL\n    WHERE " + "\n    AND ".join(conditions)
    select = ", ".join([*keys, f"{part} AS part", f"{source.events} AS events"])
    group = f"\nGROUP BY {', '.join(_keys(query))}" if keys else ""
    return f"SELECT {select}\nFROM (\n    {inner}\n) AS source{join}{group}\nHAVING events > 0"


def _scope(query: UsageQuery, bind: Binder) -> list[str]:
    if query.alike:
        profile = f"profile_id IN {bind('profile_ids', 'Array(String)', [query.profile.profile_id, *query.alike])}"
    else:
        profile = f"profile_id = {bind('profile_id', 'String', query.profile.profile_id)}"
    return [f"namespace = {bind('namespace', 'String', query.namespace)}", profile, *_accounts(query, bind)]


def _accounts(query: UsageQuery, bind: Binder) -> list[str]:
    if query.accounts is None:
        return []
    return [f"account_id IN {bind('accounts', 'Array(String)', list(query.accounts))}"]


def conditions_with_voided(query: UsageQuery, bind: Binder) -> list[str]:
    """Conditions on usage_records: all of the interval, also what is voided."""
    conditions = [
        *_scope(query, bind),
        f"timestamp >= {bind.instant('start', query.start_us)}",
        f"timestamp < {bind.instant('end', query.end_us)}",
    ]
    return conditions + conditions_as_of(query, bind)


def record_conditions(query: UsageQuery, bind: Binder) -> list[str]:
    """Conditions on usage_records: all of the interval that is not voided, or what the windows do not give."""
    conditions = conditions_with_voided(query, bind)
    if query.plan == "windows":
        ragged = [
            f"(profile_version IN {bind(f'versions_{size}', 'Array(UInt32)', list(versions))}"
            f" AND {_within('timestamp', f'ragged_{size}', split(query.window_edges(), size * SECOND)[1], bind)})"
            for size, versions in query.profile.versions_by_size().items()
        ]
        if query.as_of is None:
            ragged.append(_beyond(query, bind))
        conditions += ["(" + " OR ".join(ragged) + ")", void_conditions.account_has_no_voids(*_voids(query, bind))]
    else:
        if query.since is not None:
            conditions.append(f"checkpoint = 0 AND {_appended(query, query.since, bind)}")
        conditions.append(void_conditions.not_voided(*_voids(query, bind)))
    return conditions


def _appended(query: UsageQuery, cut: Cut, bind: Binder) -> str:
    """A condition on usage_records: what lies beyond the cut. Positions order usage_batches, not records, so that the
    append times of the namespace's batches beyond the cut say which few records to look at."""
    batches = f"namespace = {bind('namespace', 'String', query.namespace)} AND {position_beyond(cut.offsets, bind)}"
    first = f"(SELECT minOrNull(append_time) FROM usage_batches WHERE {batches})"
    return f"append_time >= {first} AND NOT {position_below(cut.offsets, bind, 'since')}"


def _beyond(query: UsageQuery, bind: Binder) -> str:
    """A condition on usage_records: what no window up to the cut holds."""
    cut = query.windows_as_of()
    appended = _appended(query, cut, bind)
    if not query.profile.backfilled:
        return f"({appended})"
    return f"if(checkpoint > 0, checkpoint > {bind('cut_number', 'UInt32', cut.number)}, {appended})"


def _voids(query: UsageQuery, bind: Binder) -> tuple[list[str], str]:
    """Conditions on voided_events: of the query's accounts and interval, voided below its cut."""
    scope = [
        f"namespace = {bind('namespace', 'String', query.namespace)}",
        *_accounts(query, bind),
        f"timestamp >= {bind.instant('start', query.start_us)}",
        f"timestamp < {bind.instant('end', query.end_us)}",
    ]
    return scope, "" if query.as_of is None else position_below(query.as_of.offsets, bind, prefix="void_")


def _windows(query: UsageQuery, bind: Binder) -> list[str]:
    """Conditions on usage_windows and their folds: slices up to the cut, windows that lie in one interval."""
    window_conditions = [
        f"(window_seconds = {bind(f'size_{size}', 'UInt32', size)}"
        f" AND {_within('window_start', f'whole_{size}', split(query.window_edges(), size * SECOND)[0], bind)})"
        for size in query.profile.versions_by_size()
    ]
    checkpoint = bind("checkpoint", "UInt32", query.windows_as_of().number)
    untouched = void_conditions.account_has_no_voids(*_voids(query, bind))
    conditions = [
        *_scope(query, bind),
        f"checkpoint <= {checkpoint}",
        "(" + " OR ".join(window_conditions) + ")",
        untouched,
    ]
    for number, (version, reach) in enumerate(query.profile.replaced(query.as_of)):
        conditions.append(
            f"NOT (profile_version < {bind(f'replaced_by_{number}', 'UInt32', version.version)}"
            f" AND window_start >= {bind.instant(f'replaced_from_{number}', version.start_us)}"
            f" AND checkpoint <= {bind(f'replaced_at_{number}', 'UInt32', reach.checkpoint)})"
        )
    return conditions


_FOLDED: Final = "checkpoint <= fold.2 AND epoch = fold.1"


def _newest_fold(query: UsageQuery, bind: Binder) -> str:
    """``fold``: the epoch, and the last fold up to the cut, below which the folds are read in place of the windows. A
    scalar, so that both branches have the same."""
    namespace = bind("namespace", "String", query.namespace)
    return (
        f"WITH (SELECT max((epoch, number)) FROM usage_folds WHERE namespace = {namespace}"
        f" AND number <= {bind('checkpoint', 'UInt32', query.windows_as_of().number)}"
        " AND epoch = (SELECT max(epoch) FROM usage_folds WHERE namespace = '')) AS fold"
    )


def _unfolded(query: UsageQuery, bind: Binder) -> list[str]:
    """Conditions on usage_windows: slices above the last fold, and backfills that count, which no fold has."""
    above = "checkpoint > fold.2"
    if backfills := query.profile.visible(query.as_of):
        counted = f"checkpoint IN {bind('window_backfills', 'Array(UInt32)', backfills)}"
        return [f"if(backfilled, {counted}, {above})"]
    return ["backfilled = 0", above]


def conditions_as_of(query: UsageQuery, bind: Binder) -> list[str]:
    """Conditions on usage_records: those that count as of the query's cut, by its profile's backfills."""
    backfills = query.profile.visible(query.as_of)
    conditions = [
        f"checkpoint IN {bind('backfills', 'Array(UInt32)', [0, *backfills])}" if backfills else "checkpoint = 0"
    ]
    if query.as_of is not None:
        # A backfilled record counts by its checkpoint, whatever its position.
        position = position_below(query.as_of.offsets, bind)
        conditions.append(f"(checkpoint > 0 OR {position})" if backfills else position)
    for number, (version, reach) in enumerate(query.profile.replaced(query.as_of)):
        cut = Cut(reach.checkpoint, reach.offsets, 0, 0)
        conditions.append(
            f"NOT (profile_version < {bind(f'replaced_by_{number}', 'UInt32', version.version)}"
            f" AND timestamp >= {bind.instant(f'replaced_from_{number}', version.start_us)}"
            f" AND {record_below(cut, bind, f'replaced_cut_{number}')})"
        )
    return conditions


def _within(column: str, name: str, ranges: Sequence[UsageRange], bind: Binder) -> str:
    """``column`` lies in one of the ranges; written out where they are few, so that the index can prune."""
    if not ranges:
        return "0"
    if len(ranges) <= 2:
        return (
            "("
            + " OR ".join(
                f"({column} >= {bind.instant(f'{name}_{number}_from', start)}"
                f" AND {column} < {bind.instant(f'{name}_{number}_to', end)})"
                for number, (start, end) in enumerate(ranges)
            )
            + ")"
        )
    starts = bind(f"{name}_from", "Array(Int64)", [start for start, _ in ranges])
    ends = bind(f"{name}_to", "Array(Int64)", [end for _, end in ranges])
    at = f"toUnixTimestamp64Micro({column})"
    return f"arrayExists((start, stop) -> {at} >= start AND {at} < stop, {starts}, {ends})"


def record_below(cut: Cut, bind: Binder, name: str = "cut") -> str:
    """A condition on usage_records: the record belongs to a checkpoint up to the cut, by its position or by its
    backfill."""
    number = bind(f"{name}_number", "UInt32", cut.number)
    return f"if(checkpoint > 0, checkpoint <= {number}, {position_below(cut.offsets, bind, name)})"
