"""A profile as it is measured over an interval: its versions that are in force, and their backfills. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.catalog.backfill_reach import BackfillReach
from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import ProfileVersion
from schemas.ledgers.checkpoints import Cut
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class Backfilled:
    """A profile version that was backfilled: from ``start_us`` on (microseconds UTC) it counts all events as of the
    checkpoints of its reaches, and earlier versions no longer do.

    ``replaces``: whether there are earlier versions.
    """

    version: int
    start_us: int
    reaches: tuple[BackfillReach, ...]
    replaces: bool

    def reach(self, as_of: Cut | None) -> BackfillReach | None:
        """How far it reaches as of a cut (None: live); None before the first of its checkpoints."""
        known_reaches = [reach for reach in self.reaches if as_of is None or reach.checkpoint <= as_of.number]
        return known_reaches[-1] if known_reaches else None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a query needs to know of a profile: how it aggregates, and each version's window size in seconds.

    ``carry_over`` (latest only): where an interval has no events, the last value before it stands. ``backfilled``:
    those of its versions that the catalog at hand knows to be backfilled, ascending. ``keyed`` (count_unique only):
    its versions of ``latest``, whose records hold the idempotency key where those of count_unique hold the value;
    ascending.
    """

    profile_id: str
    aggregation: Aggregation
    windows: tuple[tuple[int, int], ...]  # (version, window_seconds), ascending
    unit: str = ""
    carry_over: bool = False
    backfilled: tuple[Backfilled, ...] = ()
    keyed: tuple[int, ...] = ()

    def as_pinned(self, catalog_offset: int, checkpoint: int) -> Measured:
        """The profile as an invoice of that catalog offset and checkpoint counted it: later backfills neither count nor
        replace anything."""
        counted = [
            replace(version, reaches=reaches)
            for version in self.backfilled
            if (
                reaches := tuple(
                    reach
                    for reach in version.reaches
                    if reach.catalog_offset < catalog_offset and reach.checkpoint <= checkpoint
                )
            )
        ]
        return self if tuple(counted) == self.backfilled else replace(self, backfilled=tuple(counted))

    def visible(self, as_of: Cut | None) -> list[int]:
        """The checkpoints of backfills whose records count as of a cut (None: live), ascending."""
        return sorted(
            reach.checkpoint
            for backfilled in self.backfilled
            for reach in backfilled.reaches
            if as_of is None or reach.checkpoint <= as_of.number
        )

    def replaced(self, as_of: Cut | None) -> list[tuple[Backfilled, BackfillReach]]:
        """What replaces earlier versions as of a cut (None: live), and how far."""
        return [
            (backfilled, reach)
            for backfilled in self.backfilled
            if backfilled.replaces and (reach := backfilled.reach(as_of)) is not None
        ]

    def versions_by_size(self) -> dict[int, tuple[int, ...]]:
        """window_seconds → the versions that roll up into windows of that size."""
        sizes: dict[int, tuple[int, ...]] = {}
        for version, size in self.windows:
            sizes[size] = (*sizes.get(size, ()), version)
        return dict(sorted(sizes.items()))


def measured(versions: Iterable[ProfileVersion], start_us: int, end_us: int) -> Measured:
    """The profile over [start, end): where versions aggregate differently, the last one valid in it decides.

    ``versions`` are all versions of one profile, oldest first, at least one (``schemas.catalog.profiles.resolve``).
    """
    all_versions = tuple(versions)
    valid = valid_versions(all_versions, start_us, end_us) or all_versions[-1:]
    windows = sorted({(version.version, version.window_seconds) for version in all_versions})
    backfilled = tuple(
        Backfilled(
            version.version, version.backfill_from_us, version.reaches, version.version > all_versions[0].version
        )
        for version in all_versions
        if version.backfill_from_us is not None and version.reaches
    )
    return Measured(
        all_versions[-1].profile_id,
        valid[-1].aggregation,
        tuple(windows),
        valid[-1].unit,
        valid[-1].carry_over,
        backfilled,
        keyed_versions(all_versions) if valid[-1].aggregation == "count_unique" else (),
    )


def keyed_versions(versions: Iterable[ProfileVersion]) -> tuple[int, ...]:
    """The versions whose records hold the idempotency key as their unique value: those of ``latest``, ascending."""
    return tuple(sorted(version.version for version in versions if version.aggregation == "latest"))


def valid_versions(versions: Iterable[ProfileVersion], start_us: int, end_us: int) -> tuple[ProfileVersion, ...]:
    """The versions that were valid at some instant of [start, end), microseconds UTC."""
    return tuple(
        version for version in versions if max(version.valid_from_us, start_us) < min(version.valid_to_us, end_us)
    )
