"""Warns, at acceptance, of profiles that cannot take a value from an event; cheap for ordinary events.

For an ordinary event only the values used by profiles are decoded and their types checked. Any other event is
matched exactly as a worker will match it, so that the warning states what will happen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from schemas.catalog.profiles import KINDS, ProfileVersion, meter_versions
from schemas.catalog.state import NamespaceView
from schemas.event_schema.absent import stands_for
from schemas.events.acceptance import AcceptedEvent
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.event_types import EventTypes, event_types
from schemas.filters import MISSING as ABSENT
from schemas.filters import lookup
from schemas.matching.rules import Rule, compile_rule, match_rules
from schemas.values.json_text import JsonObject, path_text
from schemas.values.quantity import MISSING, NOT_A_NUMBER, OUT_OF_RANGE

MAX_JUDGED: Final = 20
"""Limit on events per request that are matched in full, so that a request with only faulty events costs no more than
others."""
_PLAIN: Final = re.compile(r"-?[0-9]{1,25}(?:\.[0-9]{1,40})?").fullmatch
_LARGE: Final = 10**25
_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')
_WORDS: Final = {
    MISSING: "is missing or null",
    NOT_A_NUMBER: "is no number",
    OUT_OF_RANGE: "has more than 26 digits before the point",
}


@dataclass(frozen=True, slots=True)
class Warned:
    """An event that a profile cannot measure. ``index``: the event's index in its request; ``path``: below the
    properties."""

    index: int
    profile_id: str
    reason: str
    path: str

    @property
    def detail(self) -> str:
        """The message for the sender."""
        return (
            f"{self.path.removeprefix('.')} {_WORDS.get(self.reason, self.reason)}, so the event counts for "
            f"nothing with {self.profile_id}"
        )

    def to_json(self, *, single: bool) -> JsonObject:
        """The warning as it appears in a response."""
        at = "$.properties" if single else f"$.events[{self.index}].properties"
        return {
            "index": self.index, "path": at + self.path, "profile": self.profile_id, "reason": self.reason,
            "detail": self.detail,
        }  # fmt: skip


class _Watch:
    """The profile versions that take a value from events of one name."""

    def __init__(self, versions: Sequence[ProfileVersion], types: EventTypes) -> None:
        self._paths = {version.profile_id: version.property or () for version in versions}
        self._rules: tuple[Rule, ...] = tuple(
            compile_rule(version, types.defaults(version.event_name)) for version in versions
        )
        check = types.check(versions[0].event_name)
        optional = {path for path in self._paths.values() if check is not None and stands_for(check.schema, path)}
        self._optional = {profile for profile, path in self._paths.items() if path in optional}
        fields = {
            (version.property or (), version.aggregation != "count_unique", (version.property or ()) in optional)
            for version in versions
        }
        names: dict[str, str] = {}
        for path, _, _ in fields:
            names.setdefault(path[0], f"p{len(names)}")
        self._decode: Callable[[str], Any] | None = None
        if not any(map(_ESCAPED.search, names)):
            shape = msgspec.defstruct(
                "Taken",
                [(attribute, Any, ABSENT) for attribute in names.values()],
                rename={attribute: name for name, attribute in names.items()},
                gc=False,
            )
            self._decode = msgspec.json.Decoder(shape).decode
        self._values = tuple(
            (path[0], names[path[0]], path[1:], numeric, may_lack) for path, numeric, may_lack in fields
        )
        self.number = self._values[0][0] if len(fields) == 1 and self._values[0][2:4] == ((), True) else None
        """The name of the top-level number that is all that the profiles use; else None."""
        self.only: Callable[[str], Any] | None = None if self.number is None else self._decode
        """A decoder that returns ``p0``, if a single top-level number is all that the profiles use; else None."""

    def is_ordinary(self, properties: str) -> bool:
        """Whether every value that the profiles use is certainly measurable."""
        if self._decode is None:
            return False
        try:
            fields = self._decode(properties)
        except (ValueError, RecursionError):  # for example a number beyond the range of float
            return False
        for _, attribute, inner_path, numeric, may_lack in self._values:
            if not _fits(getattr(fields, attribute), inner_path, numeric, may_lack):
                return False
        return True

    def takes(self, fields: JsonObject) -> bool:
        """Whether every value that the profiles use is certainly measurable; ``fields``: decoded properties, numbers
        exact or as text. False: ``is_ordinary`` decides."""
        for name, _, inner_path, numeric, may_lack in self._values:
            if not _fits(fields.get(name, ABSENT), inner_path, numeric, may_lack):
                return False
        return True

    def judge(self, index: int, event: AcceptedEvent) -> Iterator[Warned]:
        """The warnings according to the worker's matching."""
        try:
            lost = match_rules(self._rules, event.timestamp_us, event.idempotency_key, event.properties).unmeterable
        except ValueError:
            return
        for profile_id, reason in lost:
            if reason != MISSING or profile_id not in self._optional:
                yield Warned(index, profile_id, reason, path_text(self._paths[profile_id]))


