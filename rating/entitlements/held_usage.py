"""The usage of one namespace's accounts as it is held in memory, all of it as of one cut of the log. Pure.

Everything held was measured by the usage query as of some cut, and brought forward to each later one by the same query
over what was appended between the two (``rating.usage``, ``since``). What does not add up, or was voided, is measured
again. So what is held is what the query would say as of ``as_of``: losing it, or being late, can make that older, and
nothing else.

``after`` looks only and may run in another thread meanwhile; ``commit`` takes over what it prepared.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
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


class HeldUsage:
    """What is held of one namespace, the least recently used first. ``as_of`` None: nothing is."""

    def __init__(self) -> None:
        self.as_of: MeasuredAsOf | None = None
        self.weight = 0
        self._held: OrderedDict[UsageKey, Held] = OrderedDict()
        self._by_age: deque[tuple[int, UsageKey]] = (
            deque()
        )  # by when they were asked; what was asked since is passed over
        self._of_profile: dict[tuple[str, str], dict[Asked, None]] = {}  # by profile and account
        self._profiles: dict[str, dict[Measured, int]] = {}  # by id: how often each is held

    def __len__(self) -> int:
        return len(self._held)

    def usage(self, account_id: str, asked: Asked, now_us: int) -> tuple[UsageGroup, ...] | None:
        """The groups of what is asked, as ``usage_totals`` has them; None where it is not held."""
        held = self._held.get((account_id, asked))
        if held is None:
            return None
        self._held.move_to_end((account_id, asked))
        if not isinstance(asked, RollingNeed):
            return held.groups
        now_us = max(now_us, held.asked_us)  # should the clock have been set back
        end_us = now_us // asked.step_us * asked.step_us + asked.step_us
        start_us = end_us - asked.step_us - asked.window_us
        if start_us < held.from_us:
            return None
        inside = [usage for step, usage in held.steps.items() if start_us <= step < end_us]
        if not inside:
            return ()
        return (UsageGroup(merged(asked.profile.aggregation, inside), account_id),)

    def profiles(self) -> Mapping[str, Collection[Measured]]:
        """By id, how the profiles of what is held are measured."""
        return {profile_id: tuple(each) for profile_id, each in self._profiles.items()}

    def keys_of(self, accounts: Iterable[str]) -> Iterator[UsageKey]:
        """What is held of these accounts."""
        named = set(accounts)
        return (key for key in tuple(self._held) if key[0] in named)

    def oldest(self, count: int) -> list[UsageKey]:
        """What was measured as a whole longest ago."""
        keys: list[UsageKey] = []
        while self._by_age and len(keys) < count:
            asked_us, key = self._by_age.popleft()
            held = self._held.get(key)
            if held is not None and held.asked_us == asked_us:
                keys.append(key)
        for key in reversed(keys):  # they keep their place until they are put again
            self._by_age.appendleft((self._held[key].asked_us, key))
        return keys

    def newest(self, keys: Collection[UsageKey], count: int) -> list[UsageKey]:
        """Of some keys those that were used last."""
        if len(keys) <= count:
            return list(keys)
        return [key for key in reversed(tuple(self._held)) if key in keys][:count]

    def held(self, key: UsageKey) -> Held | None:
        """What is held of a key, as it is."""
        return self._held.get(key)

    def put(self, key: UsageKey, held: Held) -> None:
        """Hold what was measured as of ``as_of``."""
        before = self._held.pop(key, None)
        self._held[key] = held
        self._by_age.append((held.asked_us, key))
        self.weight += held.weight - (before.weight if before is not None else 0)
        if before is None:
            account_id, asked = key
            self._of_profile.setdefault((asked.profile.profile_id, account_id), {})[asked] = None
            measured = self._profiles.setdefault(asked.profile.profile_id, {})
            measured[asked.profile] = measured.get(asked.profile, 0) + 1

    def put_again(self, key: UsageKey, held: Held) -> None:
        """The same for what was measured again: nobody has used it, so its place in the order stays."""
        before = self._held.get(key)
        if before is None:
            self.put(key, held)
            return
        self._held[key] = held
        self._by_age.append((held.asked_us, key))
        self.weight += held.weight - before.weight

    def drop(self, keys: Iterable[UsageKey]) -> None:
        """Hold these no longer."""
        for key in keys:
            held = self._held.pop(key, None)
            if held is None:
                continue
            account_id, asked = key
            self.weight -= held.weight
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

    def clear(self) -> None:
        """Hold nothing."""
        self.__init__()  # type: ignore[misc]

    def shrink(self, weight: int) -> None:
        """Drop what was used longest ago until it weighs at most so much."""
        while self.weight > weight and self._held:
            self.drop([next(iter(self._held))])

    def after(self, appended: Iterable[Appended], voided: Collection[str], now_us: int) -> Advance:
        """What is held once what was appended is put to it; ``voided``: accounts of which an event was voided."""
        renewed: dict[UsageKey, Held] = {}
        stale = set(self.keys_of(voided)) if voided else set[UsageKey]()
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

    def commit(self, advance: Advance, as_of: MeasuredAsOf) -> None:
        """Take over what was prepared: all is as of ``as_of`` then, and what is stale is held no longer."""
        self.drop(advance.stale)
        for key, held in advance.renewed.items():
            before = self._held.get(key)
            if before is not None:  # its place in the order stays: nobody has used it
                self._held[key] = held
                self.weight += held.weight - before.weight
        self.as_of = as_of


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
    have."""
    return now_us // asked.step_us * asked.step_us - asked.window_us, LAST_US
