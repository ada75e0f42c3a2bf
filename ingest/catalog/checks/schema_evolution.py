"""Whether an event type's changed schema may follow the one that stands (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.catalog.document import Fault
from schemas.catalog.models import EventType
from schemas.event_schema import incompatibilities, parse_schema


def evolution_faults(standing: EventType, wanted: EventType, place: str) -> Iterator[Fault]:
    """Why ``wanted`` may not be the next version under its own ``compatibility``. A first schema may always come;
    taking the schema away reads everything, but nothing that is sent then is sure to fit the old one."""
    if standing.avro is None or wanted.compatibility == "none":
        return
    if wanted.avro is None:
        if wanted.compatibility != "backward":
            detail = f"compatibility {wanted.compatibility} keeps a schema; leave it, or set compatibility to none"
            yield Fault(f"{place}.schema", detail)
        return
    new, old = parse_schema(wanted.avro), parse_schema(standing.avro)
    for detail in incompatibilities(new, old, wanted.compatibility):
        yield Fault(f"{place}.schema", f"{detail}; or set compatibility to none")
