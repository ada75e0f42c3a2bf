"""Runs an agent's blocking work in threads: retried until it succeeds, monitored for stalls, never failing
silently.

No exception may leave an agent, since a crashed Faust worker can hang instead of exiting. An error that is not
retried ends the process, and the supervisor restarts it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

from confluent_kafka import KafkaException

from schemas.clickhouse.errors import GIVE_UP_SECONDS
from schemas.errors import EXIT_HELD, CannotGoOn
from schemas.kafka.errors import RecordRefused, kafka_error, meaning
from schemas.ledgers.errors import LedgerUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_HARD: Final = 70
RETRY_SECONDS: Final = 1.0


class Stopping(Exception):
    """The worker is stopping; work that was being retried is left to its successor."""


def executor(name: str) -> ThreadPoolExecutor:
    """A pool of one thread, so that submitted calls run in order."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


def end_hard(why: str, code: int = EXIT_HARD) -> NoReturn:
    """End the process at once. Nothing is lost, because nothing that is not durable was acknowledged."""
    log.critical("%s; ending the process", why)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


async def guarded(what: str, work: Awaitable[None]) -> None:
    """Await ``work`` and end the process on any exception. Faust would otherwise continue without the agent, and
    its topics would no longer be consumed."""
    try:
        await work
    except Exception as error:
        log.exception(what)
        end_hard(f"{what} cannot go on: {error!r}")


class Work:
    """Progress of an agent, for stall detection: use it as a (re-entrant) context manager around each piece of
    work.

    ``moved_at``: monotonic instant of the last step; ``position``: what is being worked on; ``trouble``: the error
    being retried, "" if none.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self.moved_at = time.monotonic()
        self.position = ""
        self.trouble = ""

    @property
    def busy(self) -> bool:
        """Whether a piece of work is in progress."""
        return self._pieces > 0

    def __enter__(self) -> None:
        if not self._pieces:  # idle time does not count as a stall
            self.moved_at = time.monotonic()
        self._pieces += 1

    def __exit__(self, *_: object) -> None:
        self._pieces -= 1
        self.moved()

    def moved(self) -> None:
        """Note that a step succeeded now."""
        self.moved_at = time.monotonic()
        self.trouble = ""


async def in_thread(pool: ThreadPoolExecutor, what: str, call: Callable[[], T], work: Work | None = None) -> T:
    """Run ``call`` in the pool until it succeeds. For work that is safe to repeat and cannot fail because of a
    single record.

    While Kafka or ClickHouse is away it waits and retries, noting the error in ``work``. An error that retries
    cannot fix ends the process after ``GIVE_UP_SECONDS`` with ``EXIT_HELD``, so that the supervisor does not
    restart it; any other exception ends it at once.
    """
    loop = asyncio.get_running_loop()
    hopeless_since: float | None = None
    while True:
        try:
            return await loop.run_in_executor(pool, call)
        except Stopping:
            await asyncio.Event().wait()
        except (LedgerUnavailable, KafkaException, TimeoutError, CannotGoOn, RecordRefused) as error:
            log.warning("%s: %s; trying again", what, error)
            if work is not None:
                work.trouble = str(error)
            if not _hopeless(error):
                hopeless_since = None
            elif hopeless_since is None:
                hopeless_since = time.monotonic()
            elif time.monotonic() - hopeless_since > GIVE_UP_SECONDS:
                end_hard(f"{what} cannot go on: {error}", EXIT_HELD)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:
            log.exception(what)
            end_hard(f"{what} cannot go on: {error}")


def _hopeless(error: Exception) -> bool:
    cause = kafka_error(error)
    return isinstance(error, CannotGoOn | RecordRefused) or (cause is not None and meaning(cause) != "may pass")
