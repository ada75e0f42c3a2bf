"""A usage query and its results as plain values: no SQL and no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from rating.usage.measured_profile import Measured
from schemas.catalog.meters import ZERO_WITHOUT_USAGE, Aggregation
from schemas.ledgers.checkpoints import Cut

QueryPlan = Literal["records", "windows"]
UsageRange = tuple[int, int]
"""Half-open, microseconds UTC."""
AccountInterval = tuple[str, int, int]
"""An account and an interval of its own: half-open, microseconds UTC."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """The total of one profile over [start_us, end_us), by event time.

    ``accounts``: None for all. ``buckets_us``: starts of ascending time buckets, the first at ``start_us``, each up to
    the next; empty for no grouping by time. ``dimensions``: names to group by. ``as_of``: only what lies below this
    cut; None: live. ``rolled_up``: the newest cut whose slices are all in windows; plan "windows" needs it, and at
    least ``as_of``. Both plans give the same number: records are the truth, windows a roll-up of them.

    ``account_intervals``: intervals of single accounts, in place of one for all, within which they lie; answered by
    account and by start of the interval, as a bucket is. Made by ``of_account_intervals``.

    ``together``: further profiles, each measured by its own aggregation, from records, and answered by profile.

    ``most_rows``: ClickHouse refuses to read more rows than that (``TOO_MANY_ROWS``), before it reads any; 0: it reads
    as many as there are.

    ``top``: only so many groups, those of the greatest quantities first; 0: all. Its total is of all.

    ``step_us``: groups by steps of so many microseconds since 1970, and names each by its start, as buckets are.
    ``since``: leaves out what lies below these offsets, for what was appended between them and ``as_of``. Both are for
    the plan records.
    """

    namespace: str
    profile: Measured
    start_us: int
    end_us: int
    accounts: tuple[str, ...] | None = None
    by_account: bool = False
    buckets_us: tuple[int, ...] = ()
    dimensions: tuple[str, ...] = ()
    as_of: Cut | None = None
    rolled_up: Cut | None = None
    plan: QueryPlan = "records"
    account_intervals: tuple[AccountInterval, ...] = ()
    together: tuple[Measured, ...] = ()
    step_us: int = 0
    since: Cut | None = None
    top: int = 0
    most_rows: int = 0

    def __post_init__(self) -> None:
        if self.start_us >= self.end_us:
            raise ValueError("an empty interval: start must be before end")
        profile = self.profile
        if (self.step_us or self.since is not None) and (
            self.plan != "records" or self.buckets_us or self.account_intervals or profile.carry_over
        ):
            raise ValueError("step_us and since are for the plan records, without buckets, own intervals or carry_over")
        if self.top and (profile.carry_over or not (self.by_account or self.dimensions)):
            raise ValueError("top is for groups by account or dimensions, without carry_over")
        if self.together and (
            self.plan != "records"
            or any(
                measured.carry_over or measured.backfilled or measured.keyed for measured in (profile, *self.together)
            )
        ):
            raise ValueError("profiles are together from records, without carry_over, backfills and versions of latest")
        if self.account_intervals and (
            self.plan != "records" or self.buckets_us or not self.by_account or self.profile.carry_over
        ):
            raise ValueError(
                "intervals of single accounts are for the plan records, by account, without buckets or carry_over"
            )
        ascending = all(earlier < later for earlier, later in zip(self.buckets_us, self.buckets_us[1:], strict=False))
        if self.buckets_us and not (
            ascending and self.buckets_us[0] == self.start_us and self.buckets_us[-1] < self.end_us
        ):
            raise ValueError("buckets_us must begin at start_us, ascend, and end before end_us")
        if self.plan == "windows":
            if self.rolled_up is None:
                raise ValueError("plan windows needs rolled_up, the newest cut that is in windows")
            if self.as_of is not None and self.as_of.number > self.rolled_up.number:
                raise ValueError(f"checkpoint {self.as_of.number} is not rolled up; {self.rolled_up.number} is")

    @property
    def apart(self) -> bool:
        """Whether no two of ``account_intervals`` of an account have an instant in common."""
        in_order = sorted(self.account_intervals)
        return all(earlier[0] != later[0] or earlier[2] <= later[1] for earlier, later in pairwise(in_order))

    def intervals(self) -> tuple[UsageRange, ...]:
        """The buckets as ranges, or the whole interval as the only one."""
        starts = self.buckets_us or (self.start_us,)
        return tuple(zip(starts, (*starts[1:], self.end_us), strict=True))

    def window_edges(self) -> tuple[UsageRange, ...]:
        """``intervals``, split where a version begins to replace those before it: windows across that instant are not
        whole."""
        edges = {version.start_us for version, _ in self.profile.replaced(self.as_of)}
        ranges: list[UsageRange] = []
        for start, end in self.intervals():
            points = [start, *sorted(edge for edge in edges if start < edge < end), end]
            ranges += pairwise(points)
        return tuple(ranges)

    def windows_as_of(self) -> Cut:
        """The cut whose windows the plan "windows" reads."""
        cut = self.as_of or self.rolled_up
        assert cut is not None, "__post_init__ refused this"
        return cut


def of_account_intervals(
    namespace: str,
    profile: Measured,
    intervals: Iterable[AccountInterval],
    dimensions: tuple[str, ...],
    as_of: Cut | None,
) -> UsageQuery:
    """The totals of many accounts, each over its own intervals, of which no two of an account start at once."""
    own_intervals = tuple(intervals)
    names = tuple(sorted({account for account, _, _ in own_intervals}))
    start, end = min(interval[1] for interval in own_intervals), max(interval[2] for interval in own_intervals)
    return UsageQuery(
        namespace,
        profile,
        start,
        end,
        accounts=names,
        by_account=True,
        dimensions=dimensions,
        as_of=as_of,
        account_intervals=own_intervals,
    )


class Usage(Struct, frozen=True, gc=False):  # made by the thousand, and part of no cycle
    """``quantity`` without usage: 0 for sums and counts, None for max, min and latest. ``events``: records behind
    it."""

    quantity: Decimal | None
    events: int


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """Usage of one group; what the query does not group by is None, or () for dimensions.

    A dimension's value is its text (numbers and booleans as JSON writes them); None where the event had none.
    ``others``: how many combinations of values the group is the sum of, without dimensions then; ``below_zero``: the
    sum of those of them that are negative. ``profile_id``: where the query is of several profiles. ``json_values``: the
    values as JSON, by which 1 and "1" are two groups of one text.
    """

    usage: Usage
    account_id: str | None = None
    bucket_us: int | None = None
    dimensions: tuple[str | None, ...] = ()
    others: int = 0
    below_zero: Decimal = Decimal(0)
    profile_id: str | None = None
    json_values: tuple[str, ...] = field(default=(), compare=False)


def no_usage(aggregation: Aggregation) -> Usage:
    """The usage of an account without events: 0 for sums and counts, no quantity for max, min and latest."""
    return Usage(Decimal(0) if aggregation in ZERO_WITHOUT_USAGE else None, 0)


def split(intervals: Iterable[UsageRange], size_us: int) -> tuple[tuple[UsageRange, ...], tuple[UsageRange, ...]]:
    """(covered by whole windows of ``size_us``, ragged rest) of adjoining ascending intervals.

    Windows start at multiples of the size since the epoch; one that crosses an interval's edge is not whole. Ranges
    that touch are joined: where two covered ones do, their common edge is an edge of windows too.
    """
    covered: list[UsageRange] = []
    ragged: list[UsageRange] = []
    for start, end in intervals:
        first_edge, last_edge = -(-start // size_us) * size_us, end // size_us * size_us
        if first_edge >= last_edge:
            _join(ragged, (start, end))
            continue
        _join(ragged, (start, first_edge))
        _join(covered, (first_edge, last_edge))
        _join(ragged, (last_edge, end))
    return tuple(covered), tuple(ragged)


def _join(ranges: list[UsageRange], new: UsageRange) -> None:
    """Append ``new`` unless it is empty, joined to the last range where it begins at its end."""
    if new[0] >= new[1]:
        return
    if ranges and ranges[-1][1] == new[0]:
        ranges[-1] = (ranges[-1][0], new[1])
    else:
        ranges.append(new)
