"""Detects consumers that stop silently: if a consumer makes no progress although its partitions have unread
records, the worker process is ended, and its supervisor restarts it.

A consumer that is processing a record, or waits for ClickHouse or Kafka, is not considered stalled.
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
REST_SECONDS: Final = 4.0
"""Between two looks while there is nothing to read, or what there is is read: a worker that stands still is what is
looked for, so others ask Kafka and ClickHouse less."""
STALL_SECONDS: Final = 20.0
NUDGE: Final = 0.2
"""Fraction of the stall time after which a stalled consumer is nudged."""
BALANCING: Final = 4.0
"""Factor on the stall time during a rebalance: the group waits for members that are busy, frozen or lost."""
BUSY: Final = 15.0
"""Factor on the stall time during one piece of work: a request to ClickHouse times out after 120 s only."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A consumer as the watchdog observes it.

    ``behind``: whether its partitions have unread records (raises Stopping; any other error counts as no);
    ``moved_at``: monotonic instant of its last step; ``excused``: whether it waits for something that fails;
    ``tolerance``: the factor by which it may stall longer than ``stall``.
    """

    name: str
    behind: Callable[[], bool]
    moved_at: Callable[[], float]
    excused: Callable[[], bool]
    tolerance: Callable[[], float]
    nudge: Callable[[], None] = lambda: None
    """Called once per stall, long before the process is ended; may get the consumer going again."""


class StallTimer:
    """How long a consumer has stalled with records to read. Pure: instants and durations are in seconds."""

    def __init__(self, now: float, stall: float) -> None:
        self._since = now
        self._stall = stall
        self._tolerance = 1.0
        self._nudged = False

    def seen(
        self, now: float, *, looked_for: float, behind: bool, excused: bool, tolerance: float, moved_at: float
    ) -> float:
        """Take an observation; returns the seconds stalled if that is too long, else 0. ``looked_for``: duration of
        the observation.

        The time of a slow observation does not count: Kafka or ClickHouse was away meanwhile, or the machine is busy,
        and the consumer may wait for the same. Between slow observations it does count, or a consumer would never be
        noticed where each of them is slow. A change of ``tolerance`` restarts the measurement: a consumer that has just
        been assigned its partitions did not stall while it waited for them.
        """
        if excused or not behind or tolerance != self._tolerance:
            self._since = now
        elif looked_for > CHECK_SECONDS:
            self._since = min(now, max(self._since, moved_at) + looked_for)
        self._tolerance = tolerance
        still = now - max(self._since, moved_at)
        self._nudged = self._nudged and still > self._stall * tolerance * NUDGE
        return still if still > self._stall * tolerance else 0.0

    def nudges(self, now: float, moved_at: float) -> bool:
        """Whether to nudge now: the consumer is idle, has partitions and has stalled for the fraction ``NUDGE``.
        True once per stall."""
        due = (
            not self._nudged
            and self._tolerance == 1.0
            and now - max(self._since, moved_at) > self._stall * self._tolerance * NUDGE
        )
        self._nudged = self._nudged or due
        return due


class Watchdog:
    """Watches each consumer in a thread, until ``stopping`` is set."""

    def __init__(self, watched: list[Watched], stopping: threading.Event, stall_seconds: float = STALL_SECONDS) -> None:
        self._stopping = stopping
        self._stall = stall_seconds
        self._threads = [
            threading.Thread(target=self._run, args=(consumer,), name=f"watchdog {consumer.name}", daemon=True)
            for consumer in watched
        ]

    def start(self) -> None:
        """Start watching."""
        for thread in self._threads:
            thread.start()

    def _run(self, consumer: Watched) -> None:
        stillness = StallTimer(time.monotonic(), self._stall)
        behind = True
        while not self._stopping.wait(CHECK_SECONDS if behind else REST_SECONDS):
            looked = time.monotonic()
            try:
                # Who has moved just now does not stand still, whatever there is to read.
                behind = looked - consumer.moved_at() >= CHECK_SECONDS and consumer.behind()
            except Stopping:
                return
            except Exception as error:
                _report(f"watchdog of {consumer.name}", error)
                behind = False
            now = time.monotonic()
            stalled = stillness.seen(
                now,
                looked_for=now - looked,
                behind=behind,
                excused=consumer.excused(),
                tolerance=consumer.tolerance(),
                moved_at=consumer.moved_at(),
            )
            if not stalled and stillness.nudges(now, consumer.moved_at()):
                try:
                    consumer.nudge()
                except Stopping:
                    return
                except Exception as error:
                    _report(f"nudging {consumer.name}", error)
            if stalled:
                end_hard(f"the consumer of {consumer.name} has stood still for {stalled:.0f} s with records to read")


def _report(what: str, error: Exception) -> None:
    """Whatever it is, the thread goes on: without it a silent consumer would stay silent."""
    expected = isinstance(error, KafkaException | RuntimeError)
    log.warning("%s: %s", what, error, exc_info=None if expected else error)
