"""The usage of one account as it is held in memory, and how what was appended is put to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from rating.entitlements.limit_intervals import LAST_US
from rating.entitlements.merging import merged, merges, together
from rating.entitlements.questions import Asked, RollingNeed
from rating.usage import Usage, UsageGroup
from schemas.values.instants import SECOND

STEP_US: Final = SECOND
"""The steps of event time in which what was appended is told: those of rolling windows are multiples of it."""
_NEVER: Final = -1


class Appended(NamedTuple):
    """Usage of a profile and account that was appended: of one step of event time. ``usage`` None: something, of an
    aggregation that does not add up."""

    profile_id: str
    account_id: str
    step_us: int
    usage: Usage | None


class Held(msgspec.Struct, frozen=True, gc=False):  # no part of it refers back to it, so that counting frees it
    """One account's usage: ``groups`` of a Need, or ``total`` in place of one group; of a RollingNeed ``steps`` (start
    → usage), all from ``from_us`` on, and ``total`` of the window from ``total_from_us`` on, None where it has none.
    ``asked_us``: when it was last measured as a whole."""

    groups: tuple[UsageGroup, ...] = ()
    steps: Mapping[int, Usage] = {}
    from_us: int = 0
    asked_us: int = 0
    total: Usage | None = None
    total_from_us: int = _NEVER

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
        return Held(self.groups, self.steps, self.from_us, self.asked_us, total, start_us)


def brought_forward(need: Asked, held: Held, step_us: int, usage: Usage, now_us: int) -> Held | None:
    """What is held with the usage of a step put to it; the same object where that lies outside; None where it cannot
    be put together. Within ``exactly``."""
    if not merges(need.profile):
        return None
    if isinstance(need, RollingNeed):
        return _with_step(need, held, step_us // need.step_us * need.step_us, usage, now_us)
    if need.dimensions:
        return None
    if need.start_us <= step_us and step_us + STEP_US <= need.end_us:
        before = held.total if held.total is not None else held.groups[0].usage if held.groups else None
        total = usage if before is None else together(need.profile.aggregation, before, usage)
        return Held((), {}, 0, held.asked_us, total)
    apart = step_us + STEP_US <= need.start_us or need.end_us <= step_us
    return held if apart else None  # an interval that begins or ends within the step


def _with_step(need: RollingNeed, held: Held, start_us: int, usage: Usage, now_us: int) -> Held:
    if start_us < held.from_us:
        return held
    aggregation, before = need.profile.aggregation, held.steps.get(start_us)
    steps = {**held.steps, start_us: usage if before is None else together(aggregation, before, usage)}
    from_us = held.from_us
    if len(steps) > 2 * (need.window_us // need.step_us):  # what no later window has is left out
        from_us = max(from_us, rolling_from(need, now_us)[0])
        steps = {step: of_step for step, of_step in steps.items() if step >= from_us}
    total, total_from_us = held.total, held.total_from_us
    if total_from_us < from_us:
        total_from_us = _NEVER
    elif total_from_us <= start_us < total_from_us + need.window_us + (0 if need.resets else need.step_us):
        total = usage if total is None else together(aggregation, total, usage)
    return Held(held.groups, steps, from_us, held.asked_us, total, total_from_us)


def rolling_from(need: RollingNeed, now_us: int) -> tuple[int, int]:
    """The time over which the steps of a rolling window are measured: all that this window, and those after it, can
    have, and the one before, for checks that began then."""
    return need.window(now_us)[0] - (need.window_us if need.resets else need.step_us), LAST_US
