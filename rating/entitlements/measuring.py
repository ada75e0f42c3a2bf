"""Measures for entitlements, all by the usage query: what an account used as of a cut, and what was appended between
two. Blocking, with a ClickHouse client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.held_values import STEP_US, Appended, Held, rolling_from
from rating.entitlements.limit_intervals import FIRST_US, LAST_US
from rating.entitlements.merging import merges
from rating.entitlements.questions import Asked, RollingNeed
from rating.invoicing.measure import MAX_NAMED_BYTES, measure
from rating.invoicing.need import Need
from rating.usage import Measured, Usage, UsageQuery, usage_of_steps, usage_totals
from schemas.catalog.meters import Aggregation
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below, position_beyond
from schemas.clickhouse.replays import REPLAYS
from schemas.ledgers.checkpoints import Cut
from schemas.ledgers.generations import Offsets

AskedT = TypeVar("AskedT", Need, RollingNeed)

_ANY_CHECKPOINT: Final = 2**31
"""As of a cut that is no checkpoint, all backfills count that the catalog knows, as live."""
_PROFILES: Final = 500
_ACCOUNTS: Final = 200


@dataclass(frozen=True, slots=True)
class LogState:
    """How far ClickHouse has the log: all rows below ``offsets`` are durable. ``repairs``: grows where rows below them
    were written again (``usage_folds``: epochs, and replays of what no checkpoint has yet)."""

    offsets: Offsets
    repairs: int


def log_state(client: Any) -> LogState:
    """The present one, by one statement: it is asked for several times a second."""
    [[repairs, progress]] = client.query(
        f"SELECT (SELECT maxIf(epoch, namespace = '') + maxIf(number, namespace = '{REPLAYS}')"
        f" FROM usage_folds WHERE namespace IN ('', '{REPLAYS}')) AS repairs,"
        " (SELECT groupArray((generation, partition, next)) FROM"
        " (SELECT generation, partition, max(next_offset) AS next FROM usage_progress GROUP BY generation, partition))"
    ).result_rows
    return LogState({(int(row[0]), int(row[1])): int(row[2]) for row in progress}, int(repairs))


def cut_at(offsets: Offsets) -> Cut:
    """A cut for usage queries at offsets that belong to no checkpoint."""
    return Cut(_ANY_CHECKPOINT, offsets, 0, 0)


def whole(client: Any, namespace: str, keys: Iterable[UsageKey], as_of: MeasuredAsOf) -> dict[UsageKey, Held]:
    """What is asked for, measured as a whole as of ``as_of``."""
    by_asked: dict[Asked, list[str]] = defaultdict(list)
    for account_id, measured_need in sorted(keys, key=lambda key: key[0]):  # neighbours are stored together
        by_asked[measured_need].append(account_id)
    measured_keys: dict[UsageKey, Held] = {}
    needs = {measured_need: accounts for measured_need, accounts in by_asked.items() if isinstance(measured_need, Need)}
    for lot in _lots(needs):
        totals = measure(client, namespace, lot, cut_at(as_of.offsets), _silent, windows=False)
        for need, named in lot.items():
            for account_id in named:
                rows = totals[need].get(account_id, ())
                measured_keys[account_id, need] = Held(tuple(rows), asked_us=as_of.now_us)
    for measured_need, accounts in by_asked.items():
        if isinstance(measured_need, RollingNeed):
            for rolling_lot in _lots({measured_need: accounts}):
                measured_keys |= _rolling(client, namespace, measured_need, rolling_lot[measured_need], as_of)
    return measured_keys


def _rolling(
    client: Any, namespace: str, need: RollingNeed, accounts: Collection[str], as_of: MeasuredAsOf
) -> dict[UsageKey, Held]:
    start_us, end_us = rolling_from(need, as_of.now_us)
    query = UsageQuery(
        namespace, need.profile, max(start_us, FIRST_US), end_us, tuple(accounts), by_account=True,
        as_of=cut_at(as_of.offsets), step_us=need.step_us,
    )  # fmt: skip
    steps: dict[str, dict[int, Usage]] = {account_id: {} for account_id in accounts}
    for row in usage_totals(client, query):
        steps[row.account_id or ""][row.bucket_us or 0] = row.usage
    return {
        (account_id, need): Held((), of_account, start_us, as_of.now_us) for account_id, of_account in steps.items()
    }


def _lots(needs: Mapping[AskedT, list[str]]) -> Iterator[dict[AskedT, set[str]]]:
    """What is asked for, with few enough accounts that their names fit into queries of these accounts alone."""
    lot: dict[AskedT, set[str]] = {}
    named: set[str] = set()
    size = 0
    for need, accounts in needs.items():
        for account_id in accounts:
            length = 0 if account_id in named else len(account_id.encode()) + 4
            if lot and (size + length > MAX_NAMED_BYTES // 2 or len(named) >= _ACCOUNTS):
                yield lot
                lot, named, size, length = {}, set(), 0, len(account_id.encode()) + 4
            lot.setdefault(need, set()).add(account_id)
            named.add(account_id)
            size += length
    if lot:
        yield lot


def appended(
    client: Any,
    namespace: str,
    profiles: Mapping[str, Collection[Measured]],
    since: Offsets,
    until: Offsets,
    accounts: Mapping[str, Collection[str]],
) -> list[Appended]:
    """What was appended to profiles between two cuts, by account and step of event time, or only that something was:
    where it does not add up, and where a profile is held in several ways. ``profiles``: id → how it is held;
    ``accounts``: id → of whom: where these are few, what others used is not read."""
    of_aggregation: dict[tuple[Aggregation | None, bool], list[str]] = defaultdict(list)
    for profile_id, versions in profiles.items():
        aggregations = {measured.aggregation for measured in versions}
        adds_up = len(aggregations) == 1 and all(merges(measured) for measured in versions)
        few = len(accounts[profile_id]) <= _ACCOUNTS
        of_aggregation[aggregations.pop() if adds_up else None, few].append(profile_id)
    rows: list[Appended] = []
    for (aggregation, few), names in of_aggregation.items():
        names.sort()
        for lot in (names[start : start + _PROFILES] for start in range(0, len(names), _PROFILES)):
            measured, *together = (Measured(name, aggregation or "count", ()) for name in lot)
            named = _named(accounts[name] for name in lot) if few else None
            query = UsageQuery(
                namespace, measured, FIRST_US, LAST_US, named, by_account=True, as_of=cut_at(until),
                since=cut_at(since), together=tuple(together), step_us=STEP_US if aggregation else 0,
            )  # fmt: skip
            if aggregation is not None:
                rows += usage_of_steps(client, query)
            else:  # only that there is something matters: its records are counted
                groups = usage_totals(client, query)
                rows += ((row.profile_id or lot[0], row.account_id or "", 0, None, 0) for row in groups)
    return rows


def _named(of_profiles: Iterable[Collection[str]]) -> tuple[str, ...] | None:
    """The accounts, in order, where they are few enough to be named in a query; None: it is about all."""
    names: set[str] = set()
    for of_profile in of_profiles:
        names |= set(of_profile)
        if len(names) > _ACCOUNTS:
            return None
    short = sum(len(name.encode()) + 4 for name in names) <= MAX_NAMED_BYTES // 2
    return tuple(sorted(names)) if short else None


def voided_between(client: Any, namespace: str, since: Offsets, until: Offsets) -> set[str]:
    """The accounts of which an event was voided between two cuts. Positions order the voids, so that this costs what
    was appended."""
    bind = Binder()
    scope = f"namespace = {bind('namespace', 'String', namespace)}"
    beyond = f"{scope} AND {position_beyond(since, bind)} AND {position_below(until, bind, 'until')}"
    if not client.query(f"SELECT count() FROM usage_voids WHERE {beyond}", parameters=bind.parameters).result_rows[0][
        0
    ]:
        return set()
    bind = Binder()
    scope = f"namespace = {bind('namespace', 'String', namespace)}"
    below = position_below(since, bind, "since", "void_")
    rows = client.query(
        f"SELECT DISTINCT account_id FROM voided_events WHERE {scope} AND NOT {below}", parameters=bind.parameters
    ).result_rows
    return {str(row[0]) for row in rows}


def _silent(_stage: str, _done: int, _of: int) -> None:
    """``measure`` tells its progress to nobody."""
