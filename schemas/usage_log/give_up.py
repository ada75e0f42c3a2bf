"""Gives up offsets of usage.events: writes the claim to usage.catalog and reads it back (``ledgers.given_up``
defines its meaning)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from schemas.catalog.follower import read_catalog
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.given_up import OffsetRange, record_of
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.values.record_copy import replace

_ATTEMPTS: Final = 5


def claim_range(settings: Settings, offsets: OffsetRange) -> None:
    """Write a range to usage.catalog; returns once it is valid. Raises LedgerUnavailable."""
    for _ in range(_ATTEMPTS):
        catalog = read_catalog(settings)
        record = record_of(offsets, catalog.given_up.version + 1, uuid.uuid4().hex)
        _, offset = LedgerWriter(settings, CATALOG).append(b"given_up", codec("catalog_entry").encode(record))
        if _stands(read_catalog(settings, offset + 1).given_up.ranges, offsets):
            return
    raise LedgerUnavailable(f"{CATALOG}: {_ATTEMPTS} claims in a row lost to other writers; try again")


def _stands(ranges: Iterable[OffsetRange], offsets: OffsetRange) -> bool:
    return any(replace(range_, given_up_us=0) == offsets for range_ in ranges)
