"""Whether an event type's changed schema may follow the one that stands (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.catalog.document import Fault
from schemas.catalog.meters import EventType
from schemas.event_schema import incompatibilities, parse_schema


def evolution_faults(standing: EventType, proposed: EventType, path: str) -> Iterator[Fault]:
    """Why ``proposed`` may not be the next version under its own ``compatibility``. A first schema may always come;
    taking the schema away reads everything, but nothing that is sent then is sure to fit the old one."""
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
