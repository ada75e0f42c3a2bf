"""Rests of long work in threads, while the loop serves others: both need the interpreter, and the threads would take
most of it.

A thread that works through a document asks often (``tick``). Once it has used WORK_SECONDS of CPU since its last rest,
and the loop has served a request lately, it sleeps for as long as it has worked, twice for each thread at such work. So
however many documents are worked at, the loop has half of the interpreter; a gateway that serves nobody meanwhile loses
no time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

WORK_SECONDS: Final = 0.005
LATELY_SECONDS: Final = 0.5
MOST_SECONDS: Final = 0.5
"""No rest is longer."""


class Rests:
    """Shared by the threads of one gateway. ``served``: when the loop took up a request last, by ``clock``."""

    def __init__(
        self, served: Callable[[], float], clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time, sleep: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        self._served = served
        self._clock = clock
        self._cpu = cpu
        self._sleep = sleep
        self._lock = threading.Lock()
        self._working = 0
        self._rested = threading.local()  # .at: CPU time of the thread at its last rest

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the whole work of one thread."""
        with self._lock:
            self._working += 1
        self._rested.at = self._cpu()
        try:
            yield
        finally:
            del self._rested.at
            with self._lock:
                self._working -= 1

    def tick(self) -> None:
        """Sleeps where it is time to. Outside of ``working`` nothing happens."""
        rested = getattr(self._rested, "at", None)
        if rested is None:
            return
        worked = self._cpu() - rested
        if worked < WORK_SECONDS:
            return
        if self._clock() - self._served() < LATELY_SECONDS:
            self._sleep(min(worked * 2 * self._working, MOST_SECONDS))
        self._rested.at = self._cpu()
