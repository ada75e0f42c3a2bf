"""What the catalog says of a backfill that is done: from which checkpoint on a profile version counts older events,
too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from schemas.catalog.base import Code, Identifier, Model

PartitionEnd = tuple[tuple[int, int], int]
"""((generation, partition), next offset)."""


class Backfill(Model):
    """Version ``version`` of ``meter`` is backfilled over the events below ``offsets``, under checkpoint
    ``checkpoint``, which is rolled up.

    Written by the backfill itself, never by users. Entry version 1 is the backfill; a later one covers events that were
    appended after it although their gateway did not know the meter's version yet.
    """

    code: Identifier
    meter: Code
    version: Annotated[int, Field(ge=1)]
    checkpoint: Annotated[int, Field(ge=1)]
    offsets: tuple[tuple[int, int, int], ...]


def backfill_code(meter: str, version: int) -> str:
    """The code of its entry."""
    return f"{meter}.{version}"


@dataclass(frozen=True, slots=True)
class Reach:
    """From ``checkpoint`` on, the version counts all events below ``ends``; ``catalog_offset``: of the entry that says
    so."""

    checkpoint: int
    catalog_offset: int
    ends: tuple[PartitionEnd, ...]

    @property
    def offsets(self) -> dict[tuple[int, int], int]:
        """(generation, partition) → next offset."""
        return dict(self.ends)
