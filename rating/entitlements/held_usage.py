"""The usage of one namespace's accounts as it is held in memory, all of it as of one cut of the log. Pure.

Everything held was measured by the usage query as of some cut, and brought forward to each later one by the same query
over what was appended between the two (``rating.usage``, ``since``). What does not add up, or was voided, is measured
again. So what is held is what the query would say as of ``as_of``: losing it, or being late, can make that older, and
nothing else.

``after`` and ``ahead`` may run in another thread while checks are answered: they make the values of the next cut beside
those of this one, and ``take`` puts them in their place by assignments alone. Nobody else changes what is held then.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from rating.entitlements.limit_intervals import LAST_US
from rating.entitlements.merging import merged, merges, together
from rating.entitlements.questions import Asked, RollingNeed
from rating.pricing.exact import exactly
from rating.usage import Measured, Usage, UsageGroup
from schemas.ledgers.generations import Offsets
from schemas.values.instants import SECOND

STEP_US: Final = SECOND
"""The steps of event time in which what was appended is told: those of rolling windows are multiples of it."""
UsageKey: TypeAlias = tuple[str, Asked]
"""An account, and what is measured for it."""


@dataclass(frozen=True, slots=True)
class MeasuredAsOf:
    """What usage is as of: what the log had below ``offsets`` when that was read, at ``at_us`` (microseconds UTC)."""

    offsets: Offsets
    at_us: int


@dataclass(frozen=True, slots=True)
class Held:
    """One account's usage: ``groups`` of a Need; of a RollingNeed ``steps`` (start → usage), all from ``from_us`` on.
    ``asked_us``: when it was last measured as a whole."""

    groups: tuple[UsageGroup, ...] = ()
    steps: Mapping[int, Usage] = field(default_factory=dict)
    from_us: int = 0
    asked_us: int = 0

    @property
    def weight(self) -> int:
        """About the room that it takes, in entries of one number."""
        return 1 + (len(self.groups) + len(self.steps)) // 8

    def agrees(self, measured: Held) -> bool:
        """Whether it is the same as what was measured as a whole as of the same cut, over the time that both have."""
        from_us = max(self.from_us, measured.from_us)
        own, others = (
            {step: usage for step, usage in held.steps.items() if step >= from_us} for held in (self, measured)
        )
        usages = ([(group.dimensions, group.usage) for group in held.groups] for held in (self, measured))
        return own == others and next(usages) == next(usages)


class Appended(NamedTuple):
    """Usage of a profile and account that was appended: of one step of event time. ``usage`` None: something, of an
    aggregation that does not add up."""

    profile_id: str
    account_id: str
    step_us: int
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Advance:
    """What ``after`` prepared: ``renewed`` takes the place of what is held, ``stale`` has to be measured again."""

    renewed: Mapping[UsageKey, Held]
    stale: frozenset[UsageKey]


NO_ADVANCE: Final = Advance({}, frozenset())


@dataclass(frozen=True, slots=True)
class HeldCut:
    """All that is held as of a cut, made by ``HeldUsage.ahead``; ``weight``: of it all."""

    held: dict[UsageKey, Held]
    weight: int
    as_of: MeasuredAsOf


class HeldUsage:
    """What is held of one namespace. ``as_of`` None: nothing is."""

    def __init__(self) -> None:
        self.as_of: MeasuredAsOf | None = None
        self._held: dict[UsageKey, Held] = {}
        self._held_before: dict[UsageKey, Held] | None = None  # freed by ``ahead``: that takes milliseconds
        self._weight = 0
        # By when they were used last, each with a number that ascends; what is held no longer may stand here still.
        self._used: OrderedDict[UsageKey, int] = OrderedDict()
        self._uses = 0
        # By when they were asked; what was asked since is passed over.
        self._by_age: deque[tuple[int, UsageKey]] = deque()
        self._of_profile: dict[tuple[str, str], dict[Asked, None]] = {}  # by profile and account
        self._profiles: dict[str, dict[Measured, int]] = {}  # by id: how often each is held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def weight(self) -> int:
        """About the room that it takes, in entries of one number."""
        return self._weight + max(0, len(self._used) - len(self._held))

    def usage(self, account_id: str, asked: Asked, now_us: int) -> tuple[UsageGroup, ...] | None:
        """The groups of what is asked, as ``usage_totals`` has them; None where it is not held."""
        key = account_id, asked
        held = self._held.get(key)
        if held is None:
            return None
        self._uses += 1
        self._used[key] = self._uses
        self._used.move_to_end(key)
        if not isinstance(asked, RollingNeed):
            return held.groups
        start_us = _window_start(asked, now_us)
        if start_us < held.from_us and now_us < held.asked_us:  # the clock was set back
            start_us = _window_start(asked, held.asked_us)
        if start_us < held.from_us:
            return None
        end_us = start_us + asked.window_us + asked.step_us
        inside = [usage for step, usage in held.steps.items() if start_us <= step < end_us]
        if not inside:
            return ()
        return (UsageGroup(merged(asked.profile.aggregation, inside), account_id),)

    def profiles(self) -> Mapping[str, Collection[Measured]]:
        """By id, how the profiles of what is held are measured."""
        return {profile_id: tuple(each) for profile_id, each in self._profiles.items()}

    def oldest(self, count: int) -> list[UsageKey]:
        """What was measured as a whole longest ago."""
        keys: list[UsageKey] = []
        while self._by_age and len(keys) < count:
            asked_us, key = self._by_age.popleft()
            held = self._held.get(key)
            if held is not None and held.asked_us == asked_us:
                keys.append(key)
        for key in reversed(keys):  # they keep their place until they are measured again
            self._by_age.appendleft((self._held[key].asked_us, key))
        return keys

    def newest(self, keys: Collection[UsageKey], count: int) -> list[UsageKey]:
        """Of some keys those that were used last."""
        return heapq.nlargest(count, keys, key=lambda key: self._used.get(key, 0))

    def held(self, key: UsageKey) -> Held | None:
        """What is held of a key, as it is."""
        return self._held.get(key)

    def shrink(self, weight: int, most: int = 1 << 62) -> bool:
        """Drop what was used longest ago until it weighs at most so much, ``most`` keys at most; whether it does."""
        for _ in range(most):
            if self.weight <= weight or not (self._used or self._held):
                break
            # What was measured and never used goes once it is more than half.
            key = next(iter(self._used if 2 * len(self._used) >= len(self._held) else self._held))
            self._used.pop(key, None)
            held = self._held.pop(key, None)
            if held is not None:
                self._weight -= held.weight
                self._forget(key)
        return self.weight <= weight

    def after(self, appended: Iterable[Appended], voided: Set[str], now_us: int) -> Advance:
        """What is held once what was appended is put to it; ``voided``: accounts of which an event was voided."""
        renewed: dict[UsageKey, Held] = {}
        stale = {key for key in self._held if key[0] in voided} if voided else set[UsageKey]()
        with exactly():
            for profile_id, account_id, step_us, usage in appended:
                for asked in tuple(self._of_profile.get((profile_id, account_id), ())):
                    key = account_id, asked
                    if key in stale:
                        continue
                    held = renewed.get(key) or self._held.get(key)
                    if held is None:
                        continue
                    advanced = None if usage is None else _with(asked, held, step_us, usage, now_us)
                    if advanced is None:
                        stale.add(key)
                    elif advanced is not held:
                        renewed[key] = advanced
        return Advance({key: held for key, held in renewed.items() if key not in stale}, frozenset(stale))

    def ahead(self, advance: Advance, measured: Mapping[UsageKey, Held], as_of: MeasuredAsOf) -> HeldCut:
        """All as of ``as_of``: with what was prepared, without what is stale, and with what was measured as a whole as
        of then. To be taken before anything else is done to what is held."""
        self._held_before = None
        held, weight = self._held.copy(), self._weight
        for key in advance.stale:
            before = held.pop(key, None)
            if before is not None:
                weight -= before.weight
                if key not in measured:
                    self._forget(key)
        for renewed in (advance.renewed, measured):
            for key, each in renewed.items():
                before = held.get(key)
                held[key] = each
                weight += each.weight - (before.weight if before is not None else 0)
        for key, each in measured.items():
            self._by_age.append((each.asked_us, key))
            if key not in self._held:
                self._remember(key)
        if len(self._by_age) > 2 * len(held) + 1000:
            aged = ((asked_us, key) for asked_us, key in self._by_age if key in held)
            self._by_age = deque((asked_us, key) for asked_us, key in aged if held[key].asked_us == asked_us)
        return HeldCut(held, weight, as_of)

    def take(self, cut: HeldCut) -> None:
        """Hold this cut from now on; a moment's work however much it is."""
        self._held_before, self._held = self._held, cut.held
        self._weight, self.as_of = cut.weight, cut.as_of

    def _remember(self, key: UsageKey) -> None:
        account_id, asked = key
        self._of_profile.setdefault((asked.profile.profile_id, account_id), {})[asked] = None
        measured = self._profiles.setdefault(asked.profile.profile_id, {})
        measured[asked.profile] = measured.get(asked.profile, 0) + 1

    def _forget(self, key: UsageKey) -> None:
        account_id, asked = key
        place = asked.profile.profile_id, account_id
        of_profile = self._of_profile[place]
        del of_profile[asked]
        if not of_profile:
            del self._of_profile[place]
        measured = self._profiles[asked.profile.profile_id]
        measured[asked.profile] -= 1
        if not measured[asked.profile]:
            del measured[asked.profile]
        if not measured:
            del self._profiles[asked.profile.profile_id]


