"""Profile versions: the measuring rules defined by each meter's entries, and the span of event time in which each
is valid (DESIGN invariant 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from schemas.catalog.backfill_reach import Backfill, BackfillReach, backfill_code
from schemas.catalog.meters import WINDOW_SECONDS, Aggregation, Filter, Meter
from schemas.catalog.state import Entry, NamespaceView
from schemas.values.record_copy import replace

FOREVER: int = 1 << 62
BEGINNING: int = -(1 << 62)


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """An immutable measuring rule, valid for events with a timestamp in [valid_from_us, valid_to_us), microseconds
    UTC.

    It does not apply to events that arrived before its publication, unless ``backfill_from_us`` states a start in
    the past: then, as of the checkpoint of its last reach, it counts all events from that instant on in place of
    earlier versions.
    """

    profile_id: str  # meter.profile
    version: int  # the version of the meter's entry that introduced this definition
    meter: str
    profile: str
    name: str
    unit: str
    event_name: str
    aggregation: Aggregation
    property: tuple[str, ...] | None
    filters: tuple[Filter, ...]  # the meter's, then the profile's
    dimensions: tuple[tuple[str, ...], ...]
    window_seconds: int
    valid_from_us: int = BEGINNING
    valid_to_us: int = FOREVER
    carry_over: bool = False  # latest only: a period without events takes over the last value before it
    backfill_from_us: int | None = None
    reaches: tuple[BackfillReach, ...] = ()
    by_text: bool = False  # count_unique only: values with equal text are equal
    rounds: bool = True
    """Whether numbers of backfilled events are rounded to 12 decimals; False if the version was published by a release
    that did not round."""

    def waits(self) -> bool:
        """Whether its backfill is still pending."""
        return self.backfill_from_us is not None and not self.reaches

    def measures_like(self, version: ProfileVersion) -> bool:
        """Whether both give the same totals; a changed name or unit alone creates no new version."""
        return (
            self.event_name,
            self.aggregation,
            self.property,
            self.filters,
            self.dimensions,
            self.window_seconds,
            self.carry_over,
            self.by_text,
        ) == (
            version.event_name,
            version.aggregation,
            version.property,
            version.filters,
            version.dimensions,
            version.window_seconds,
            version.carry_over,
            version.by_text,
        )


def _versions_in(entry: Entry) -> dict[str, ProfileVersion]:
    meter: Meter = entry.model
    rounds = _published_since_rounding(entry)
    return {
        profile.code: ProfileVersion(
            profile_id=f"{meter.code}.{profile.code}",
            version=entry.version,
            meter=meter.code,
            profile=profile.code,
            name=profile.name or profile.code,
            unit=profile.unit or meter.unit,
            event_name=meter.event_name or meter.code,
            aggregation=profile.aggregation,
            property=profile.property,
            filters=(*meter.filters, *profile.filters),
            dimensions=profile.dimensions,
            window_seconds=WINDOW_SECONDS[meter.window],
            carry_over=profile.carry_over,
            by_text=profile.compare == "text",
            rounds=rounds,
        )
        for profile in meter.profiles
    }


def _published_since_rounding(entry: Entry) -> bool:
    """Whether the entry was published by a release that rounds numbers, recognised by a field that all profiles
    have had since then and none before."""
    return all("compare" in profile for profile in entry.body.get("profiles", ()))


def _ended(chain: list[ProfileVersion], at_us: int) -> list[ProfileVersion]:
    """Limit the validity of all versions in the chain to ``at_us``, since no event may be under two versions. A
    version with a stated start may supersede several predecessors; one that begins later becomes never valid."""
    return [
        replace(version, valid_to_us=min(version.valid_to_us, max(at_us, version.valid_from_us))) for version in chain
    ]


def _counts_from(chain: list[ProfileVersion], start_us: int) -> bool:
    """Whether the last version already counts (or will count) every event from ``start_us`` on, whenever it
    arrived."""
    begun = chain[-1].backfill_from_us
    return begun is not None and begun <= start_us


KINDS = ("meter", "backfill")
"""The kinds of catalog entries from which profile versions are derived."""


def profile_versions(view: NamespaceView) -> tuple[ProfileVersion, ...]:
    """All profile versions of the namespace with their spans, ordered by meter, profile and version."""

    def make() -> tuple[tuple[ProfileVersion, ...], int]:
        versions = _profile_versions(view)
        return versions, len(versions) + 1

    return view.derived("profile versions", KINDS, make)


def event_names(view: NamespaceView) -> frozenset[str]:
    """The event names measured by some profile version, including retired meters' for the events of their time."""

    def make() -> tuple[frozenset[str], int]:
        names = {
            version.event_name for version in profile_versions(view) if version.valid_from_us < version.valid_to_us
        }
        return frozenset(names), len(names) + 1

    return view.derived("event names", KINDS, make)


