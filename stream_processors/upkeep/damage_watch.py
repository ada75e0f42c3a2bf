"""Checks for table parts that ClickHouse has detached as damaged, and pauses metering while deduplication needs one
of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Final

from schemas.clickhouse.damaged_parts import DEDUPLICATION, DamagedPart, damaged_parts_of, reasons
from schemas.health.readiness import UnreadyReason
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.journal import Journal

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 20.0
"""Interval of the check while no damaged parts are known."""
LOOK_AGAIN_SECONDS: Final = 2.0
"""Interval of the check while there are damaged parts."""


class DamagedParts:
    """The damaged parts found by the last check, and the time of the next."""

    def __init__(self, journal: Journal, meter: UnitMeter) -> None:
        self._journal = journal
        self._meter = meter
        self._parts: list[DamagedPart] = []
        self._looked_at = float("-inf")

    def due(self) -> bool:
        """Whether the next check is due."""
        return time.monotonic() - self._looked_at >= (LOOK_AGAIN_SECONDS if self._parts else LOOK_SECONDS)

    def look(self) -> None:
        """Check for damaged parts, and pause or resume the meter. Raises Stopping."""
        self._looked_at = time.monotonic()
        self._parts = self._journal.run("look for damaged parts", damaged_parts_of)
        hold = any(part.table in DEDUPLICATION for part in self._parts)
        if hold and not self._meter.held:
            log.error("metering waits: %s", "; ".join(map(str, self.reasons())))
        if self._meter.held and not hold:
            self._meter.reassigned()  # rebuild the filters, which lack the identities that were restored
        self._meter.held = hold

    def reasons(self) -> Iterator[UnreadyReason]:
        """Readiness reasons: one for each remedy that is needed."""
        return reasons(self._parts)
