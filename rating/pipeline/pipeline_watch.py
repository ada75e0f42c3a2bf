"""Watches, in a thread, how far the pipeline is, and tells what of it stands still."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException

from rating.pipeline.progress import BY_COMMITS, BY_CURSORS, LedgersRead, LogEnds, read_done
from schemas.clickhouse.client import connect
from schemas.health.backlogs import CATALOG_COPY, CUTTING, ROLL_UP, Backlog, Backlogs, PipelineStage, StandingStage
from schemas.health.readiness import UnreadyReason
from schemas.health.stages import Attempts, stalled
from schemas.kafka.lag import holds_record
from schemas.ledgers.checkpoints import RolledUp
from schemas.settings import Settings
from schemas.values.record_copy import replace

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
_TIMEOUT_SECONDS: Final = 20
_LOOKING: Final = "reading how far the pipeline is, from"
_KAFKA: Final = "Kafka"
_BOTH: Final = "Kafka and ClickHouse"
_COUNTED: Final = (CATALOG_COPY, CUTTING, ROLL_UP)
"""Stages whose backlogs count entries or checkpoints, and not offsets of a partition."""


class PipelineWatch:
    """What waits and what stands still, as of the last look. ``ledgers``: as this process has read them. ``standing``
    and ``waiting`` are replaced as a whole, and may be read from any thread."""

    def __init__(
        self,
        settings: Settings,
        ledgers: Callable[[], LedgersRead],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._ledgers = ledgers
        self._backlogs = Backlogs(self._waits)
        self._attempts = Attempts(monotonic)
        self._rolled_up = RolledUp()
        self._client: Client | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline watch", daemon=True)
        self._told: frozenset[str] = frozenset()
        self._unseen: tuple[UnreadyReason, ...] = ()
        self.standing: tuple[StandingStage, ...] = ()
        self.waiting: dict[PipelineStage, int] = {}

    def start(self) -> None:
        """Look every LOOK_SECONDS from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, without waiting for a look under way."""
        self._stop.set()

    def reasons(self) -> tuple[UnreadyReason, ...]:
        """A reason for each stage that stands still, and for what could not be looked at for a minute."""
        return (*(stage.reason() for stage in self.standing), *self._unseen)

    def _run(self) -> None:
        ends = LogEnds(self._settings)
        while not self._stop.wait(LOOK_SECONDS):
            self.look(ends)

    def look(self, ends: LogEnds) -> None:
        """Look once. What cannot be asked stays as it was seen, and is told after a minute."""
        ledgers = self._ledgers()
        self._attempt(_KAFKA, lambda: self._look_at_commits(ends, ledgers))
        self._attempt(_BOTH, lambda: self._look_at_cursors(ends, ledgers))
        now, now_us = self._monotonic(), time.time_ns() // 1000
        self.standing = tuple(self._backlogs.standing(now, now_us))
        self.waiting = self._backlogs.waiting()
        unseen = stalled(self._attempts.stages("the watch of the pipeline", lambda: "its last look"), now, now_us)
        self._unseen = tuple(replace(reason, lasting=False) for reason in unseen)
        self._tell()

    def _look_at_commits(self, ends: LogEnds, ledgers: LedgersRead) -> None:
        self._backlogs.seen(BY_COMMITS, list(ends.by_commits(ledgers)), self._monotonic())

    def _look_at_cursors(self, ends: LogEnds, ledgers: LedgersRead) -> None:
        if self._client is None:
            self._client = connect(self._settings, timeout_seconds=_TIMEOUT_SECONDS)
        try:
            done = read_done(self._client, self._rolled_up)
        except BaseException:
            failed, self._client = self._client, None
            failed.close()
            raise
        backlogs = list(ends.by_cursors(ledgers, done, time.time_ns() // 1000))
        self._backlogs.seen(BY_CURSORS, backlogs, self._monotonic())

    def _attempt(self, subject: str, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:  # whatever it is, the next look asks again; after a minute it is told
            log.warning("%s %s: %s", _LOOKING, subject, str(error).partition("\n")[0])
            self._attempts.failed(f"{_LOOKING} {subject}", str(error).partition("\n")[0])
        else:
            self._attempts.done(f"{_LOOKING} {subject}")

    def _waits(self, backlog: Backlog) -> bool | None:
        topic, partition = backlog.place
        if backlog.stage in _COUNTED:
            return True
        try:
            return holds_record(self._settings, topic, partition, backlog.done)
        except KafkaException as error:
            log.warning("whether %s partition %d has a record at %d: %s", topic, partition, backlog.done, error)
            return None

    def _tell(self) -> None:
        standing = {stage.stage.name: stage for stage in self.standing}
        for name in standing.keys() - self._told:
            places = ", ".join(
                f"{backlog.place[0]} partition {backlog.place[1]} at {backlog.done} of {backlog.end}"
                for backlog in standing[name].backlogs[:20]
            )
            log.error("%s; places: %s", standing[name].reason(), places)
        for name in self._told - standing.keys():
            log.warning("%s goes on", name)
        self._told = frozenset(standing)
