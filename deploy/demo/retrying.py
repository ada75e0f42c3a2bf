"""Retries what fails because a part of the stack was killed and is not back yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from deploy.cli.errors import FAILED, Failure, explain

Result = TypeVar("Result")

_PAUSE_S = 0.5


def retried(doing: str, action: Callable[[], Result], seconds: float = 180.0) -> Result:
    """``action``'s result, tried again for ``seconds`` while something outside does not answer.

    For actions that may be repeated. Raises Failure with the last reason; a bug and wrong input pass at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except Exception as error:
            reason = explain(error)
            if reason is None or (isinstance(error, Failure) and error.code != FAILED):
                raise
            if time.monotonic() > deadline:
                raise Failure(f"{doing}: {reason}") from error
        time.sleep(_PAUSE_S)


def wait(doing: str, measure: Callable[[], tuple[int, int]], show: Callable[[int, int], None], seconds: float) -> None:
    """Until ``measure()`` gives (done, total) with done ≥ total. Raises Failure after ``seconds`` without progress."""
    previous: tuple[int, int] | None = None
    deadline = time.monotonic() + seconds
    while True:
        now = retried(doing, measure)
        if now != previous:
            show(*now)
            previous, deadline = now, time.monotonic() + seconds
        if now[0] >= now[1]:
            return
        if time.monotonic() > deadline:
            raise Failure(
                f"{doing}: no progress for {seconds:.0f} s at {now[0]} of {now[1]}; `weir status` tells what is up"
            )
        time.sleep(0.2)
