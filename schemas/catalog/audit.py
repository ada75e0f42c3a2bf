"""The audit trail: who changed what in a namespace's catalog, when, read off the catalog's own log (pure).

The log is the trail: nothing is written beside it, so nothing can be missing from it, and it is never shortened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.catalog.state import Entry, NamespaceView
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject, path_text

Action = Literal["created", "changed", "retired"]
HIDDEN: Final = frozenset({"hash"})  # of an API key: nobody needs it to know who changed what
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Audited:
    """One version that was published. ``changes``: ``{"path", "before", "after"}``, without the side that is not
    there."""

    entry: Entry
    action: Action
    changes: tuple[JsonObject, ...]

    def to_json(self) -> JsonObject:
        """As the API shows it."""
        return {
            "at": rfc3339(self.entry.published_us),
            "author": self.entry.author,
            "action": self.action,
            "kind": self.entry.kind,
            "code": self.entry.code,
            "version": self.entry.version,
            "catalog_offset": self.entry.offset,
            "changes": list(self.changes),
        }


def audit(
    view: NamespaceView, *, kind: str | None = None, code: str | None = None, author: str | None = None,
    before_offset: int | None = None,
) -> Iterator[Audited]:  # fmt: skip
    """What was published in the namespace, the newest first, from below ``before_offset``; lazily."""
    for entry in view.log(before_offset):
        if kind in (None, entry.kind) and code in (None, entry.code) and author in (None, entry.author):
            yield _audited(entry, view.version(entry.kind, entry.code, entry.version - 1))


def _audited(entry: Entry, previous: Entry | None) -> Audited:
    if entry.retired:
        return Audited(entry, "retired", ())
    if previous is None or previous.retired:
        return Audited(entry, "created", tuple(_differences("", {}, _shown(entry.body))))
    return Audited(entry, "changed", tuple(_differences("", _shown(previous.body), _shown(entry.body))))


def _shown(body: Mapping[str, Any]) -> JsonObject:
    return {name: value for name, value in body.items() if name not in HIDDEN and name != "code"}


def _differences(path: str, before: Any, after: Any) -> Iterator[JsonObject]:
    """Field by field. Lists of entries with codes are compared code by code, other lists as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            yield from _differences(path + path_text((name,)), before.get(name, _MISSING), after.get(name, _MISSING))
    elif (old := _by_code(before)) is not None and (new := _by_code(after)) is not None:
        for code in dict.fromkeys((*old, *new)):
            yield from _differences(f"{path}[{code}]", old.get(code, _MISSING), new.get(code, _MISSING))
    elif before != after:
        change = {"path": path.removeprefix("."), "before": before, "after": after}
        yield {name: value for name, value in change.items() if value is not _MISSING}


def _by_code(value: Any) -> JsonObject | None:
    """The items of a list by their codes (of a charge: or its product's), None where they do not all have one."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    codes = [item.get("code") or item.get("product") for item in value]
    if not all(isinstance(code, str) for code in codes) or len(set(codes)) < len(codes):
        return None
    return dict(zip(codes, value, strict=True))