def _fits(value: Any, inner_path: tuple[str, ...], numeric: bool, may_lack: bool) -> bool:
    """Whether the value at ``inner_path`` of a top-level property's ``value`` is certainly measurable."""
    if inner_path:
        value = lookup(value, inner_path)
    if value is ABSENT or value is None:
        return may_lack
    return not numeric or _is_plain(value, type(value))


def _is_plain(value: Any, kind: type) -> bool:
    if kind is str:
        return _PLAIN(value) is not None
    return (kind is int or kind is float or kind is Decimal) and -_LARGE < value < _LARGE


def _named_properties(events: Sequence[AcceptedEvent]) -> Iterable[tuple[str, str]]:
    """(event name, properties) of each."""
    if isinstance(events, AcceptedColumns):
        return zip(events.names, map(bytes.decode, events.properties), strict=True)
    return ((event.event_name, event.properties) for event in events)


class Measurable:
    """The profiles of a namespace as of a view of its catalog, by event name; compiled on demand."""

    def __init__(self, view: NamespaceView) -> None:
        self._view = view
        self._meters: dict[str, dict[str, None]] = {}
        for entries in view.histories("meter"):
            for entry in entries:
                name = entry.body.get("event_name") or entry.code
                self._meters.setdefault(str(name), {})[entry.code] = None
        self.size = 1 + sum(map(len, self._meters.values()))
        """Approximate size, in catalog entries."""
        self._watches: dict[str, _Watch | None] = {}

    def warnings(self, events: Sequence[AcceptedEvent]) -> list[Warned]:
        """Warnings for the events of one request, for at most MAX_JUDGED of them."""
        if isinstance(events, AcceptedColumns) and events.parsed is not None:
            return self._of_columns(events, events.parsed)
        warnings: list[Warned] = []
        judged = 0
        for index, (name, properties) in enumerate(_named_properties(events)):
            watch = self._watch(name)
            if watch is None:
                continue
            if watch.only is not None:
                # The most common case, inlined to save a call.
                try:
                    value = watch.only(properties).p0
                except (ValueError, RecursionError):
                    value = None
                kind = type(value)
                if kind is str:
                    if _PLAIN(value) is not None:
                        continue
                elif (kind is int or kind is float) and -_LARGE < value < _LARGE:
                    continue
            if not watch.is_ordinary(properties):
                warnings += watch.judge(index, events[index])
                judged += 1
                if judged >= MAX_JUDGED:
                    break
        return warnings

    def _of_columns(self, events: AcceptedColumns, parsed: Sequence[JsonObject]) -> list[Warned]:
        watches = {name: watch for name in set(events.names) if (watch := self._watch(name)) is not None}
        if not watches:
            return []
        warnings: list[Warned] = []
        judged = 0
        for index, (name, fields) in enumerate(zip(events.names, parsed, strict=True)):
            watch = watches.get(name)
            if watch is None:
                continue
            if watch.number is not None:
                # The most common case, inlined to save a call.
                value: Any = fields.get(watch.number)
                kind = type(value)
                if (kind is int and -_LARGE < value < _LARGE) or (kind is str and _PLAIN(value) is not None):
                    continue
            if watch.takes(fields) or watch.is_ordinary(events.properties[index].decode()):
                continue
            warnings += watch.judge(index, events[index])
            judged += 1
            if judged >= MAX_JUDGED:
                break
        return warnings

    def _watch(self, name: str) -> _Watch | None:
        if name not in self._meters:
            return None
        return self._watches[name] if name in self._watches else self._compiled(name)

    def _compiled(self, name: str) -> _Watch | None:
        versions = [
            version
            for code in self._meters[name]
            for version in meter_versions(self._view.history("meter", code))
            if version.event_name == name
            and version.property is not None
            and version.valid_from_us < version.valid_to_us
        ]
        watch = self._watches[name] = _Watch(versions, event_types(self._view)) if versions else None
        return watch


_KINDS: Final = (*KINDS, "event_type", "namespace")


def measurable(view: NamespaceView) -> Measurable:
    """The namespace's profiles, cached until one of the entries it depends on changes."""

    def make() -> tuple[Measurable, int]:
        checks = Measurable(view)
        return checks, checks.size

    return view.derived("measurable", _KINDS, make)
