"""How a close tells where it is, and waits: with a deadline, never silently."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from schemas.errors import WeirError

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total) whenever that changes."""

_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.1


class CloseError(WeirError):
    """The close cannot go on; the message names the place and the remedy. Running it again is always safe."""


def wait_until(
    doing: str, measure: Callable[[], tuple[int, int]], on_progress: Progress, stalled_seconds: float, remedy: str
) -> None:
    """Wait until ``measure()`` gives (done, total) with done ≥ total.

    Raises CloseError with ``remedy`` after ``stalled_seconds`` without any progress, however long the whole takes.
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
