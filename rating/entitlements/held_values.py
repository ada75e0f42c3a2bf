"""The usage of one account as it is held in memory, and how what was appended is put to it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial, reduce
from typing import Final, TypeAlias

import msgspec

from rating.entitlements.limit_intervals import LAST_US
from rating.entitlements.merging import ADDING, merged, merges, together
from rating.entitlements.questions import Asked, RollingNeed
from rating.pricing.exact import exactly
from rating.usage import Usage, UsageGroup
from schemas.catalog.meters import Aggregation
from schemas.values.instants import SECOND

STEP_US: Final = SECOND
"""The steps of event time in which what was appended is told: those of rolling windows are multiples of it."""
_NEVER: Final = -1
_ZERO: Final = Decimal(0)


Appended: TypeAlias = tuple[str, str, int, str | None, int]
"""Usage of a profile and account that was appended, of one step of event time: profile, account, start of the step
(microseconds UTC), quantity as a decimal's text (None: something, of an aggregation that does not add up), events. As
ClickHouse answers it: thousands come each second, and few of them are looked at before more has come."""
Place: TypeAlias = tuple[str, str]
"""A profile and an account."""
Row: TypeAlias = tuple[int, int, str, int]
"""Of what was appended to a place: the number of the cut by which it was, start of the step, quantity, events."""


class Held(msgspec.Struct, frozen=True, gc=False):  # no part of it refers back to it, so that counting frees it
    """One account's usage: ``groups`` of a Need, or ``total`` in place of one group; of a RollingNeed ``steps`` (start
    → usage), all from ``from_us`` on, and ``total`` of the window from ``total_from_us`` on, None where it has none.
    ``asked_us``: when it was last measured as a whole. ``rows``: how many of its place's rows (``PlaceRows``) are in
    it."""

    groups: tuple[UsageGroup, ...] = ()
    steps: Mapping[int, Usage] = {}
    from_us: int = 0
    asked_us: int = 0
    total: Usage | None = None
    total_from_us: int = _NEVER
    rows: int = 0

    @property
    def weight(self) -> int:
        """About the room that it takes, in KiB."""
        return 1 + (len(self.groups) + len(self.steps)) // 3

    @property
    def of_interval(self) -> tuple[UsageGroup, ...]:
        """The groups of a Need."""
        return self.groups if self.total is None else (UsageGroup(self.total),)

    def agrees(self, measured: Held) -> bool:
        """Whether it is the same as what was measured as a whole as of the same cut, over the time that both have."""
        from_us = max(self.from_us, measured.from_us)
        own, others = (
            {step: usage for step, usage in held.steps.items() if step >= from_us} for held in (self, measured)
        )
        if self.steps or measured.steps:
            return own == others
        usages = ([(group.dimensions, group.usage) for group in held.of_interval] for held in (self, measured))
        return next(usages) == next(usages)

    def in_window(self, need: RollingNeed, now_us: int) -> Held | None:
        """The same, with the total of the window at ``now_us``; None where not all of that is held."""
        start_us, end_us = need.window(now_us)
        if start_us < self.from_us and now_us < self.asked_us:  # the clock was set back
            start_us, end_us = need.window(self.asked_us)
        if start_us == self.total_from_us:
            return self
        if start_us < self.from_us:
            return None
        inside = [usage for step, usage in self.steps.items() if start_us <= step < end_us]
        total = merged(need.profile.aggregation, inside) if inside else None
        return Held(self.groups, self.steps, self.from_us, self.asked_us, total, start_us, self.rows)


def torn_steps(need: Asked) -> tuple[int, ...] | None:
    """The steps in which the interval of a Need begins or ends, so that their usage says nothing of it; None: what was
    appended can never be put to what is held of it."""
    if not merges(need.profile):
        return None
    if isinstance(need, RollingNeed):
        return ()
    if need.dimensions:
        return None
    return tuple(edge // STEP_US * STEP_US for edge in (need.start_us, need.end_us) if edge % STEP_US)


def brought_forward(need: Asked, held: Held, appended: Collection[Row], rows: int, now_us: int) -> Held:
    """What is held with what was appended put to it, no step of which is torn; ``rows``: how many are in it then.
    Raises decimal.InvalidOperation where a quantity is none."""
    with exactly():
        if isinstance(need, RollingNeed):
            return _with_steps(need, held, appended, rows, now_us)
        total = held.total if held.total is not None else held.groups[0].usage if held.groups else None
        inside = [row for row in appended if need.start_us <= row[1] < need.end_us]
        if inside:
            total = _with_rows(need.profile.aggregation, total, inside)
        return Held((), {}, 0, held.asked_us, total, _NEVER, rows)


def _with_steps(need: RollingNeed, held: Held, appended: Collection[Row], rows: int, now_us: int) -> Held:
    aggregation, from_us, steps = need.profile.aggregation, held.from_us, dict(held.steps)
    total, total_from_us = held.total, held.total_from_us
    total_end_us = total_from_us + need.window_us + (0 if need.resets else need.step_us)
    by_step: dict[int, list[Row]] = {}
    for row in appended:
        by_step.setdefault(row[1] // need.step_us * need.step_us, []).append(row)
    for start_us, of_step in by_step.items():
        if start_us < from_us:
            continue
        steps[start_us] = _with_rows(aggregation, steps.get(start_us), of_step)
        if total_from_us <= start_us < total_end_us:
            total = _with_rows(aggregation, total, of_step)
    if len(steps) > 2 * (need.window_us // need.step_us):  # what no later window has is left out
        from_us = max(from_us, rolling_from(need, now_us)[0])
        steps = {step: usage for step, usage in steps.items() if step >= from_us}
    if total_from_us < from_us:
        total, total_from_us = None, _NEVER
    return Held(held.groups, steps, from_us, held.asked_us, total, total_from_us, rows)


def _with_rows(aggregation: Aggregation, usage: Usage | None, rows: Sequence[Row]) -> Usage:
    """Some usage, or none, and that of a row or more. Within ``exactly``."""
    if len(rows) > 1 and aggregation in ADDING:
        appended = Usage(sum((Decimal(row[2]) for row in rows), _ZERO), sum(row[3] for row in rows))
    else:
        appended = reduce(partial(together, aggregation), [Usage(Decimal(row[2]), row[3]) for row in rows])
    return appended if usage is None else together(aggregation, usage, appended)


def rolling_from(need: RollingNeed, now_us: int) -> tuple[int, int]:
    """The time over which the steps of a rolling window are measured: all that this window, and those after it, can
    have, and the one before, for checks that began then."""
    return need.window(now_us)[0] - (need.window_us if need.resets else need.step_us), LAST_US
