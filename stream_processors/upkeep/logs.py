"""Logging of the worker: an outage fills no disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

SECONDS: Final = 5.0


class Sparing(logging.Filter):
    """Lets one record a level and logger pass in ``seconds``, of loggers below ``prefix``, and says how many it held
    back.

    A client that reconnects all the time says the same thing a hundred times a second.
    """

    def __init__(self, prefix: str, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._prefix = prefix
        self._seconds = seconds
        self._clock = clock
        self._passed: dict[tuple[str, int], float] = {}
        self._held: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
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


class Quiet(logging.Filter):
    """Lowers to DEBUG what Faust says as an ERROR of every partition after every rebalance.

    It counts from the worker's start, not from the assignment: once the worker is older than a minute or so, each
    partition that was assigned a moment ago "has not sent fetch request since start", by the hundred with each new
    inbox. A consumer that really stands still is known by what is in Kafka and was not taken (``watchdog.py``), which
    says so and ends the worker. All else that Faust says stays as it is.
    """

    LOGGER: Final = "faust.transport.drivers.aiokafka"
    MESSAGE: Final = "Aiokafka has not sent fetch request for %r since start (started %s)"

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.name != self.LOGGER or record.levelno != logging.ERROR or self._said(record.msg) != self.MESSAGE:
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger().isEnabledFor(logging.DEBUG)

    @staticmethod
    def _said(message: object) -> str:
        """Without the name of the service that Faust puts before it: "[^--Name]: "."""
        text = str(message)
        return text.partition("]: ")[2] if text.startswith("[^") else text


def set_up() -> None:
    """One line a record on stderr; libraries say only what is wrong, and not all the time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("aiokafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for retried in ("urllib3", "clickhouse_connect"):  # the journal says once what failed and when it tries again
        logging.getLogger(retried).setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Quiet())
        handler.addFilter(Sparing("aiokafka"))
