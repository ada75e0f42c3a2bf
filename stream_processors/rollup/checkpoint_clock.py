"""Schedule of a worker's checkpoint cuts."""

from __future__ import annotations

import time

from stream_processors.rollup.roll_up import RollUp


class CheckpointClock:
    """Due every ``seconds`` of monotonic time, first that long after its construction."""

    def __init__(self, rollup: RollUp, seconds: float) -> None:
        self._rollup = rollup
        self._seconds = seconds
        self._cut_at = time.monotonic()

    def due(self) -> bool:
        """Whether the next cut is due."""
        return time.monotonic() - self._cut_at >= self._seconds

    def cut(self) -> None:
        """Cut a checkpoint, unless another worker has just done so. Raises Stopping, LedgerUnavailable."""
        self._cut_at = time.monotonic()
        self._rollup.cut(time.time_ns() // 1000)
