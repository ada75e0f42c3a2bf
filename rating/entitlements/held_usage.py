"""The usage of one namespace's accounts as it is held in memory, all of it as of one cut of the log. Pure.

Everything held was measured by the usage query as of some cut, and brought forward to each later one by the same query
over what was appended between the two (``rating.usage``, ``since``). What does not add up, or was voided, is measured
again. So what is held is what the query would say as of ``as_of``: losing it, or being late, can make that older, and
nothing else.

``after`` and ``ahead`` may run in another thread while checks are answered: they make the next cut beside this one, and
``take`` puts it in its place. Nobody else changes what is held then; rows that were appended (``HeldPlace``) count once
their cut is taken, and ``after`` and ``usage`` replace a value by one that says the same, with rows put to it. What is
held is found by what is asked and then by the account, so that few keys are hashed.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from rating.entitlements.held_entries import EntriesOfProfiles, HeldEntry, HeldPlace, UsageKey
from rating.entitlements.held_values import Appended, Held, torn_steps
from rating.entitlements.paced_work import at_once, paced
from rating.entitlements.questions import Asked, RollingNeed
from rating.usage import Measured, UsageGroup
from schemas.ledgers.generations import Offsets


@dataclass(frozen=True, slots=True)
class MeasuredAsOf:
    """What usage is as of: what the log had below ``offsets`` when that was read, at ``at_us`` (microseconds UTC,
    real), while the namespace's clock was ``ahead_us`` ahead."""

    offsets: Offsets
    at_us: int
    ahead_us: int = 0

    @property
    def now_us(self) -> int:
        """That instant by the namespace's clock."""
        return self.at_us + self.ahead_us


@dataclass(frozen=True, slots=True)
class Advance:
    """What ``after`` prepared: ``touched`` got rows, and ``stale`` has to be measured again."""

    touched: Collection[HeldPlace]
    stale: frozenset[UsageKey]


NO_ADVANCE: Final = Advance((), frozenset())
_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class HeldCut:
    """What has changed by a cut, made by ``HeldUsage.ahead``. ``dropped``: was held, and is no longer."""

    renewed: Mapping[HeldEntry, Held]
    added: tuple[HeldEntry, ...]
    dropped: tuple[HeldEntry, ...]
    as_of: MeasuredAsOf


