"""From the parameters of GET /v1/usage to a usage query: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, get_args
from zoneinfo import ZoneInfo

from rating.api.problems import Problem, missing, wrong
from rating.periods import Granularity, Interval, parse_range, parse_zone, split
from rating.usage import UsageQuery, measured, naming
from schemas.catalog.profiles import ProfileVersion, dimension_names, resolve
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import micros

MAX_BUCKETS: Final = 1000
_GRANULARITIES: Final[tuple[Granularity, ...]] = ("hour", "day", "week", "month", "quarter", "year")
assert {*get_args(get_args(Granularity)[0]), *get_args(get_args(Granularity)[1])} == {*_GRANULARITIES}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about usage, understood. ``query`` is grouped as asked; ``total`` is the same without groups."""

    query: UsageQuery
    metric: str
    account_id: str | None
    zone: ZoneInfo
    group_by: tuple[str, ...]

    @property
    def total(self) -> UsageQuery:
        """One number for the whole of it."""
        return replace(self.query, by_account=False, buckets_us=(), dimensions=())


def ask(
    view: NamespaceView,
    metric: str,
    account_id: str | None,
    start: str,
    end: str | None,
    time_zone: str | None,
    group_by: Sequence[str],
) -> Asked:
    """The live query over records that the parameters mean. Raises Problem, which names the parameter.

    ``start`` alone names a whole year, quarter, month or day; with ``end``, which is not included, both are such dates
    or RFC 3339 instants. Dates are local ones in ``time_zone``, by default the account's, for all accounts UTC.
    """
    try:
        versions = resolve(view, metric)
    except LookupError as error:
        raise missing(str(error.args[0])) from None
    try:
        zone = parse_zone(time_zone or (view.time_zone(account_id) if account_id is not None else "UTC"))
    except ValueError as error:
        raise wrong("time_zone", str(error)) from None
    interval = _interval(start, end, zone)
    groups = naming.groups(group_by, dimension_names(versions), (*_GRANULARITIES, "account"))
    start_us, end_us = micros(interval.start), micros(interval.end)
    query = UsageQuery(
        view.namespace,
        measured(versions, start_us, end_us),
        start_us,
        end_us,
        accounts=None if account_id is None else (account_id,),
        by_account="account" in groups,
        buckets_us=_buckets(groups, interval, zone),
        dimensions=_dimensions(groups, versions),
    )
    return Asked(query, versions[-1].profile_id, account_id, zone, groups)


def planned(asked: Asked, as_of: Cut | None, rolled_up: Cut | None) -> Asked:
    """The same as of a checkpoint (None: live), from windows where all accounts are read and windows are there."""
    query = replace(asked.query, as_of=as_of, rolled_up=rolled_up)
    rolled = rolled_up is not None and (as_of is None or as_of.number <= rolled_up.number)
    return replace(asked, query=replace(query, plan="windows" if query.accounts is None and rolled else "records"))


def _interval(start: str, end: str | None, zone: ZoneInfo) -> Interval:
    try:
        return parse_range(start if end is None else f"{start}..{end}", zone)
    except ValueError as error:
        if end is None and "T" in start:
            raise wrong("to", "is missing; it is needed beside an instant, and is not included") from None
        raise wrong("from", str(error)) from None


def _buckets(groups: Sequence[str], interval: Interval, zone: ZoneInfo) -> tuple[int, ...]:
    found = [name for name in _GRANULARITIES if name in groups]
    if not found:
        return ()
    if len(found) > 1:
        raise wrong("group_by", f"{' and '.join(found)} cannot stand together; choose one of them")
    starts: list[int] = []
    for piece in split(interval, found[0], zone):
        if len(starts) == MAX_BUCKETS:
            raise wrong(
                "group_by", f"gives more than {MAX_BUCKETS} {found[0]}s; ask for a shorter time or longer pieces"
            )
        starts.append(micros(piece.start))
    return tuple(starts)


def _dimensions(groups: Sequence[str], versions: Sequence[ProfileVersion]) -> tuple[str, ...]:
    known = dimension_names(versions)
    names = tuple(naming.dimension_of(name) for name in groups if name not in _GRANULARITIES and name != "account")
    if len({*groups}) < len(groups) or len({*names}) < len(names):
        raise wrong("group_by", "names something twice")
    if unknown := [name for name in names if name not in known]:
        options = ", ".join([*_GRANULARITIES, "account", *naming.columns(known, (*_GRANULARITIES, "account"))])
        raise wrong(
            "group_by", f"{unknown[0][:64]!r} is no dimension of {versions[-1].profile_id}; choose of {options}"
        )
    return names


def require(value: datetime | None, fallback: datetime) -> datetime:
    """An aware instant, or the fallback. Raises Problem for a naive one."""
    if value is not None and value.tzinfo is None:
        raise wrong("at", "has no UTC offset; append Z or +hh:mm")
    return value or fallback


__all__ = ["MAX_BUCKETS", "Asked", "Problem", "ask", "planned", "require"]
