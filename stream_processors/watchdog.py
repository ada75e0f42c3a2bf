"""Consumers have been seen to stop silently: progress is compared with the log's end, and a stalled worker ends hard."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from confluent_kafka import KafkaException

from stream_processors.parts import Parts
from stream_processors.pipeline import end_hard

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
STALL_SECONDS: Final = 20.0


class Watchdog:
    """Ends the process when a partition of usage.events that it owns has records, ClickHouse answers, and nothing moves."""

    def __init__(self, parts: Parts, app: Any, stall_seconds: float = STALL_SECONDS) -> None:
        self._parts = parts
        self._app = app
        self._stall = stall_seconds
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watch until the process ends."""
        self._thread.start()

    def _run(self) -> None:
        idle_since = time.monotonic()
        while not self._parts.stopping.wait(CHECK_SECONDS):
            if self._parts.meter.failing_since is not None or not self._behind():
                idle_since = time.monotonic()
            stalled = time.monotonic() - max(idle_since, self._parts.pipeline.moved_at)
            if stalled > self._stall:
                end_hard(f"the consumer has stood still for {stalled:.0f} s with records to read")

    def _behind(self) -> bool:
        try:
            return self._parts.behind(self._app)
        except (KafkaException, RuntimeError) as error:
            log.warning("watchdog: %s", error)
            return False
