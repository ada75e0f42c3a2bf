"""What the catalog said at an offset, as far as it measures events: profile versions and schemas of event types."""

from __future__ import annotations

from collections.abc import Iterable

from rating.verify.scope import Scope
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.event_schema import Schema, parse_schema


class CatalogsByOffset:
    """Profile versions by namespace and catalog offset; batches name few catalogs, again and again."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._by_offset: dict[tuple[str, int], tuple[ProfileVersion, ...]] = {}
        self._by_view: dict[tuple[str, int], tuple[ProfileVersion, ...]] = {}
        self._schemas: dict[tuple[str, str, int], Schema] = {}

    def versions(self, namespace: str, offset: int) -> Iterable[ProfileVersion]:
        """All profile versions that the catalog below ``offset`` knows."""
        profile_versions_at = self._by_offset.get((namespace, offset))
        if profile_versions_at is None:
            view = self._scope.catalog.view(namespace, offset)
            profile_versions_at = self._by_view.get((namespace, view.before))
            if profile_versions_at is None:
                profile_versions_at = self._by_view[namespace, view.before] = profile_versions(view)
            self._by_offset[namespace, offset] = profile_versions_at
        return profile_versions_at

    def schema(self, namespace: str, offset: int, event_name: str) -> Schema | None:
        """That of the event type, as the catalog below ``offset`` has it, where events are read with its defaults."""
        entry = self._scope.catalog.view(namespace, offset).get("event_type", event_name)
        if entry is None or not entry.model.fill_defaults or entry.model.avro is None:
            return None
        key = (namespace, event_name, entry.version)
        if key not in self._schemas:
            self._schemas[key] = parse_schema(entry.model.avro)
        return self._schemas[key]
