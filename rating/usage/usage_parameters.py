"""What somebody asks about usage, read from text: one reader for GET /v1/usage, `weir usage` and the console. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from rating.periods import Granularity, Interval, parse_range, parse_zone, split
from rating.usage import naming
from rating.usage.measured_profile import measured
from rating.usage.query import UsageQuery
from schemas.catalog.profiles import ProfileVersion, dimension_names, resolve
from schemas.catalog.state import NamespaceView
from schemas.errors import WeirError
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import micros
from schemas.values.record_copy import replace
from schemas.values.suggestions import similar

MAX_BUCKETS: Final = 20_000
"""Pieces of time in one answer: two years of hours, and some."""
GRANULARITIES: Final[tuple[Granularity, ...]] = ("hour", "day", "week", "month", "quarter", "year")
assert {*get_args(get_args(Granularity)[0]), *get_args(get_args(Granularity)[1])} == {*GRANULARITIES}
_RESERVED: Final = (*GRANULARITIES, "account")

Parameter = Literal["from", "to", "time_zone", "group_by"]


class UsageParameterError(WeirError, ValueError):
    """A parameter that cannot be read; ``parameter`` is its name at the route, the message says what to give."""

    def __init__(self, parameter: Parameter, detail: str) -> None:
        super().__init__(detail)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class UsageParameters:
    """The parameters of GET /v1/usage as they were written. ``account_ids`` empty: all accounts; ``start``, ``end``:
    its `from` and `to`."""

    metric: str
    account_ids: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    time_zone: str | None = None
    group_by: tuple[str, ...] = ()

    def to_query(self) -> dict[str, str | list[str]]:
        """The query of the request that says the same."""
        texts = {"metric": self.metric, "from": self.start, "to": self.end, "time_zone": self.time_zone}
        lists = {"account_id": self.account_ids, "group_by": self.group_by}
        return {name: text for name, text in texts.items() if text is not None} | {
            name: list(values) for name, values in lists.items() if values
        }


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Parameters understood: ``query`` is grouped as they say, the dates are those of ``zone``."""

    query: UsageQuery
    metric: str
    account_ids: tuple[str, ...]
    zone: ZoneInfo
    group_by: tuple[str, ...]

    def as_of(self, cut: Cut | None, rolled_up: Cut | None) -> UsageQuestion:
        """The same as of a checkpoint (None: live). ``rolled_up``: the newest one whose windows are written; they are
        read where they reach far enough, whoever is asked for, so that a question costs what its windows are and not
        what its events were; records elsewhere."""
        query = replace(self.query, as_of=cut, rolled_up=rolled_up)
        reached = rolled_up is not None and (cut is None or cut.number <= rolled_up.number)
        plan: Literal["records", "windows"] = "windows" if reached else "records"
        return replace(self, query=replace(query, plan=plan))


def range_of_period(period: str) -> tuple[str | None, str | None]:
    """`from` and `to` of a period as the command line takes it: ``A..B``, or one date for all of it; "": neither."""
    start, dots, end = (part.strip() for part in period.partition(".."))
    return (start, end) if dots else (start or None, None)


def read_parameters(view: NamespaceView, parameters: UsageParameters, now: datetime) -> UsageQuestion:
    """The live query that the parameters mean. Raises UsageParameterError, and LookupError for an unknown metric.

    ``start`` alone names a whole year, quarter, month or day; with ``end``, which is not included, both are such dates
    or RFC 3339 instants; without both it is the month of ``now``. Dates are local ones in ``time_zone``, by default the
    account's where one is named, else UTC.
    """
    versions = resolve(view, parameters.metric)
    accounts = tuple(dict.fromkeys(parameters.account_ids))
    try:
        zone = parse_zone(parameters.time_zone or (view.time_zone(accounts[0]) if len(accounts) == 1 else "UTC"))
    except ValueError as error:
        raise UsageParameterError("time_zone", str(error)) from None
    interval = _interval(parameters, zone, now)
    groups = naming.groups(parameters.group_by, dimension_names(versions), _RESERVED)
    start_us, end_us = micros(interval.start), micros(interval.end)
    query = UsageQuery(
        view.namespace,
        measured(versions, start_us, end_us),
        start_us,
        end_us,
        accounts=accounts or None,
        by_account="account" in groups,
        buckets_us=_buckets(groups, interval, zone),
        dimensions=_dimensions(groups, versions),
    )
    return UsageQuestion(query, versions[-1].profile_id, accounts, zone, groups)


def _interval(parameters: UsageParameters, zone: ZoneInfo, now: datetime) -> Interval:
    start, end = parameters.start, parameters.end
    if start is None:
        if end is not None:
            raise UsageParameterError("from", "is missing; it is needed beside to")
        start = f"{now.astimezone(zone):%Y-%m}"
    try:
        return parse_range(start if end is None else f"{start}..{end}", zone)
    except ValueError as error:
        if end is None and "T" in start.upper() and ".." not in start:
            detail = "is missing; it is needed beside an instant, and is not included"
            raise UsageParameterError("to", detail) from None
        raise UsageParameterError("from", str(error)) from None


def _buckets(groups: Sequence[str], interval: Interval, zone: ZoneInfo) -> tuple[int, ...]:
    steps = [step for step in GRANULARITIES if step in groups]
    if not steps:
        return ()
    if len(steps) > 1:
        raise UsageParameterError("group_by", f"{' and '.join(steps)} cannot stand together; choose one of them")
    starts: list[int] = []
    for piece in split(interval, steps[0], zone):
        if len(starts) == MAX_BUCKETS:
            detail = f"gives more than {MAX_BUCKETS} {steps[0]}s; ask for a shorter time or longer pieces"
            raise UsageParameterError("group_by", detail)
        starts.append(micros(piece.start))
    return tuple(starts)


def _dimensions(groups: Sequence[str], versions: Sequence[ProfileVersion]) -> tuple[str, ...]:
    known = dimension_names(versions)
    names = tuple(naming.dimension_of(group) for group in groups if group not in _RESERVED)
    if len({*groups}) < len(groups) or len({*names}) < len(names):
        raise UsageParameterError("group_by", "names something twice")
    if unknown := [name for name in names if name not in known]:
        near = similar((*known, *_RESERVED), unknown[:1])
        hint = f"did you mean {near[0]}? " if near else ""
        options = ", ".join([*_RESERVED, *naming.columns(known, _RESERVED)])
        detail = f"{unknown[0][:64]!r} is no dimension of {versions[-1].profile_id}; {hint}choose of {options}"
        raise UsageParameterError("group_by", detail)
    return names
