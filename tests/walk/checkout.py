"""Names of a checkout's modules: today's, and those of commit 85cd642."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

FOLDER: Final = os.getcwd()
IS_OLD: Final = not os.path.exists(os.path.join(FOLDER, "rating", "invoicing"))
"""Whether it is a checkout from before the packages had rooms."""
_OLD: Final = {
    "schemas.kafka.codec": "schemas.codec",
    "schemas.events.identity": "schemas.identity",
    "schemas.ledgers.invoice_claims": "schemas.invoices",
    "schemas.usage_log.generation_change": "schemas.generation_change",
    "ingest.events.events_api": "ingest.events_api",
    "ingest.delivery.in_flight": "ingest.delivery",
    "stream_processors.metering.pipeline": "stream_processors.pipeline",
    "stream_processors.metering.flush": "stream_processors.meter",
    "stream_processors.metering.bloom": "stream_processors.bloom",
    "stream_processors.metering.dedupe": "stream_processors.dedupe",
    "stream_processors.projections.invoice_copy": "stream_processors.copies",
}


def module(name: str) -> Any:
    """The module that has today's ``name``."""
    return importlib.import_module(_OLD.get(name, name) if IS_OLD else name)


def publish(catalog_entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The catalog records of these entries: each with its ``kind`` and what its model takes."""
    state, models = module("schemas.catalog.state"), module("schemas.catalog.models")
    return [
        state.record_of(
            "air",
            models.KINDS[kind].model_validate(entry),
            kind=kind,
            version=1,
            author="t",
            claim_id=kind + str(number),
        )
        for number, entry in enumerate(catalog_entries)
        if (kind := entry.pop("kind"))
    ]
