"""Consumers have been seen to stop silently: what was taken is compared with the log's end, and a worker that stands
still ends hard.

The supervisor then starts it again. Whoever is at work on a record, or waits for ClickHouse or Kafka, is not silent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException

from stream_processors.threads import Stopping, end_hard

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
STALL_SECONDS: Final = 20.0
NUDGE: Final = 0.2
"""The part of its time after which a consumer that stands still is nudged."""
BALANCING: Final = 4.0
"""So many times longer may a rebalance take: the group waits for members that are at work, frozen or lost."""
BUSY: Final = 15.0
"""So many times longer may one piece of work take: ClickHouse's client gives a request 120 s before it counts as
failed."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One consumer. ``behind``: whether its partitions have records that were not taken (raises KafkaException,
    RuntimeError, Stopping); ``moved_at``: monotonic instant of its last step; ``excused``: whether it waits for
    something that fails; ``leash``: how many times longer than an idle consumer it may stand still."""

    name: str
    behind: Callable[[], bool]
    moved_at: Callable[[], float]
    excused: Callable[[], bool]
    leash: Callable[[], float]
    nudge: Callable[[], None] = lambda: None
    """Tried once a time of standing still, long before the process is ended: what may set the consumer going."""


class Stillness:
    """How long a consumer has stood still with records to read. Pure: instants and durations are seconds."""

    def __init__(self, now: float, stall: float) -> None:
        self._since = now
        self._stall = stall
        self._leash = 1.0
        self._nudged = False

    def seen(
        self, now: float, *, looked_for: float, behind: bool, excused: bool, leash: float, moved_at: float
    ) -> float:
        """Seconds it has stood still where that is too long, else 0. ``looked_for``: how long finding out took.

        A look that took long met a Kafka or a ClickHouse that was away meanwhile, which excuses the consumer, too.
        Another leash is another state, whose time begins anew: who has just got its partitions has not stood still
        while it waited for them.
        """
        if excused or not behind or looked_for > CHECK_SECONDS or leash != self._leash:
            self._since = now
        self._leash = leash
        still = now - max(self._since, moved_at)
        self._nudged = self._nudged and still > self._stall * leash * NUDGE
        return still if still > self._stall * leash else 0.0

    def nudges(self, now: float, moved_at: float) -> bool:
        """Whether it has stood still, idle and with its partitions, for so long that it is to be nudged; True once."""
        due = (
            not self._nudged
            and self._leash == 1.0
            and now - max(self._since, moved_at) > self._stall * self._leash * NUDGE
        )
        self._nudged = self._nudged or due
        return due


class Watchdog:
    """One thread a consumer; ``stopping`` ends them."""

    def __init__(self, watched: list[Watched], stopping: threading.Event, stall_seconds: float = STALL_SECONDS) -> None:
        self._stopping = stopping
        self._stall = stall_seconds
        self._threads = [
            threading.Thread(target=self._run, args=(consumer,), name=f"watchdog {consumer.name}", daemon=True)
            for consumer in watched
        ]

    def start(self) -> None:
        """Watch until the process ends."""
        for thread in self._threads:
            thread.start()

    def _run(self, consumer: Watched) -> None:
        stillness = Stillness(time.monotonic(), self._stall)
        while not self._stopping.wait(CHECK_SECONDS):
            looked = time.monotonic()
            try:
                behind = consumer.behind()
            except Stopping:
                return
            except (KafkaException, RuntimeError) as error:
                log.warning("watchdog of %s: %s", consumer.name, error)
                behind = False
            now = time.monotonic()
            stalled = stillness.seen(
                now, looked_for=now - looked, behind=behind, excused=consumer.excused(), leash=consumer.leash(),
                moved_at=consumer.moved_at()
            )  # fmt: skip
            if not stalled and stillness.nudges(now, consumer.moved_at()):
                try:
                    consumer.nudge()
                except Stopping:
                    return
                except (KafkaException, RuntimeError) as error:
                    log.warning("nudging %s: %s", consumer.name, error)
            if stalled:
                end_hard(f"the consumer of {consumer.name} has stood still for {stalled:.0f} s with records to read")
