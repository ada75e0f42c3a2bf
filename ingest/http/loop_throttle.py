"""Makes threads with long CPU-bound work sleep in between, so that the event loop gets its share of the
interpreter.

A thread that processes a document calls ``tick`` often, and once more when it is done: many short documents are one
long work. Once a thread has used WORK_SECONDS of CPU since its last rest, and if the loop has served a request
recently, it sleeps for twice that time, multiplied by the number of threads at such work. However many documents are
processed, at least half of the interpreter is left to the loop; a gateway without requests loses no time.
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
"""Upper limit of one rest."""


class LoopThrottle:
    """Shared by the threads of one gateway. ``served``: when the loop last started a request, by ``clock``."""

    def __init__(
        self,
        served: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._served = served
        self._clock = clock
        self._cpu = cpu
        self._sleep = sleep
        self._lock = threading.Lock()
        self._working = 0
        # .at: CPU time of the thread at its last rest, while it works; .before: CPU it used since then in earlier works
        self._rested = threading.local()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Context manager around the complete work of one thread."""
        with self._lock:
            self._working += 1
        self._rested.at = self._cpu() - getattr(self._rested, "before", 0.0)
        try:
            yield
        finally:
            self.tick()
            self._rested.before = self._cpu() - self._rested.at
            del self._rested.at
            with self._lock:
                self._working -= 1

    def tick(self) -> None:
        """Sleep if a rest is due. Does nothing outside of ``working``."""
        rested = getattr(self._rested, "at", None)
        if rested is None:
            return
        worked = self._cpu() - rested
        if worked < WORK_SECONDS:
            return
        if self._clock() - self._served() < LATELY_SECONDS:
            self._sleep(min(worked * 2 * self._working, MOST_SECONDS))
        self._rested.at = self._cpu()
