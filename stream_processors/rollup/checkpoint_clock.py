"""When a worker cuts a checkpoint."""

from __future__ import annotations

import time

from stream_processors.rollup.checkpoints import RollUp


class CheckpointClock:
    """Due every ``seconds`` by a clock that only goes forward; the first time so long after it was made."""

    def __init__(self, rollup: RollUp, seconds: float) -> None:
        self._rollup = rollup
        self._seconds = seconds
        self._cut_at = time.monotonic()

    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() - self._cut_at >= self._seconds

    def cut(self) -> None:
        """Cut one, unless another worker just did. Raises Stopping, LedgerUnavailable."""
        self._cut_at = time.monotonic()
        self._rollup.cut(time.time_ns() // 1000)
