"""The audit trail of a namespace's catalog (who changed what, and when), derived from the catalog's own log. Pure.

The log itself is the trail: nothing is written in addition, so nothing can be missing, and the log is never
truncated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.catalog.state import Entry, NamespaceView
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject, path_text

Action = Literal["created", "changed", "retired"]
HIDDEN: Final = frozenset({"hash"})  # an API key's hash is not part of the trail
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Audited:
    """One published version. ``changes``: ``{"path", "before", "after"}``, without ``before`` for an added and
    ``after`` for a removed field."""

    entry: Entry
    action: Action
    changes: tuple[JsonObject, ...]

    def to_json(self) -> JsonObject:
        """The API's representation."""
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
    view: NamespaceView,
    *,
    kind: str | None = None,
    code: str | None = None,
    author: str | None = None,
    before_offset: int | None = None,
) -> Iterator[Audited]:
    """The versions published in the namespace at offsets below ``before_offset``, newest first; lazy."""
    for entry in view.log(before_offset):
        if kind in (None, entry.kind) and code in (None, entry.code) and author in (None, entry.author):
            yield _audited(entry, view.version(entry.kind, entry.code, entry.version - 1))


def audited_versions(view: NamespaceView, kind: str, code: str) -> Iterator[Audited]:
    """The versions of one entry, newest first; lazy, and reads nothing else."""
    versions = view.history(kind, code)
    for number in range(len(versions) - 1, -1, -1):
        yield _audited(versions[number], versions[number - 1] if number else None)


def _audited(entry: Entry, previous: Entry | None) -> Audited:
    if entry.retired:
        return Audited(entry, "retired", ())
    if previous is None or previous.retired:
        return Audited(entry, "created", tuple(_differences("", {}, _shown(entry.body))))
    return Audited(entry, "changed", tuple(_differences("", _shown(previous.body), _shown(entry.body))))


def _shown(body: Mapping[str, Any]) -> JsonObject:
    return {name: value for name, value in body.items() if name not in HIDDEN and name != "code"}


def _differences(path: str, before: Any, after: Any) -> Iterator[JsonObject]:
    """Differences by field. Lists whose items have codes are compared by code, other lists as a whole."""
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
    """The items of a list by code (a charge without one: by its product); None unless all items have one."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    codes = [item.get("code") or item.get("product") for item in value]
    if not all(isinstance(code, str) for code in codes) or len(set(codes)) < len(codes):
        return None
    return dict(zip(codes, value, strict=True))
