"""How long the day waits for what a stack that is still counting is to answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 60.0
"""Seconds after which what is not as the fold says is a difference."""


def wait_until(done: Callable[[], bool], seconds: float = PATIENCE, *, every: float = 0.5) -> None:
    """Returns once ``done()``, or after so many seconds: whoever waits compares what is answered then."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(every)
