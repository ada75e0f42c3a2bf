"""The event types of a namespace, compiled from its catalog: known names, schemas and defaults."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from typing import Any, Final

from schemas.catalog.meters import EventType
from schemas.catalog.profiles import ProfileVersion, event_names
from schemas.catalog.state import NamespaceView
from schemas.event_schema import ScalarCheck, Schema, compile_schema, mismatch, parse_schema
from schemas.event_schema.filled import NO_DEFAULTS, Defaults
from schemas.matching.rules import Matcher
from schemas.values.suggestions import similar


@dataclass(frozen=True)
class TypeCheck:
    """The compiled schema of one event type version. ``fits``: the fast check; ``explain``: the message for a
    refusal."""

    code: str
    version: int
    schema: Schema
    fits: ScalarCheck
    defaults: Defaults = NO_DEFAULTS
    """The values that filters, values and dimensions use for fields that an event omits."""

    def explain(self, properties: Any) -> tuple[str, str] | None:
        """(path below the properties, message) of the first value that does not fit; None if all fit."""
        wrong = mismatch(self.schema, properties)
        if wrong is None:
            return None
        return wrong.path, f"{wrong} (schema of event type {self.code}, version {self.version})"


class EventTypes:
    """The event types of a namespace by name; each is compiled when the first event of its name arrives."""

    def __init__(self, view: NamespaceView | None = None) -> None:
        self.reject_unknown = view is not None and view.settings.unknown_events == "reject"
        self._view = view
        self._checks: dict[str, TypeCheck | None] = {}

    def check(self, event_name: str) -> TypeCheck | None:
        """The check for events of this name; None if there is no event type with a schema."""
        try:
            return self._checks[event_name]
        except KeyError:
            pass
        compiled = self._made(event_name)
        if len(self._checks) >= _REMEMBERED:  # limited, since names are chosen by senders
            self._checks.clear()
        self._checks[event_name] = compiled
        return compiled

    def _made(self, event_name: str) -> TypeCheck | None:
        view = self._view
        entry = None if view is None else view.get("event_type", event_name)
        if view is None or entry is None:
            return None
        declared: EventType = entry.model
        if declared.avro is None:
            return None

        def make() -> tuple[TypeCheck, int]:
            schema = parse_schema(declared.avro)
            defaults = Defaults(schema) if declared.fill_defaults else NO_DEFAULTS
            check = TypeCheck(declared.code, entry.version, schema, compile_schema(schema), defaults)
            return check, 1 + entry.size // _CHARACTERS

        return view.of_version("check", entry, make)

    def defaults(self, event_name: str) -> Defaults:
        """The default values for events of this name."""
        check = self.check(event_name)
        return NO_DEFAULTS if check is None else check.defaults

    def knows(self, event_name: str) -> bool:
        """Whether the name is an event type, or is measured by a meter (including a retired meter, for the events
        of its time)."""
        view = self._view
        return view is not None and (view.get("event_type", event_name) is not None or event_name in event_names(view))

    def unknown(self, event_name: str) -> str:
        """The message for an unknown name, with similar names and the remedy."""
        view = self._view
        known: set[str] = set()
        if view is not None:
            names = chain(
                event_names(view),
                (versions[-1].code for versions in view.histories("event_type") if not versions[-1].retired),
            )
            known = set(islice(names, _COMPARED))  # limited, since this runs in the request's own path
        near = similar(sorted(known), (event_name,))
        listed = near or tuple(sorted(known)[:10])
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(listed) or 'none yet'}"
        return (
            f"{event_name!r} is no event type and no meter's event name, and the namespace rejects unknown events; "
            f"{hint} "
            "Declare an event type or a meter for it, or set unknown_events: accept"
        )


NO_TYPES: Final = EventTypes()
_KINDS: Final = ("namespace", "event_type", "meter", "backfill")
_REMEMBERED: Final = 256
_CHARACTERS: Final = 100  # characters of a schema's text that count as one unit of weight in the cache
_COMPARED: Final = 500


def event_types(view: NamespaceView) -> EventTypes:
    """The namespace's event types as of the view."""
    return view.derived("event types", _KINDS, lambda: (EventTypes(view), 50))


class DefaultsByOffset:
    """The default values for stored events of one name, by the catalog offset of their batch.

    ``any``: whether there were ever any; if not, the batches' catalog offsets need not be read.
    """

    def __init__(self, view: NamespaceView, event_name: str) -> None:
        self._offsets: list[int] = []
        self._defaults: list[Defaults] = [NO_DEFAULTS]
        for entry in view.history("event_type", event_name):
            self._offsets.append(entry.offset)
            self._defaults.append(event_types(view.at(entry.offset + 1)).defaults(event_name))
        self.any = any(defaults.any for defaults in self._defaults)

    def at(self, catalog_offset: int) -> Defaults:
        """The defaults for a batch with this catalog offset."""
        return self._defaults[bisect_left(self._offsets, catalog_offset)]

    def matchers(self, versions: Sequence[ProfileVersion], exactly: bool = False) -> Callable[[int], Matcher]:
        """A function from a batch's catalog offset to the matcher for its events.

        ``exactly``: without rounding of numbers, the rule of older releases (``quantity.scaled``).
        """
        of_defaults = cache(partial(Matcher.of, versions, exactly=exactly))
        return lambda catalog_offset: of_defaults(self.at(catalog_offset))
