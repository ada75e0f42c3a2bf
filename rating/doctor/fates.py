"""What became of an event that has no record of a profile, and events grouped by their fate. Pure."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from rating.doctor.diagnosis import ExampleEvent, Group
from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion, profile_versions
from schemas.catalog.state import Catalog, NamespaceView
from schemas.event_schema.filled import NO_DEFAULTS, Defaults
from schemas.events.event_types import EventTypes, event_types
from schemas.filters import MISSING, lookup
from schemas.matching.rules import Matcher, failing_filter
from schemas.values.instants import rfc3339
from schemas.values.json_text import canonical, exact

_EXAMPLES: Final = 3


class UnmatchedEvent(NamedTuple):
    """A counted event without a record of the profile. ``us``: its timestamp, microseconds UTC; ``reason``: why it
    could not be measured, else ""; ``catalog_offset``: of its batch."""

    key: str
    us: int
    properties: str
    name: str
    reason: str
    catalog_offset: int


class Fate(NamedTuple):
    """What became of an event. ``kind``: filtered, unmeterable, not_valid or too_early; ``why``: the filter, reason or
    span; ``value``: what stands at the property in question, "" for nothing."""

    kind: str
    why: str
    value: str


class Fates:
    """Tells the fate of events under one profile, by the catalogs that their batches knew."""

    def __init__(self, catalog: Catalog, view: NamespaceView, versions: tuple[ProfileVersion, ...]) -> None:
        self._catalog = catalog
        self._view = view
        self._versions = versions
        self._profile = versions[-1].profile_id
        self._jobs = jobs(view)
        self._at_offset: dict[int, tuple[ProfileVersion, ...]] = {}

    def of(self, event: UnmatchedEvent) -> Fate:
        """The fate of an event that has no record of the profile."""
        name, stamp, properties = event.name, event.us, event.properties
        if event.reason:
            path = self._versions[-1].property or ()
            filled = self._types(event.catalog_offset).defaults(name)
            return Fate("unmeterable", f"{event.reason} at {'.'.join(path)}", value_text(properties, path, filled))
        versions = self._at(event.catalog_offset)
        backfilled = [
            version
            for job in self._jobs
            for version in job.versions
            if version.profile_id == self._profile
            and job.done
            and event.catalog_offset < job.known_from
            and stamp >= job.start_us
        ]
        versions = (*backfilled[-1:], *versions)
        if not versions:
            return Fate("too_early", self._profile, "")
        for version in versions:
            if version.event_name == name and version.valid_from_us <= stamp < version.valid_to_us:
                filled = self._types(event.catalog_offset).defaults(name)
                refused = failing_filter(version, parsed(properties), filled)
                if (
                    refused is None
                    and version in backfilled
                    and (lost := _unmeterable(version, name, stamp, properties, filled))
                ):
                    path = version.property or ()
                    return Fate("unmeterable", f"{lost} at {'.'.join(path)}", value_text(properties, path))
                if refused is None:
                    return Fate("not_valid", "though it would match today; `weir verify` compares what is stored", "")
                value = (
                    "" if refused.value is None or refused.operator == "exists" else f" {_operand_text(refused.value)}"
                )
                why = f"{'.'.join(refused.property)} {refused.operator}{value}"
                return Fate(
                    "filtered",
                    why,
                    f"{'.'.join(refused.property)} {value_text(properties, refused.property, filled) or 'missing'}",
                )
        return Fate("not_valid", f"valid {'; '.join(map(_span, versions))}", "")

    def _at(self, catalog_offset: int) -> tuple[ProfileVersion, ...]:
        """The profile's versions as the batch's catalog knew them."""
        if catalog_offset not in self._at_offset:
            view = self._catalog.view(self._view.namespace, catalog_offset)
            self._at_offset[catalog_offset] = tuple(
                version for version in profile_versions(view) if version.profile_id == self._profile
            )
        return self._at_offset[catalog_offset]

    def _types(self, catalog_offset: int) -> EventTypes:
        """The event types as the batch's catalog knew them."""
        return event_types(self._catalog.view(self._view.namespace, catalog_offset))


class FateGroups:
    """Events by fate, with a few examples of each."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], tuple[int, tuple[ExampleEvent, ...]]] = {}

    def add(self, kind: str, why: str, example: ExampleEvent) -> None:
        """Count an event of this fate; the first few are kept as examples."""
        count, examples = self._counted.get((kind, why), (0, ()))
        shown = examples if len(examples) >= _EXAMPLES else (*examples, example)
        self._counted[kind, why] = (count + 1, shown)

    def of(self, kind: str) -> tuple[Group, ...]:
        """The groups of one kind of fate, the largest first."""
        groups = [Group(why, *counted) for (group_kind, why), counted in self._counted.items() if group_kind == kind]
        return tuple(sorted(groups, key=lambda group: (-group.events, group.why)))


def parsed(properties: str) -> object:
    """An event's properties with exact numbers; {} where they are no JSON."""
    try:
        return exact(properties)
    except ValueError:
        return {}  # written past acceptance


def value_text(properties: str, path: tuple[str, ...], defaults: Defaults = NO_DEFAULTS) -> str:
    """The JSON text at a path, cut to a readable length, or the default in its place; empty for neither."""
    value = lookup(parsed(properties), path)
    if value is not MISSING:
        return canonical(value)[:80]
    filled = defaults.getter(path)(parsed(properties)) if path else MISSING
    return "" if filled is MISSING else f"{canonical(filled)[:80]} (left out; the schema's default)"


def _unmeterable(version: ProfileVersion, name: str, stamp: int, properties: str, defaults: Defaults) -> str:
    """Why a version cannot take its value from an event that passes its filters; "" where it can."""
    try:
        lost = (
            Matcher.of((version,), defaults, exactly=not version.rounds).match(name, stamp, "", properties).unmeterable
        )
    except ValueError:
        return "malformed"  # written past acceptance
    return lost[0][1] if lost else ""


def _operand_text(value: object) -> str:
    """A filter's value as people write it; its numbers may be floats, which canonical text refuses."""
    return json.dumps(value, ensure_ascii=False)[:200]


def _span(version: ProfileVersion) -> str:
    start = "the beginning" if version.valid_from_us == BEGINNING else rfc3339(version.valid_from_us)
    end = "on" if version.valid_to_us == FOREVER else f"to {rfc3339(version.valid_to_us)}"
    return f"from {start} {end}"
