"""The usage of one namespace's accounts as it is held in memory, all of it as of one cut of the log. Pure.

Everything held was measured by the usage query as of some cut, and brought forward to each later one by the same query
over what was appended between the two (``rating.usage``, ``since``). What does not add up, or was voided, is measured
again. So what is held is what the query would say as of ``as_of``: losing it, or being late, can make that older, and
nothing else.

``after`` and ``ahead`` may run in another thread while checks are answered: they make the values of the next cut beside
those of this one, and ``take`` puts them in their place, an assignment for each that changed. Nobody else changes what
is held then. What is held is found by what is asked and then by the account, so that few keys are hashed.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from rating.entitlements.held_values import Appended, Held, brought_forward
from rating.entitlements.paced_work import at_once, paced
from rating.entitlements.questions import Asked, RollingNeed
from rating.pricing.exact import exactly
from rating.usage import Measured, UsageGroup
from schemas.ledgers.generations import Offsets

UsageKey: TypeAlias = tuple[str, Asked]
"""An account, and what is measured for it."""


@dataclass(frozen=True, slots=True)
class MeasuredAsOf:
    """What usage is as of: what the log had below ``offsets`` when that was read, at ``at_us`` (microseconds UTC)."""

    offsets: Offsets
    at_us: int


@dataclass(eq=False, slots=True)
class HeldEntry:
    """What is held of a key, at any cut. ``use``: the number of its last use, which ascend; 0: it was never used.
    ``forgotten``: it is held no longer."""

    account_id: str
    asked: Asked
    held: Held
    use: int = 0
    forgotten: bool = False

    @property
    def key(self) -> UsageKey:
        """What it is held of."""
        return self.account_id, self.asked


@dataclass(frozen=True, slots=True)
class Advance:
    """What ``after`` prepared: ``renewed`` takes the place of what is held, ``stale`` has to be measured again."""

    renewed: Mapping[HeldEntry, Held]
    stale: frozenset[UsageKey]


NO_ADVANCE: Final = Advance({}, frozenset())
_FREED_AT_ONCE: Final = 500
_WEIGHED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class HeldCut:
    """What has changed by a cut, made by ``HeldUsage.ahead``. ``dropped``: was held, and is no longer."""

    renewed: Mapping[HeldEntry, Held]
    added: tuple[HeldEntry, ...]
    dropped: tuple[HeldEntry, ...]
    weight: int
    as_of: MeasuredAsOf


class HeldUsage:
    """What is held of one namespace. ``as_of`` None: nothing is."""

    def __init__(self) -> None:
        self.as_of: MeasuredAsOf | None = None
        self.weight = 0
        """About the room that it takes, in KiB."""
        self._held: dict[Asked, dict[str, HeldEntry]] = {}
        self._before: list[Held] = []  # freed by ``ahead``: that takes longer than all else of ``take``
        self._uses = 0
        self._used: OrderedDict[HeldEntry, None] = OrderedDict()  # all that is held, the one used longest ago first
        self._round: list[HeldEntry] = []  # what is to be measured again, the next one last
        self._of_profile: dict[tuple[str, str], tuple[HeldEntry, ...]] = {}  # by profile and account
        self._profiles: dict[str, dict[Measured, int]] = {}  # by id: how often each is held
        self._accounts: dict[str, set[str]] = {}  # by id: of which accounts something is held

    def __len__(self) -> int:
        return len(self._used)

    def usage(self, account_id: str, need: Asked, now_us: int) -> tuple[UsageGroup, ...] | None:
        """The groups of what is asked, as ``usage_totals`` has them; None where it is not held."""
        entry = self._entry(account_id, need)
        if entry is None:
            return None
        self._uses += 1
        entry.use = self._uses
        self._used.move_to_end(entry)
        if not isinstance(need, RollingNeed):
            return entry.held.of_interval
        held = entry.held.in_window(need, now_us)
        if held is None:
            return None
        entry.held = held
        return () if held.total is None else (UsageGroup(held.total, account_id),)

    def profiles(self) -> Mapping[str, Collection[Measured]]:
        """By id, how the profiles of what is held are measured."""
        return {profile_id: tuple(versions) for profile_id, versions in self._profiles.items()}

    def accounts(self) -> Mapping[str, Collection[str]]:
        """By profile's id, the accounts of which something is held."""
        return self._accounts

    def values(self) -> dict[UsageKey, Held]:
        """All that is held, by key."""
        return {entry.key: entry.held for entry in self._used}

    def again(self, share: int) -> list[UsageKey]:
        """What to measure again next, so that after ``share`` times all that is held was: by the accounts' names, as
        what is stored of neighbours lies together and is read at once."""
        if not self._round:
            # Not by way of ``_used``, which every check changes meanwhile.
            every = (entry for of_asked in self._held.values() for entry in of_asked.values())
            self._round = sorted(every, key=lambda entry: entry.account_id, reverse=True)
        keys: list[UsageKey] = []
        while self._round and len(keys) <= len(self._used) // share:
            entry = self._round.pop()
            if not entry.forgotten:
                keys.append(entry.key)
        return keys

    def newest(self, keys: Collection[UsageKey], count: int, now_us: int) -> list[UsageKey]:
        """Of some keys those that were used last, first of those whose interval goes on: nobody may ask for the others
        again, such as those of a rolling window's earlier steps."""
        return heapq.nlargest(count, keys, key=lambda key: (self._goes_on(key, now_us), self._last_use(key)))

    def held(self, key: UsageKey) -> Held | None:
        """What is held of a key, as it is."""
        entry = self._entry(*key)
        return None if entry is None else entry.held

    def shrink(self, weight: int, most: int = 1 << 62) -> bool:
        """Drop what was used longest ago until it weighs at most so much, ``most`` keys at most; whether it does."""
        for _ in range(most):
            if self.weight <= weight or not self._used:
                break
            entry = next(iter(self._used))
            self.weight -= entry.held.weight
            self._drop(entry)
            self._forget(entry)
        return self.weight <= weight

    def after(
        self, appended: Sequence[Appended], voided: Set[str], now_us: int, pause: Callable[[], None] = at_once
    ) -> Advance:
        """What is held once what was appended is put to it; ``voided``: accounts of which an event was voided;
        ``pause``: see ``paced``."""
        renewed: dict[HeldEntry, Held] = {}
        stale: set[HeldEntry] = set()
        if voided:
            for entries in self._of_profile.values():
                stale.update(entries if entries[0].account_id in voided else ())
        of_profile = self._of_profile
        with exactly():
            for profile_id, account_id, step_us, usage in paced(appended, pause):
                for entry in of_profile.get((profile_id, account_id), ()):
                    if entry in stale:
                        continue
                    held = renewed.get(entry) or entry.held
                    advanced = None if usage is None else brought_forward(entry.asked, held, step_us, usage, now_us)
                    if advanced is None:
                        stale.add(entry)
                    elif advanced is not held:
                        renewed[entry] = advanced
        for entry in stale:
            renewed.pop(entry, None)
        return Advance(renewed, frozenset(entry.key for entry in stale))

    def ahead(
        self,
        advance: Advance,
        measured: Mapping[UsageKey, Held],
        as_of: MeasuredAsOf,
        pause: Callable[[], None] = at_once,
    ) -> HeldCut:
        """All as of ``as_of``: with what was prepared, without what is stale, and with what was measured as a whole as
        of then. To be taken before anything else is done to what is held. ``pause``: see ``paced``."""
        self._free(pause)
        renewed = dict(advance.renewed)
        added: list[HeldEntry] = []
        for (account_id, need), held in measured.items():
            entry = self._entry(account_id, need)
            if entry is None:
                entry = HeldEntry(account_id, need, held)
                added.append(entry)
                self._remember(entry)
            else:
                renewed[entry] = held
        dropped = tuple(
            entry for key in advance.stale if key not in measured and (entry := self._entry(*key)) is not None
        )
        for entry in dropped:
            renewed.pop(entry, None)
            self._forget(entry)
        weight = self.weight + sum(
            held.weight - entry.held.weight for entry, held in paced(tuple(renewed.items()), pause, _WEIGHED_AT_ONCE)
        )
        weight += sum(entry.held.weight for entry in added) - sum(entry.held.weight for entry in dropped)
        return HeldCut(renewed, tuple(added), dropped, weight, as_of)

    def take(self, cut: HeldCut) -> None:
        """Hold this cut from now on."""
        before = self._before
        for entry, held in cut.renewed.items():
            before.append(entry.held)
            entry.held = held
        for entry in cut.dropped:
            self._drop(entry)
        for entry in cut.added:
            self._held.setdefault(entry.asked, {})[entry.account_id] = entry
            self._used[entry] = None
        self.weight, self.as_of = cut.weight, cut.as_of

    def _free(self, pause: Callable[[], None]) -> None:
        """Free what the cut before last held, in pieces: freeing lets no other thread go on."""
        before = self._before
        for _ in paced(range(0, len(before), _FREED_AT_ONCE), pause, 1):
            del before[-_FREED_AT_ONCE:]

    def _entry(self, account_id: str, need: Asked) -> HeldEntry | None:
        of_asked = self._held.get(need)
        return None if of_asked is None else of_asked.get(account_id)

    @staticmethod
    def _goes_on(key: UsageKey, now_us: int) -> bool:
        return isinstance(key[1], RollingNeed) or key[1].end_us > now_us

    def _last_use(self, key: UsageKey) -> int:
        entry = self._entry(*key)
        return 0 if entry is None else entry.use

    def _drop(self, entry: HeldEntry) -> None:
        of_asked = self._held[entry.asked]
        del of_asked[entry.account_id]
        if not of_asked:
            del self._held[entry.asked]
        del self._used[entry]

    def _remember(self, entry: HeldEntry) -> None:
        profile = entry.asked.profile
        profile_account = profile.profile_id, entry.account_id
        self._of_profile[profile_account] = (*self._of_profile.get(profile_account, ()), entry)
        self._accounts.setdefault(profile.profile_id, set()).add(entry.account_id)
        measured = self._profiles.setdefault(profile.profile_id, {})
        measured[profile] = measured.get(profile, 0) + 1

    def _forget(self, entry: HeldEntry) -> None:
        entry.forgotten = True
        profile = entry.asked.profile
        profile_account = profile.profile_id, entry.account_id
        left = tuple(held_entry for held_entry in self._of_profile[profile_account] if held_entry is not entry)
        if left:
            self._of_profile[profile_account] = left
        else:
            del self._of_profile[profile_account]
            self._accounts[profile.profile_id].discard(entry.account_id)
        measured = self._profiles[profile.profile_id]
        measured[profile] -= 1
        if not measured[profile]:
            del measured[profile]
        if not measured:
            del self._profiles[profile.profile_id], self._accounts[profile.profile_id]
