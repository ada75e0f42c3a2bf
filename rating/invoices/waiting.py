"""Progress reports and waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from schemas.errors import WeirError

Progress = Callable[[str, int, int], None]
"""Called with (activity, done, total) whenever they change."""

_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.1


class CloseError(WeirError):
    """The close cannot continue; the message names the place and the remedy. Running it again is safe."""


def wait_until(
    doing: str, measure: Callable[[], tuple[int, int]], on_progress: Progress, stalled_seconds: float, remedy: str
) -> None:
    """Wait until ``measure()`` returns (done, total) with done ≥ total.

    Raises CloseError with ``remedy`` after ``stalled_seconds`` without progress, however long it takes in total.
    """
    progress_before: tuple[int, int] | None = None
    pause = _FIRST_PAUSE_SECONDS
    deadline = time.monotonic() + stalled_seconds
    while True:
        done, total = measure()
        if (done, total) != progress_before:
            on_progress(doing, min(done, total), total)
            progress_before, deadline = (done, total), time.monotonic() + stalled_seconds
        if done >= total:
            return
        if time.monotonic() > deadline:
            raise CloseError(f"{doing}: no progress for {stalled_seconds:g} s at {done} of {total}; {remedy}")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
