"""Parts that ClickHouse has set aside: a worker looks for them, and holds metering where deduplication needs one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Final

from schemas.clickhouse.damaged_parts import DEDUPLICATION, SetAside, reasons, set_aside
from schemas.health.readiness import Reason
from stream_processors.metering.flush import Meter
from stream_processors.metering.journal import Journal

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 20.0
"""How often a worker looks for parts that ClickHouse has set aside."""
LOOK_AGAIN_SECONDS: Final = 2.0
"""How often while there are some."""


class DamagedParts:
    """What the last look found, and when the next one is due."""

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal = journal
        self._meter = meter
        self._parts: list[SetAside] = []
        self._looked_at = float("-inf")

    def due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() - self._looked_at >= (LOOK_AGAIN_SECONDS if self._parts else LOOK_SECONDS)

    def look(self) -> None:
        """Look, and hold or release the meter. Raises Stopping."""
        self._looked_at = time.monotonic()
        self._parts = self._journal.run("look for damaged parts", set_aside)
        hold = any(part.table in DEDUPLICATION for part in self._parts)
        if hold and not self._meter.held:
            log.error("metering waits: %s", "; ".join(map(str, self.reasons())))
        if self._meter.held and not hold:
            self._meter.reassigned()  # the filters were built without what is there again
        self._meter.held = hold

    def reasons(self) -> Iterator[Reason]:
        """A reason for each remedy that is needed."""
        return reasons(self._parts)
