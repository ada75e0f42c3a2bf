"""What a namespace says of its events' names and properties: compiled from the catalog, asked for every event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from schemas.catalog.models import EventType
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import NamespaceView
from schemas.event_schema import Check, Schema, compile_schema, mismatch, parse_schema
from schemas.similar import similar


@dataclass(frozen=True)
class TypeCheck:
    """One version of an event type's schema. ``fits`` is the fast judgement, ``explain`` the words for a refusal."""

    code: str
    version: int
    schema: Schema
    fits: Check

    def explain(self, properties: Any) -> tuple[str, str] | None:
        """(path below the properties, sentence) of the first thing that does not fit; None where all does."""
        wrong = mismatch(self.schema, properties)
        if wrong is None:
            return None
        return wrong.path, f"{wrong} (schema of event type {self.code}, version {self.version})"


@dataclass(frozen=True)
class EventTypes:
    """``checks`` by event name, of those that have a schema. ``reject_unknown``: the namespace takes known names only."""

    checks: Mapping[str, TypeCheck]
    reject_unknown: bool = False
    view: NamespaceView | None = None

    @cached_property
    def known(self) -> frozenset[str]:
        """Declared event types, and every name that a meter's profile version measures, also a retired meter's for the
        events of its time."""
        if self.view is None:
            return frozenset(self.checks)
        names = {entry.code for entry in self.view.all("event_type")}
        names |= {one.event_name for one in profile_versions(self.view) if one.valid_from_us < one.valid_to_us}
        return frozenset(names)

    def unknown(self, event_name: str) -> str:
        """The sentence for a name that is not known: what was probably meant, and the remedy."""
        near = similar(sorted(self.known), (event_name,))
        listed = near or tuple(sorted(self.known)[:10])
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(listed) or 'none yet'}"
        return (
            f"{event_name!r} is no event type and no meter's event name, and the namespace rejects unknown events; {hint} "
            "Declare an event type or a meter for it, or set unknown_events: accept"
        )


NO_TYPES: Final = EventTypes({})


@lru_cache(maxsize=64)
def event_types(view: NamespaceView) -> EventTypes:
    """The namespace's event types as of the view; made once for each change of its catalog."""
    checks: dict[str, TypeCheck] = {}
    for entry in view.all("event_type"):
        declared: EventType = entry.model
        if declared.avro is not None:
            schema, fits = _compiled(json.dumps(declared.avro))
            checks[declared.code] = TypeCheck(declared.code, entry.version, schema, fits)
    return EventTypes(checks, view.settings.unknown_events == "reject", view)


@lru_cache(maxsize=512)
def _compiled(text: str) -> tuple[Schema, Check]:
    schema = parse_schema(json.loads(text))
    return schema, compile_schema(schema)
