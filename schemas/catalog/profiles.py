"""Profile versions: what each meter's entries mean, over which span of event time (DESIGN invariant 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from schemas.catalog.models import WINDOW_SECONDS, Aggregation, Filter, Meter
from schemas.catalog.state import Entry, NamespaceView

FOREVER: int = 1 << 62
BEGINNING: int = -(1 << 62)


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """An immutable rule of measuring, valid for events with timestamp in [valid_from_us, valid_to_us)."""

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

    def measures_like(self, other: ProfileVersion) -> bool:
        """Whether both give the same totals: a new name or unit text alone makes no new version."""
        return (
            self.event_name, self.aggregation, self.property, self.filters, self.dimensions, self.window_seconds,
            self.carry_over,
        ) == (
            other.event_name, other.aggregation, other.property, other.filters, other.dimensions, other.window_seconds,
            other.carry_over,
        )  # fmt: skip


def _versions_in(entry: Entry) -> dict[str, ProfileVersion]:
    meter: Meter = entry.model
    return {
        profile.code: ProfileVersion(
            profile_id=f"{meter.code}.{profile.code}", version=entry.version, meter=meter.code, profile=profile.code,
            name=profile.name or profile.code, unit=profile.unit or meter.unit,
            event_name=meter.event_name or meter.code, aggregation=profile.aggregation, property=profile.property,
            filters=(*meter.filters, *profile.filters), dimensions=profile.dimensions,
            window_seconds=WINDOW_SECONDS[meter.window], carry_over=profile.carry_over,
        )
        for profile in meter.profiles
    }  # fmt: skip


def _ended(chain: list[ProfileVersion], at_us: int) -> list[ProfileVersion]:
    """All of them end at ``at_us`` at the latest: a version from a stated instant may reach back over several
    predecessors, and no event may ever be under two versions. One that had not begun by then is valid never."""
    return [
        replace(version, valid_to_us=min(version.valid_to_us, max(at_us, version.valid_from_us))) for version in chain
    ]


def profile_versions(view: NamespaceView) -> tuple[ProfileVersion, ...]:
    """All profile versions of the namespace, with their spans, in order of meters, profiles and versions."""
    result: list[ProfileVersion] = []
    for entries in view.histories("meter"):
        chains: dict[str, list[ProfileVersion]] = {}
        for entry in entries:
            begins = entry.valid_from_us if entry.valid_from_us is not None else entry.published_us
            current = {} if entry.retired else _versions_in(entry)
            for code, chain in chains.items():
                if code not in current:
                    chains[code] = _ended(chain, begins)
            for code, new in current.items():
                chain = chains.setdefault(code, [])
                if not chain:
                    chain.append(new)
                elif new.measures_like(chain[-1]) and chain[-1].valid_to_us == FOREVER:
                    chain[-1] = replace(chain[-1], name=new.name, unit=new.unit)
                else:
                    chains[code] = [*_ended(chain, begins), replace(new, valid_from_us=begins)]
        result.extend(version for chain in chains.values() for version in chain)
    return tuple(result)


def resolve(view: NamespaceView, address: str) -> tuple[ProfileVersion, ...]:
    """All versions of the profile at ``meter.profile``, or ``meter`` where it has only one, oldest first.

    Raises LookupError that names what exists.
    """
    everything = profile_versions(view)
    if "." in address:
        found = tuple(version for version in everything if version.profile_id == address)
        if found:
            return found
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
