"""Catalog entries of finished backfills: the checkpoint from which on a profile version also counts older events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from schemas.catalog.base import Code, Identifier, Model

PartitionEnd = tuple[tuple[int, int], int]
"""((generation, partition), next offset)."""


class Backfill(Model):
    """Version ``version`` of ``meter`` is backfilled over the events below ``offsets``, under the rolled-up
    checkpoint ``checkpoint``.

    Written by the backfill process, never by users. Version 1 of the entry is the backfill itself; later ones cover
    events that were appended afterwards by gateways that did not know the meter's version yet.
    """

    code: Identifier
    meter: Code
    version: Annotated[int, Field(ge=1)]
    checkpoint: Annotated[int, Field(ge=1)]
    offsets: tuple[tuple[int, int, int], ...]


def backfill_code(meter: str, version: int) -> str:
    """The code of the backfill's entry."""
    return f"{meter}.{version}"


@dataclass(frozen=True, slots=True)
class BackfillReach:
    """From ``checkpoint`` on the version counts all events below ``ends``; ``catalog_offset``: offset of the entry
    that records it."""

    checkpoint: int
    catalog_offset: int
    ends: tuple[PartitionEnd, ...]

    @property
    def offsets(self) -> dict[tuple[int, int], int]:
        """(generation, partition) → next offset."""
        return dict(self.ends)
