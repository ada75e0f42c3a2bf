"""Checks whether a changed event schema is compatible with the present one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.catalog.document import Fault
from schemas.catalog.meters import EventType
from schemas.event_schema import incompatibilities, parse_schema


def evolution_faults(standing: EventType, proposed: EventType, path: str) -> Iterator[Fault]:
    """Why ``proposed`` may not follow ``standing`` under its own ``compatibility`` setting.

    A first schema is always allowed. Removing the schema is backward compatible only: events sent afterwards may
    not fit the old one.
    """
    if standing.avro is None or proposed.compatibility == "none":
        return
    if proposed.avro is None:
        if proposed.compatibility != "backward":
            detail = f"compatibility {proposed.compatibility} keeps a schema; leave it, or set compatibility to none"
            yield Fault(f"{path}.schema", detail)
        return
    new, old = parse_schema(proposed.avro), parse_schema(standing.avro)
    for detail in incompatibilities(new, old, proposed.compatibility):
        yield Fault(f"{path}.schema", f"{detail}; or set compatibility to none")
