"""Starts and supervises the backfill process while a backfill is pending.

The worker that is assigned usage.checkpoints starts it, so there is normally one for all workers. During a
rebalance two may run at once; both then do the same work and write the same rows. The process tells how it gets on
by lines of JSON on its standard output (``BackfillBeat``).
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from schemas.catalog.backfill_jobs import waiting, watched
from schemas.catalog.state import Catalog

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "stream_processors.backfill")
_AGAIN_SECONDS: Final = 5.0
_WATCH_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class BackfillBeat:
    """``still``: seconds since the process's last step; ``trouble``: the error that it retries, "" if none."""

    still: float
    trouble: str

    def line(self) -> bytes:
        """As the process writes it."""
        return json.dumps(asdict(self)).encode() + b"\n"


class BackfillChild:
    """Supervisor of the backfill process; call ``look`` about once a second.

    ``stragglers`` returns whether events arrived that a finished backfill has yet to count; it queries ClickHouse
    and is called at most once a minute.
    """

    def __init__(
        self,
        catalog: Catalog,
        stragglers: Callable[[], bool],
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._stragglers = stragglers
        self._command = command
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._looked_at = -1
        self._not_before = 0.0
        self._watch_at = clock() + _WATCH_SECONDS
        self._told = BackfillBeat(0.0, "")
        self._unread = b""
        self._ended = ""
        self.moved_at = clock()
        self.position = "`weir backfill list` tells"

    @property
    def busy(self) -> bool:
        """Whether the process runs, or keeps failing."""
        return self._process is not None or bool(self._ended)

    @property
    def trouble(self) -> str:
        """What the process retries, or how it ended; "" if neither."""
        return self._told.trouble or self._ended

    @property
    def pid(self) -> int | None:
        """Process id, None while no process runs."""
        return None if self._process is None else self._process.pid

    def look(self, owner: bool) -> None:
        """Check whether the process has ended, and start one if a backfill is pending and this worker is the
        ``owner`` of usage.checkpoints."""
        if self._process is not None:
            code = self._process.poll()
            self._listen(self._process)
            if code is None:
                return
            self._told = BackfillBeat(0.0, "")
            if code:
                log.warning("the backfill ended with %d; starting it again where something waits", code)
                self._not_before = self._clock() + _AGAIN_SECONDS
                if not self._ended:
                    self.moved_at = self._clock()
                self._ended = f"its process ends with code {code} again and again"
            else:
                self._ended = ""
            self._close(self._process)
            self._process = None
            self._looked_at = -1
        if owner and self._clock() >= self._not_before and self._waits():
            self._process = subprocess.Popen(  # noqa: S603 (a module of our own)
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
            if self._process.stdout is not None:
                os.set_blocking(self._process.stdout.fileno(), False)
            self._unread = b""
            if not self._ended:
                self.moved_at = self._clock()
            log.info("backfilling in process %d", self._process.pid)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Take the newest line that the process has written."""
        if process.stdout is None:
            return
        *lines, self._unread = (self._unread + (process.stdout.read() or b"")).split(b"\n")
        for line in lines:
            try:
                told = json.loads(line)
                self._told = BackfillBeat(float(told["still"]), str(told["trouble"]))
            except (ValueError, TypeError, KeyError):
                continue  # a line of a library
            if not self._ended:  # a process that ends again and again gets no further, whatever it says meanwhile
                self.moved_at = self._clock() - self._told.still

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _waits(self) -> bool:
        offset = self._catalog.next_offset
        if offset != self._looked_at:
            if next(waiting(self._catalog), None) is not None:
                return True
            self._looked_at = offset
        if self._clock() < self._watch_at:
            return False
        self._watch_at = self._clock() + _WATCH_SECONDS
        return next(watched(self._catalog, time.time_ns() // 1000), None) is not None and self._stragglers()