class HeldUsage:
    """What is held of one namespace. ``as_of`` None: nothing is."""

    def __init__(self) -> None:
        self.as_of: MeasuredAsOf | None = None
        self.weight = 0
        """About the room that it takes, in KiB, but for rows that are not put together yet, which are few."""
        self._cut = 0  # the number of the one that was taken last
        self._touched: Collection[HeldPlace] = ()  # has rows of the next one
        self._held: dict[Asked, dict[str, HeldEntry]] = {}
        self._uses = 0
        self._used: OrderedDict[HeldEntry, None] = OrderedDict()  # all that is held, the one used longest ago first
        self._round: list[HeldEntry] = []  # what is to be measured again, the next one last
        self._entries_of = EntriesOfProfiles()

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
        held = entry.held = entry.whole(self._cut, now_us)
        if not isinstance(need, RollingNeed):
            return held.of_interval
        of_window = held.in_window(need, now_us)
        if of_window is None:
            return None
        entry.held = of_window
        return () if of_window.total is None else (UsageGroup(of_window.total, account_id),)

    def profiles(self) -> Mapping[str, Collection[Measured]]:
        """By id, how the profiles of what is held are measured."""
        return self._entries_of.profiles()

    def accounts(self) -> Mapping[str, Collection[str]]:
        """By profile's id, the accounts of which something is held."""
        return self._entries_of.accounts

    def values(self, now_us: int) -> dict[UsageKey, Held]:
        """All that is held, by key."""
        return {entry.key: entry.whole(self._cut, now_us) for entry in self._used}

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

    def holds(self, key: UsageKey) -> bool:
        """Whether something is held of a key."""
        return self._entry(*key) is not None

    def value(self, key: UsageKey, now_us: int) -> Held | None:
        """What is held of a key, with all that was appended put to it."""
        entry = self._entry(*key)
        return None if entry is None else entry.whole(self._cut, now_us)

    def shrink(self, weight: int, most: int = 1 << 62) -> bool:
        """Drop what was used longest ago until it weighs at most so much, ``most`` keys at most; whether it does."""
        for _ in range(most):
            if self.weight <= weight or not self._used:
                break
            entry = next(iter(self._used))
            self._drop(entry)
            self._entries_of.remove(entry)
        return self.weight <= weight

    def after(
        self, appended: Sequence[Appended], voided: Set[str], now_us: int, pause: Callable[[], None] = at_once
    ) -> Advance:
        """What is held once what was appended is put to it; ``voided``: accounts of which an event was voided;
        ``pause``: see ``paced``."""
        self._leave_out_rows()
        places, cut = self._entries_of.places, self._cut + 1
        stale: set[HeldEntry] = set()
        if voided:
            for place in places.values():
                stale.update(place.entries if place.entries[0].account_id in voided else ())
        touched = self._touched = dict[HeldPlace, None]()
        for profile_id, account_id, step_us, quantity, events in paced(appended, pause, _ROWS_AT_ONCE):
            of_account = places.get((profile_id, account_id))
            if of_account is None:
                continue
            for entry in of_account.entries:
                if quantity is None or entry.torn is None or step_us in entry.torn:
                    stale.add(entry)
            if quantity is not None:
                of_account.appended.rows.append((cut, step_us, quantity, events))
                touched[of_account] = None
        many = [place for place in touched if len(place.appended.rows) > place.most]
        for place in paced(many, pause):
            place.put_together(self._cut, now_us)
        return Advance(touched, frozenset(entry.key for entry in stale))

    def ahead(self, advance: Advance, measured: Mapping[UsageKey, Held], as_of: MeasuredAsOf) -> HeldCut:
        """All as of ``as_of``: with what was prepared, without what is stale, and with what was measured as a whole as
        of then. To be taken before anything else is done to what is held."""
        if advance.touched is not self._touched:
            self._leave_out_rows()
        renewed: dict[HeldEntry, Held] = {}
        added: list[HeldEntry] = []
        for (account_id, need), value in measured.items():
            place = self._entries_of.place(need.profile.profile_id, account_id)
            held = replace(value, rows=place.count(self._cut + 1))
            entry = self._entry(account_id, need)
            if entry is None:
                entry = HeldEntry(account_id, need, held, place, torn_steps(need))
                added.append(entry)
                self._entries_of.add(entry)
            else:
                renewed[entry] = held
        dropped = tuple(
            entry for key in advance.stale if key not in measured and (entry := self._entry(*key)) is not None
        )
        for entry in dropped:
            self._entries_of.remove(entry)
        return HeldCut(renewed, tuple(added), dropped, as_of)

    def take(self, cut: HeldCut) -> None:
        """Hold this cut from now on."""
        self._cut += 1
        self._touched = ()
        for entry, held in cut.renewed.items():
            entry.held = held
            self._weigh(entry)
        for entry in cut.dropped:
            self._drop(entry)
        for entry in cut.added:
            self._held.setdefault(entry.asked, {})[entry.account_id] = entry
            self._used[entry] = None
            self._weigh(entry)
        self.as_of = cut.as_of

    def _leave_out_rows(self) -> None:
        """Leave out what came with an advance that was never taken."""
        for place in self._touched:
            place.without_rows_after(self._cut)
        self._touched = ()

    def _weigh(self, entry: HeldEntry) -> None:
        weight = entry.held.weight
        self.weight += weight - entry.weight
        entry.weight = weight

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
        self.weight -= entry.weight
        of_asked = self._held[entry.asked]
        del of_asked[entry.account_id]
        if not of_asked:
            del self._held[entry.asked]
        del self._used[entry]
