"""Work that an agent hands to a thread: repeated until it succeeds, watched for standing still, never lost in silence.

No exception leaves an agent (a crashed Faust worker can hang instead of exiting): whatever is not a retry ends the
process hard, and the supervisor starts it again.
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
from schemas.ledgers.transport import LedgerUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_HARD: Final = 70
RETRY_SECONDS: Final = 1.0


class Stopping(Exception):
    """The worker is stopping; what was being retried is left for its successor."""


def executor(name: str) -> ThreadPoolExecutor:
    """A pool of one thread, so that what is submitted runs in order."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


def end_hard(why: str, code: int = EXIT_HARD) -> NoReturn:
    """End the process at once; nothing that is not durable was acknowledged, so nothing is lost."""
    log.critical("%s; ending the process", why)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


async def guarded(what: str, work: Awaitable[None]) -> None:
    """Await ``work``, and end the process on any exception: Faust would go on without the agent, whose topics would
    stand still."""
    try:
        await work
    except Exception as error:
        log.exception(what)
        end_hard(f"{what} cannot go on: {error!r}")


class Work:
    """Whether an agent is at work (entered as often as it began something), and the monotonic instant of its last step.

    ``position``: where it is at work; ``trouble``: the last error of what it tries again, "" where there was none.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self.moved_at = time.monotonic()
        self.position = ""
        self.trouble = ""

    @property
    def busy(self) -> bool:
        """Whether something is begun and not ended."""
        return self._pieces > 0

    def __enter__(self) -> None:
        if not self._pieces:  # who had nothing to do has not stood still
            self.moved_at = time.monotonic()
        self._pieces += 1

    def __exit__(self, *_: object) -> None:
        self._pieces -= 1
        self.moved()

    def moved(self) -> None:
        """Note that a step is done, now and without trouble."""
        self.moved_at = time.monotonic()
        self.trouble = ""


async def in_thread(pool: ThreadPoolExecutor, what: str, call: Callable[[], T], work: Work | None = None) -> T:
    """Run ``call`` in the pool until it succeeds; for work that is safe to repeat and has no poison in it.

    Kafka or ClickHouse away is a reason to wait, which ``work`` is told. What no repetition mends ends the process so
    that it is not started again as it is (``EXIT_HELD``), after ``GIVE_UP_SECONDS``; anything else ends it, too.
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
