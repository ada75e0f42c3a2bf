"""Logging of a worker, limited so that an outage does not fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

SECONDS: Final = 5.0


class LogRateLimit(logging.Filter):
    """Rate limit for log records: of each logger below ``prefix``, at most one record per level in ``seconds``; the
    next one states how many were suppressed.

    A client that keeps reconnecting repeats the same message a hundred times a second.
    """

    def __init__(self, prefix: str, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._prefix = prefix
        self._seconds = seconds
        self._clock = clock
        self._passed: dict[tuple[str, int], float] = {}
        self._held: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is emitted."""
        if not record.name.startswith(self._prefix):
            return True
        key = (record.name, record.levelno)
        now = self._clock()
        if now - self._passed.get(key, float("-inf")) < self._seconds:
            self._held[key] = self._held.get(key, 0) + 1
            return False
        self._passed[key] = now
        if held := self._held.pop(key, 0):
            record.msg, record.args = f"{record.getMessage()} ({held} more like it before)", ()
        return True


class RebalanceErrorFilter(logging.Filter):
    """Lowers a misleading ERROR of Faust, logged for every partition after every rebalance, to DEBUG.

    Faust measures from the worker's start instead of the assignment: once the worker is older than about a minute,
    each partition that was just assigned "has not sent fetch request since start". A consumer that really stalls is
    detected by the watchdog (``watchdog.py``), which logs it and ends the worker. Other messages are unchanged.
    """

    LOGGER: Final = "faust.transport.drivers.aiokafka"
    MESSAGE: Final = "Aiokafka has not sent fetch request for %r since start (started %s)"

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is emitted."""
        if record.name != self.LOGGER or record.levelno != logging.ERROR or self._said(record.msg) != self.MESSAGE:
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger().isEnabledFor(logging.DEBUG)

    @staticmethod
    def _said(message: object) -> str:
        """The message without the service name that Faust puts before it: "[^--Name]: "."""
        text = str(message)
        return text.partition("]: ")[2] if text.startswith("[^") else text


def set_up() -> None:
    """Log to stderr, one line per record; libraries only from WARNING on, and rate-limited."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("aiokafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for retried in ("urllib3", "clickhouse_connect"):  # the journal logs their failures and its retries
        logging.getLogger(retried).setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RebalanceErrorFilter())
        handler.addFilter(LogRateLimit("aiokafka"))