def _with(asked: Asked, held: Held, step_us: int, usage: Usage, now_us: int) -> Held | None:
    """What is held with the usage of a step put to it; the same object where that lies outside; None where it cannot
    be put together."""
    aggregation = asked.profile.aggregation
    if not merges(asked.profile):
        return None
    if isinstance(asked, RollingNeed):
        start_us = step_us // asked.step_us * asked.step_us
        if start_us < held.from_us:
            return held
        before = held.steps.get(start_us)
        steps = {**held.steps, start_us: usage if before is None else together(aggregation, before, usage)}
        if len(steps) <= 2 * (asked.window_us // asked.step_us):
            return Held(held.groups, steps, held.from_us, held.asked_us)
        from_us = max(held.from_us, rolling_from(asked, now_us)[0])  # what no later window has is left out
        return replace(held, steps={step: each for step, each in steps.items() if step >= from_us}, from_us=from_us)
    if asked.dimensions:
        return None
    if asked.start_us <= step_us and step_us + STEP_US <= asked.end_us:
        total = together(aggregation, held.groups[0].usage, usage) if held.groups else usage
        return Held((UsageGroup(total),), {}, 0, held.asked_us)
    apart = step_us + STEP_US <= asked.start_us or asked.end_us <= step_us
    return held if apart else None  # an interval that begins or ends within the step


def rolling_from(asked: RollingNeed, now_us: int) -> tuple[int, int]:
    """The time over which the steps of a rolling window are measured: all that this window, and those after it, can
    have, and the one before, for checks that began in the step before."""
    return _window_start(asked, now_us) - asked.step_us, LAST_US


def _window_start(asked: RollingNeed, now_us: int) -> int:
    return now_us // asked.step_us * asked.step_us - asked.window_us
