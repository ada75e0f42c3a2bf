"""The changes that applying a catalog document would make, and how the API shows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ingest.catalog.document import Fault
from schemas.catalog.base import Model
from schemas.catalog.meters import Meter
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

PlannedAction = Literal["created", "changed", "retired", "unchanged"]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one entry. ``version``: the version that results (for "unchanged": the present one)."""

    action: PlannedAction
    kind: str
    code: str
    version: int
    model: Model


@dataclass(frozen=True, slots=True)
class CatalogPlan:
    """All changes of a document, in the order of publication."""

    namespace: str
    changes: tuple[Change, ...]
    warnings: tuple[Fault, ...] = ()

    def to_publish(self) -> list[Change]:
        """The changes that need a record."""
        return [change for change in self.changes if change.action != "unchanged"]

    def summary(self) -> JsonObject:
        """``{"namespace", "created": [{"kind", "code", "version"}], "changed", "retired", "unchanged"}``, and
        ``"warnings": [{"path", "detail"}]`` if there are any. A published meter with a start also has ``start`` and
        ``event_name``."""
        lists: dict[str, list[JsonObject]] = {"created": [], "changed": [], "retired": [], "unchanged": []}
        for change in self.changes:
            summary = {"kind": change.kind, "code": change.code, "version": change.version}
            if (
                isinstance(change.model, Meter)
                and change.model.start is not None
                and change.action in ("created", "changed")
            ):
                summary |= {
                    "start": rfc3339(micros(change.model.start)),
                    "event_name": change.model.event_name or change.code,
                }
            lists[change.action].append(summary)
        return {"namespace": self.namespace, **lists, **self.warned()}

    def warned(self) -> JsonObject:
        """``{"warnings": [{"path", "detail"}]}``, empty if there are none."""
        if not self.warnings:
            return {}
        return {"warnings": [{"path": fault.path, "detail": fault.detail} for fault in self.warnings]}