def _profile_versions(view: NamespaceView) -> tuple[ProfileVersion, ...]:
    reaches = _reaches(view)
    return tuple(version for entries in view.histories("meter") for version in meter_versions(entries, reaches))


def meter_versions(
    entries: Sequence[Entry], reaches: Mapping[tuple[str, int], tuple[BackfillReach, ...]] = MappingProxyType({})
) -> Iterator[ProfileVersion]:
    """The profile versions of one meter, from all its entries, oldest first; ``reaches``: (meter, version) →
    finished backfills."""
    chains: dict[str, list[ProfileVersion]] = {}
    for entry in entries:
        begins = entry.valid_from_us if entry.valid_from_us is not None else entry.published_us
        current = {} if entry.retired else _versions_in(entry)
        # A profile that the new entry drops has no version to backfill in its place: what it counted stays.
        ends = max(begins, entry.published_us)
        stated = begins if begins < entry.published_us and not entry.retired else None
        reached = reaches.get((entry.code, entry.version), ())
        for code, chain in chains.items():
            if code not in current:
                chains[code] = _ended(chain, ends)
        for code, new in current.items():
            chain = chains.setdefault(code, [])
            continues = bool(chain) and new.measures_like(chain[-1]) and chain[-1].valid_to_us == FOREVER
            if continues and (stated is None or _counts_from(chain, stated)):
                chain[-1] = replace(chain[-1], name=new.name, unit=new.unit)
                continue
            new = replace(new, backfill_from_us=stated, reaches=() if stated is None else reached)
            if not chain:
                chain.append(new if entry.valid_from_us is None else replace(new, valid_from_us=begins))
            else:
                chains[code] = [*_ended(chain, begins), replace(new, valid_from_us=begins)]
    for chain in chains.values():
        yield from chain


def _reaches(view: NamespaceView) -> dict[tuple[str, int], tuple[BackfillReach, ...]]:
    """(meter, version) → its finished backfills, ordered by checkpoint."""
    reaches: dict[tuple[str, int], tuple[BackfillReach, ...]] = {}
    for entries in view.histories("backfill"):
        model: Backfill = entries[0].model
        if entries[0].code == backfill_code(model.meter, model.version):
            reaches[model.meter, model.version] = tuple(
                BackfillReach(
                    entry.body["checkpoint"],
                    entry.offset,
                    tuple(((generation, partition), end) for generation, partition, end in entry.body["offsets"]),
                )
                for entry in entries
            )
    return reaches


def resolve(view: NamespaceView, address: str) -> tuple[ProfileVersion, ...]:
    """All versions of the profile ``meter.profile``, or ``meter`` if it has only one, oldest first.

    Raises LookupError, which lists the existing profiles.
    """
    everything = profile_versions(view)
    if "." in address:
        versions = tuple(version for version in everything if version.profile_id == address)
        if versions:
            return versions
        options = sorted({version.profile_id for version in everything})
    else:
        options = sorted({version.profile_id for version in everything if version.meter == address})
        if len(options) == 1:
            return resolve(view, options[0])
        if options:
            raise LookupError(f"meter {address} has several profiles; say which: {', '.join(options)}")
        options = sorted({version.profile_id for version in everything})
    known = ", ".join(options[:20]) or "none yet; declare a meter with `weir apply`"
    raise LookupError(f"no profile {address} in namespace {view.namespace}; known: {known}")


def dimension_names(versions: Iterable[ProfileVersion]) -> tuple[str, ...]:
    """Sorted names of the dimensions that any of the versions has."""
    return tuple(sorted({".".join(path) for version in versions for path in version.dimensions}))
