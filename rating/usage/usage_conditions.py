"""Which rows of records, windows and folds a usage query is about, as conditions of SQL. Every value is bound."""

from __future__ import annotations

from collections.abc import Sequence

from rating.usage import void_conditions
from rating.usage.beside_windows import BesideWindows, FoldEnd
from rating.usage.query import UsageQuery, UsageRange, split
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below, position_beyond
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import SECOND


def _scope(query: UsageQuery, bind: Binder) -> list[str]:
    if query.together:
        ids = [profile.profile_id for profile in (query.profile, *query.together)]
        profile = f"profile_id IN {bind('profile_ids', 'Array(String)', ids)}"
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
    """Conditions on usage_records: all of the interval that is not voided."""
    conditions = conditions_with_voided(query, bind)
    if query.since is not None:
        conditions.append(f"checkpoint = 0 AND {_appended(query, query.since, bind)}")
    return [*conditions, void_conditions.not_voided(*voids_of(query, bind))]


def unrolled_conditions(query: UsageQuery, bind: Binder, beside: BesideWindows) -> list[str]:
    """Conditions on usage_records: what the windows do not give of accounts without voided events. None where windows
    give all."""
    unrolled = [
        f"(profile_version IN {bind(f'versions_{size}', 'Array(UInt32)', list(versions))}"
        f" AND {_within('timestamp', f'ragged_{size}', ragged, bind)})"
        for size, versions in query.profile.versions_by_size().items()
        if (ragged := split(query.window_edges(), size * SECOND)[1])
    ]
    if query.as_of is None and (beside.appended or query.profile.backfilled):
        unrolled.append(_beyond(query, bind, beside))
    if not unrolled:
        return []
    return [*conditions_with_voided(query, bind), "(" + " OR ".join(unrolled) + ")", *_untouched(query, bind, beside)]


def _appended(query: UsageQuery, cut: Cut, bind: Binder, first_us: int | None = None) -> str:
    """A condition on usage_records: what lies beyond the cut. Positions order usage_batches, not records, so that the
    append times of the namespace's batches beyond the cut say which few records to look at; ``first_us``: the first of
    these, where it is known."""
    if first_us is None:
        first = f"(SELECT minOrNull(append_time) FROM usage_batches WHERE {batches_beyond(query, cut, bind)})"
    else:
        first = bind.instant("appended_from", first_us)
    return f"append_time >= {first} AND NOT {position_below(cut.offsets, bind, 'since')}"


def batches_beyond(query: UsageQuery, cut: Cut, bind: Binder) -> str:
    """A condition on usage_batches: those of the namespace beyond the cut."""
    return f"namespace = {bind('namespace', 'String', query.namespace)} AND {position_beyond(cut.offsets, bind)}"


def _beyond(query: UsageQuery, bind: Binder, beside: BesideWindows) -> str:
    """A condition on usage_records: what no window up to the cut holds."""
    cut = query.windows_as_of()
    appended = _appended(query, cut, bind, beside.appended_us) if beside.appended else "false"
    if not query.profile.backfilled:
        return f"({appended})"
    return f"if(checkpoint > 0, checkpoint > {bind('cut_number', 'UInt32', cut.number)}, {appended})"


def _untouched(query: UsageQuery, bind: Binder, beside: BesideWindows) -> list[str]:
    """A condition on records and windows, where one is needed: no event of the account is voided."""
    return [void_conditions.account_has_no_voids(*voids_of(query, bind))] if beside.voids else []


def voids_of(query: UsageQuery, bind: Binder) -> tuple[list[str], str]:
    """Conditions on voided_events: of the query's accounts and interval, voided below its cut."""
    scope = [
        f"namespace = {bind('namespace', 'String', query.namespace)}",
        *_accounts(query, bind),
        f"timestamp >= {bind.instant('start', query.start_us)}",
        f"timestamp < {bind.instant('end', query.end_us)}",
    ]
    return scope, "" if query.as_of is None else position_below(query.as_of.offsets, bind, prefix="void_")


def window_conditions(query: UsageQuery, bind: Binder, beside: BesideWindows) -> list[str]:
    """Conditions on usage_windows and their folds: slices up to the cut, windows that lie in one interval."""
    window_conditions = [
        f"(window_seconds = {bind(f'size_{size}', 'UInt32', size)}"
        f" AND {_within('window_start', f'whole_{size}', split(query.window_edges(), size * SECOND)[0], bind)})"
        for size in query.profile.versions_by_size()
    ]
    checkpoint = bind("checkpoint", "UInt32", query.windows_as_of().number)
    conditions = [
        *_scope(query, bind),
        f"checkpoint <= {checkpoint}",
        "(" + " OR ".join(window_conditions) + ")",
        *_untouched(query, bind, beside),
    ]
    for number, (version, reach) in enumerate(query.profile.replaced(query.as_of)):
        conditions.append(
            f"NOT (profile_version < {bind(f'replaced_by_{number}', 'UInt32', version.version)}"
            f" AND window_start >= {bind.instant(f'replaced_from_{number}', version.start_us)}"
            f" AND checkpoint <= {bind(f'replaced_at_{number}', 'UInt32', reach.checkpoint)})"
        )
    return conditions


def newest_fold(query: UsageQuery, bind: Binder) -> str:
    """The epoch, and the last fold up to the cut, as a SELECT of one tuple."""
    namespace = bind("namespace", "String", query.namespace)
    return (
        f"SELECT max((epoch, number)) FROM usage_folds WHERE namespace = {namespace}"
        f" AND number <= {bind('checkpoint', 'UInt32', query.windows_as_of().number)}"
        " AND epoch = (SELECT max(epoch) FROM usage_folds WHERE namespace = '')"
    )


def folded_conditions(bind: Binder, fold: FoldEnd | None) -> list[str]:
    """Conditions on usage_window_folds: those up to the fold; none where nothing is folded. A fold that is not known is
    ``fold`` of the statement, a scalar, so that windows and folds have the same."""
    if fold is None:
        return ["checkpoint <= fold.2 AND epoch = fold.1"]
    if not fold.number:
        return []
    return [
        f"checkpoint <= {bind('fold', 'UInt32', fold.number)} AND epoch = {bind('fold_epoch', 'UInt32', fold.epoch)}"
    ]


def unfolded_conditions(query: UsageQuery, bind: Binder, fold: FoldEnd | None) -> list[str]:
    """Conditions on usage_windows: slices above the last fold, and backfills that count, which no fold has; none where
    the fold has all."""
    backfills = query.profile.visible(query.as_of)
    if fold is not None and fold.number == query.windows_as_of().number and not backfills:
        return []
    above = f"checkpoint > {'fold.2' if fold is None else bind('fold', 'UInt32', fold.number)}"
    if backfills:
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
