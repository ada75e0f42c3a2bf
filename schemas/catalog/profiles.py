"""Profile versions: what each meter's entries mean, over which span of event time (DESIGN invariant 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from schemas.catalog.backfills import Backfill, Reach, backfill_code
from schemas.catalog.meters import WINDOW_SECONDS, Aggregation, Filter, Meter
from schemas.catalog.state import Entry, NamespaceView

FOREVER: int = 1 << 62
BEGINNING: int = -(1 << 62)


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """An immutable rule of measuring, valid for events with timestamp in [valid_from_us, valid_to_us).

    Events that came before it was published are not under it, unless ``backfill_from_us`` states a start in the past:
    then it counts all of them from that instant on, as of the checkpoint of its (last) reach, in place of the versions
    before it.
    """

    profile_id: str  # meter.profile
    version: int  # the meter entry's version that brought this definition
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
    carry_over: bool = False  # of latest: a period without events has the last value before it
    backfill_from_us: int | None = None
    reaches: tuple[Reach, ...] = ()
    by_text: bool = False  # of count_unique: values of one text are one
    rounds: bool = True
    """Whether what it backfills is measured with numbers rounded to 12 decimals: not where it was published when they
    were not yet."""

    def waits(self) -> bool:
        """Whether it is to count older events, and does not yet."""
        return self.backfill_from_us is not None and not self.reaches

    def measures_like(self, version: ProfileVersion) -> bool:
        """Whether both give the same totals: a new name or unit text alone makes no new version."""
        return (
            self.event_name, self.aggregation, self.property, self.filters, self.dimensions, self.window_seconds,
            self.carry_over, self.by_text,
        ) == (
            version.event_name, version.aggregation, version.property, version.filters, version.dimensions,
            version.window_seconds,
            version.carry_over, version.by_text,
        )  # fmt: skip


def _versions_in(entry: Entry) -> dict[str, ProfileVersion]:
    meter: Meter = entry.model
    rounds = _published_since_rounding(entry)
    return {
        profile.code: ProfileVersion(
            profile_id=f"{meter.code}.{profile.code}", version=entry.version, meter=meter.code, profile=profile.code,
            name=profile.name or profile.code, unit=profile.unit or meter.unit,
            event_name=meter.event_name or meter.code, aggregation=profile.aggregation, property=profile.property,
            filters=(*meter.filters, *profile.filters), dimensions=profile.dimensions,
            window_seconds=WINDOW_SECONDS[meter.window], carry_over=profile.carry_over,
            by_text=profile.compare == "text",
            rounds=rounds,
        )
        for profile in meter.profiles
    }  # fmt: skip


def _published_since_rounding(entry: Entry) -> bool:
    """Told by a field that every published profile has had since that release, and none had before."""
    return all("compare" in profile for profile in entry.body.get("profiles", ()))


def _ended(chain: list[ProfileVersion], at_us: int) -> list[ProfileVersion]:
    """All of them end at ``at_us`` at the latest: a version from a stated instant may reach back over several
    predecessors, and no event may ever be under two versions. One that had not begun by then is valid never."""
    return [
        replace(version, valid_to_us=min(version.valid_to_us, max(at_us, version.valid_from_us))) for version in chain
    ]


def _counts_from(chain: list[ProfileVersion], start_us: int) -> bool:
    """Whether the last one already is to count every event of ``start_us`` and later, whenever it came."""
    begun = chain[-1].backfill_from_us
    return begun is not None and begun <= start_us


KINDS = ("meter", "backfill")
"""What profile versions are made of."""


def profile_versions(view: NamespaceView) -> tuple[ProfileVersion, ...]:
    """All profile versions of the namespace, with their spans, in order of meters, profiles and versions."""

    def make() -> tuple[tuple[ProfileVersion, ...], int]:
        versions = _profile_versions(view)
        return versions, len(versions) + 1

    return view.derived("profile versions", KINDS, make)


def event_names(view: NamespaceView) -> frozenset[str]:
    """Names that some profile version measures, also a retired meter's for the events of its time."""

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
    entries: Sequence[Entry], reaches: Mapping[tuple[str, int], tuple[Reach, ...]] = MappingProxyType({})
) -> Iterator[ProfileVersion]:
    """Those of one meter, from all its entries, oldest first; ``reaches``: how far versions are backfilled."""
    chains: dict[str, list[ProfileVersion]] = {}
    for entry in entries:
        begins = entry.valid_from_us if entry.valid_from_us is not None else entry.published_us
        current = {} if entry.retired else _versions_in(entry)
        # A profile that is left out has no version that could be backfilled in its place: what it counted stays.
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


def _reaches(view: NamespaceView) -> dict[tuple[str, int], tuple[Reach, ...]]:
    """(meter, version) → how far it is backfilled, in order of the checkpoints."""
    reaches: dict[tuple[str, int], tuple[Reach, ...]] = {}
    for entries in view.histories("backfill"):
        model: Backfill = entries[0].model
        if entries[0].code == backfill_code(model.meter, model.version):
            reaches[model.meter, model.version] = tuple(
                Reach(
                    entry.body["checkpoint"], entry.offset,
                    tuple(((generation, partition), end) for generation, partition, end in entry.body["offsets"]),
                )
                for entry in entries
            )  # fmt: skip
    return reaches


def resolve(view: NamespaceView, address: str) -> tuple[ProfileVersion, ...]:
    """All versions of the profile at ``meter.profile``, or ``meter`` where it has only one, oldest first.

    Raises LookupError that names what exists.
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
    """Names of the dimensions that some of these versions has, sorted."""
    return tuple(sorted({".".join(path) for version in versions for path in version.dimensions}))
