"""What is held of each key, and where it is found when something was appended. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from rating.entitlements.held_values import Held, Row, brought_forward
from rating.entitlements.questions import Asked
from rating.usage import Measured

UsageKey: TypeAlias = tuple[str, Asked]
"""An account, and what is measured for it."""
_ROWS: Final = 16
"""So many rows of a place gather at least, and up to twice as many: not equally many everywhere, or those of all places
were put together at once."""


@dataclass(frozen=True, slots=True)
class PlaceRows:
    """What was appended of a profile to an account, in order, from the row of number ``first`` on."""

    first: int
    rows: list[Row]


@dataclass(eq=False, slots=True)
class HeldPlace:
    """All that is held of a profile and account, and what was appended since: rows gather here until somebody asks, or
    there are ``most``. Of several thousand events a second few concern an account that is checked before more of its
    events come, and many are put to its usage in the time of one."""

    most: int
    entries: tuple[HeldEntry, ...] = ()
    appended: PlaceRows = field(default_factory=lambda: PlaceRows(0, []))

    def count(self, cut: int) -> int:
        """How many rows there were by a cut."""
        rows = self.appended.rows
        later = next((place for place, row in enumerate(reversed(rows)) if row[0] <= cut), len(rows))
        return self.appended.first + len(rows) - later

    def without_rows_after(self, cut: int) -> None:
        """Leave out what was appended by a cut that nobody took."""
        rows = self.appended.rows
        while rows and rows[-1][0] > cut:
            rows.pop()

    def put_together(self, cut: int, now_us: int) -> None:
        """Put all rows up to a cut to all that is held, and do without them."""
        for entry in self.entries:
            entry.held = entry.whole(cut, now_us)
        count = self.count(cut)
        self.appended = PlaceRows(count, self.appended.rows[count - self.appended.first :])


@dataclass(eq=False, slots=True)
class HeldEntry:
    """What is held of a key, at any cut. ``place``: where its rows are; ``torn``: see ``torn_steps``; ``weight``: what
    it weighed when it was last measured as a whole; ``use``: the number of its last use, which ascend; 0: it was never
    used. ``forgotten``: it is held no longer."""

    account_id: str
    asked: Asked
    held: Held
    place: HeldPlace
    torn: tuple[int, ...] | None
    weight: int = 0
    use: int = 0
    forgotten: bool = False

    @property
    def key(self) -> UsageKey:
        """What it is held of."""
        return self.account_id, self.asked

    def whole(self, cut: int, now_us: int) -> Held:
        """What is held as of a cut."""
        appended = self.place.appended  # before the value: rows go once every value has them
        held = self.held
        start = held.rows - appended.first
        if start == len(appended.rows):
            return held
        rows = [row for row in appended.rows[start:] if row[0] <= cut]
        return brought_forward(self.asked, held, rows, held.rows + len(rows), now_us) if rows else held


class EntriesOfProfiles:
    """All that is held of a namespace, by what it is measured of. ``places``: by profile's id and account;
    ``accounts``: by profile's id, those of which something is held."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str], HeldPlace] = {}
        self.accounts: dict[str, set[str]] = {}
        self._profiles: dict[str, dict[Measured, int]] = {}  # by id: how often each is held
        self._made = 0

    def profiles(self) -> Mapping[str, Collection[Measured]]:
        """By id, how the profiles of what is held are measured."""
        return {profile_id: tuple(versions) for profile_id, versions in self._profiles.items()}

    def place(self, profile_id: str, account_id: str) -> HeldPlace:
        """Where rows of a profile and account are."""
        place = self.places.get((profile_id, account_id))
        if place is None:
            self._made += 1
            place = self.places[profile_id, account_id] = HeldPlace(_ROWS + self._made % _ROWS)
        return place

    def add(self, entry: HeldEntry) -> None:
        """It is held from now on, at its place."""
        profile, place = entry.asked.profile, entry.place
        place.entries = (*place.entries, entry)
        self.accounts.setdefault(profile.profile_id, set()).add(entry.account_id)
        measured = self._profiles.setdefault(profile.profile_id, {})
        measured[profile] = measured.get(profile, 0) + 1

    def remove(self, entry: HeldEntry) -> None:
        """It is held no longer."""
        entry.forgotten = True
        profile, place = entry.asked.profile, entry.place
        place.entries = tuple(held_entry for held_entry in place.entries if held_entry is not entry)
        if not place.entries:
            del self.places[profile.profile_id, entry.account_id]
            self.accounts[profile.profile_id].discard(entry.account_id)
        measured = self._profiles[profile.profile_id]
        measured[profile] -= 1
        if not measured[profile]:
            del measured[profile]
        if not measured:
            del self._profiles[profile.profile_id], self.accounts[profile.profile_id]
