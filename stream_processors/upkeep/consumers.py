"""How the watchdog observes each of a worker's consumers (one per consumer group)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.kafka.lag import Lag
from schemas.kafka.topics import (
    CHECKPOINTS,
    INBOX_PARTITIONS,
    INVOICE_PARTITIONS,
    INVOICES,
    REJECTED,
    REJECTED_PARTITIONS,
)
from schemas.ledgers.checkpoints import read_progress
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.journal import Journal
from stream_processors.metering.pipeline import MeterPipeline
from stream_processors.threads import Work
from stream_processors.upkeep.assignment import ConsumerApp, owned, stall_tolerance
from stream_processors.upkeep.watchdog import Watched

log = logging.getLogger(__name__)

LEDGERS: Final = {REJECTED: REJECTED_PARTITIONS, CHECKPOINTS: 1, INVOICES: INVOICE_PARTITIONS}
"""The topics of the ledgers' consumer group and their numbers of partitions."""


@dataclass(frozen=True, slots=True)
class EventsConsumer:
    """The consumer of usage.events.

    ``journal`` provides its cursors and ``log_lag`` the log's first and next offsets; ``go_on_at(partition,
    cursor)`` makes it continue at a cursor.
    """

    topic: str
    partitions: int
    generation: int
    meter: UnitMeter
    pipeline: MeterPipeline
    journal: Journal
    log_lag: Lag
    go_on_at: Callable[[int, int], None]

    def watched_in(self, app: ConsumerApp) -> Watched:
        """The consumer of ``app`` as the watchdog observes it."""
        return Watched(
            "usage.events",
            lambda: self._behind(app),
            lambda: self.pipeline.moved_at,
            lambda: self.meter.failing_since is not None or self.meter.held,
            lambda: stall_tolerance(app, self.pipeline.busy),
            lambda: self._nudge(app),
        )

    def _behind(self, app: ConsumerApp) -> bool:
        # A log that begins above the cursor cannot be consumed (``LogWatch`` reports it), and a restart would not help.
        if not (places := owned(app, {self.topic: self.partitions})):
            return False
        # The cursor lies no lower than this worker has written itself, unless ClickHouse was restored from a copy,
        # which ends the worker (``restored``).
        durable = self.meter.durable
        ends = {
            place: end
            for place, end in self.log_lag.ends(places).items()
            if end > durable.get((self.generation, place[1]), 0)
        }
        cursors = self.journal.run("read the cursors", read_progress) if ends else {}
        return any(
            self.log_lag.bounds(topic, partition)[0] <= cursor
            for (topic, partition), end in ends.items()
            for cursor in (cursors.get((self.generation, partition), 0),)
            if cursor < end
        )

    def _nudge(self, app: ConsumerApp) -> None:
        """Seek to the cursors: the consumer stalls with records to read and may be positioned beyond the log's end."""
        for topic, partition in owned(app, {self.topic: self.partitions}):
            cursor = self.journal.cursor(self.generation, partition)
            low, high = self.log_lag.bounds(topic, partition)
            if low <= cursor < high:
                log.warning(
                    "partition %d stands still below the log's end; seeking to its cursor %d", partition, cursor
                )
                self.go_on_at(partition, cursor)


def watched_inboxes(
    app: ConsumerApp, topics: Callable[[], set[str]], unread: Callable[[Sequence[tuple[str, int]]], bool], work: Work
) -> Watched:
    """The consumer of the inboxes; ``topics`` returns the present ones, which grow with the namespaces. ``unread``:
    whether any of these partitions has records that are not admitted."""
    return Watched(
        "the inboxes",
        lambda: unread(owned(app, dict.fromkeys(topics(), INBOX_PARTITIONS))),
        lambda: work.moved_at,
        lambda: bool(work.trouble),  # /readyz reports it
        lambda: stall_tolerance(app, work.busy),
    )


def watched_ledgers(app: ConsumerApp, lag: Lag, work: Work) -> Watched:
    """The consumer of the ledger topics and of rejections."""
    return Watched(
        "the ledger topics",
        lambda: lag.behind(owned(app, LEDGERS)),
        lambda: work.moved_at,
        lambda: work.busy,  # a roll-up has no time limit
        lambda: stall_tolerance(app, False),
    )
