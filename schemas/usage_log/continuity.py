"""Checks that usage.events is the log that was metered: its topic id, and its first and end offsets against the
cursors.

A log that lost its end, or another topic under the same name, would accept events that no worker ever meters,
because they lie below the cursor; so nothing is accepted into it. A log that begins above its cursor has lost
acknowledged records.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from schemas.clickhouse.client import connect
from schemas.health.readiness import UnreadyReason
from schemas.kafka.topic_identity import described_topic
from schemas.kafka.topics import events_topic
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
REST_LOOKS: Final = 3
"""A log of which nothing is wrong, and into which this process has acknowledged nothing meanwhile, is looked at every
third time, whatever others put there."""
_TIMEOUT: Final = 5
_FIRST_AND_NEXT: Final[tuple[Callable[[], OffsetSpec], ...]] = (OffsetSpec.earliest, OffsetSpec.latest)
_RECOVER: Final = (
    "restore that log, or `weir generation recover` begins a new generation, carries over what this "
    "topic holds, and says what is lost"
)


@dataclass(frozen=True, slots=True)
class GenerationStanding:
    """The state of one generation. ``topic_id``: present topic id; ``metered_id``: id of the topic to which the
    cursors refer ("" if unknown); ``bounds``: partition → (first, next) offset; ``cursors``: by partition, read
    before the bounds."""

    generation: int
    topic_id: str
    metered_id: str
    bounds: Mapping[int, tuple[int, int]]
    cursors: Mapping[int, int]

    def reasons(self) -> Iterator[UnreadyReason]:
        """The faults found."""
        return (reason for _, reason in self.faults())

    def faults(self) -> Iterator[tuple[int, UnreadyReason]]:
        """The faults found, each with its partition (-1: the whole topic)."""
        topic = events_topic(self.generation)
        if self.metered_id and self.topic_id != self.metered_id:
            metered = sum(self.cursors.values())
            yield (
                -1,
                UnreadyReason(
                    "log_replaced",
                    f"{topic} is another topic (id {self.topic_id}) than the one that was metered (id "
                    f"{self.metered_id}, {metered} records)",
                    _RECOVER,
                    refuses=True,
                    lasting=True,
                ),
            )
            return
        for partition, cursor in sorted(self.cursors.items()):
            low, high = self.bounds.get(partition, (0, 0))
            if high < cursor:
                yield (
                    partition,
                    UnreadyReason(
                        "log_ends_below_cursor",
                        f"{topic} partition {partition} ends at offset {high}, but all below {cursor} is metered: "
                        f"{cursor - high} records are lost",
                        _RECOVER,
                        refuses=True,
                        lasting=True,
                    ),
                )
            elif low > cursor:
                yield (
                    partition,
                    UnreadyReason(
                        "log_begins_above_cursor",
                        f"{topic} partition {partition} begins at offset {low}, but only what lies below {cursor} is "
                        "metered:"
                        f" {low - cursor} records are lost, and metering of the partition waits",
                        f"restore them, or `weir log give-up --generation {self.generation} --partition {partition} "
                        f"--from {cursor} --to {low}"
                        " --reason …` and it goes on",
                        lasting=True,
                    ),
                )


def _bounds(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """First and next offset of each partition. Raises KafkaException."""
    parts = [TopicPartition(topic, number) for number in partitions]
    ends: list[dict[int, int]] = []
    for spec in _FIRST_AND_NEXT:
        futures = admin.list_offsets(
            dict.fromkeys(parts, spec()), isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_TIMEOUT
        )
        ends.append(
            {part.partition: int(future.result(timeout=_TIMEOUT + 1).offset) for part, future in futures.items()}
        )
    return {number: (low, ends[1][number]) for number, low in ends[0].items()}


def metered(client: Client, generation: int) -> tuple[str, dict[int, int]]:
    """The id of the topic that was metered ("" if none is recorded), and the cursors."""
    # One query: idle processes ask it every few seconds.
    rows = client.query(
        "SELECT toInt64(-1) AS partition, toUInt64(0) AS cursor, argMin(topic_id, recorded_at) AS topic"
        " FROM usage_topics WHERE generation = {g:UInt32} UNION ALL"
        " SELECT toInt64(partition), max(next_offset), '' FROM usage_progress WHERE generation = {g:UInt32}"
        " GROUP BY partition SETTINGS max_threads = 1",
        parameters={"g": generation},
    ).result_rows
    known = next(str(topic) for partition, _, topic in rows if partition < 0)
    return known, {int(partition): int(cursor) for partition, cursor, _ in rows if partition >= 0}


def read_cursors(settings: Settings, generation: int) -> dict[int, int]:
    """The present cursors, by a connection of its own. Raises clickhouse_connect's errors."""
    client = connect(settings, timeout_seconds=_TIMEOUT)
    try:
        return metered(client, generation)[1]
    finally:
        client.close()


def read_standing(admin: AdminClient, client: Client, generation: int) -> GenerationStanding:
    """The present state. Raises KafkaException and clickhouse_connect's errors."""
    # The cursors are read first, so that an intact log can never appear to lie behind them.
    known, cursors = metered(client, generation)
    topic = described_topic(admin, events_topic(generation), _TIMEOUT)
    bounds = _bounds(admin, topic.name, sorted(partition.id for partition in topic.partitions))
    return GenerationStanding(generation, str(topic.topic_id), known, bounds, cursors)


class ConfirmedFaults:
    """Faults that two looks in a row have found: a new leader may not know its log's end for a moment.

    They are told apart by generation, partition and name alone: their numbers change from look to look while events
    flow.
    """

    def __init__(self) -> None:
        self._seen: frozenset[tuple[int, int, str]] = frozenset()
        self._logged: frozenset[tuple[int, int, str]] = frozenset()

    def look(self, standing: GenerationStanding, *, first: bool = False) -> tuple[UnreadyReason, ...]:
        """Take a look; returns the confirmed faults with their present numbers. ``first``: confirm at once, since
        nothing was accepted before."""
        faults = {(standing.generation, partition, reason.name): reason for partition, reason in standing.faults()}
        confirmed = {key: reason for key, reason in faults.items() if first or key in self._seen}
        for key, reason in confirmed.items():
            if key not in self._logged:
                log.error("%s", reason)
        self._seen, self._logged = frozenset(faults), frozenset(confirmed)
        return tuple(confirmed.values())


class LogWatch:
    """Checks the log every few seconds in a thread, and writes the process's acknowledged records.

    While ClickHouse or Kafka is away the last result stays valid. ``recording``: store the topic's id if none is
    recorded (done by workers).
    """

    def __init__(
        self,
        settings: Settings,
        generation: Callable[[], int | None],
        *,
        recording: bool = False,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self._settings = settings
        self._generation = generation
        self._recording = recording
        self._acknowledged = acknowledged
        self._stop = threading.Event()
        self._admin: AdminClient | None = None
        self._client: Any = None
        self._faults = ConfirmedFaults()
        self._reasons: tuple[UnreadyReason, ...] = ()
        self._intact = False
        self._passed_over = 0
        self._thread = threading.Thread(target=self._run, name="log watch", daemon=True)

    def start(self) -> None:
        """Check once, before anything is accepted, and continue in the thread."""
        self._look(first=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after writing the remaining counts."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(3)
        if (trouble := self._write()) is not None:
            log.warning("what was acknowledged last is not counted: %s", _first_line(trouble))

    def reasons(self) -> tuple[UnreadyReason, ...]:
        """The faults found by the last check."""
        return self._reasons

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._turn()

    def _turn(self) -> None:
        """Look, but not at each turn while the log is intact and nothing was acknowledged since."""
        resting = self._intact and (self._acknowledged is None or not self._acknowledged.waiting)
        if resting and self._passed_over < REST_LOOKS - 1:
            self._passed_over += 1
            return
        self._passed_over = 0
        self._look()

    def _look(self, *, first: bool = False) -> None:
        generation = self._generation()
        self._write()
        if generation is None:
            return
        try:
            if self._admin is None:
                self._admin = AdminClient(self._settings.librdkafka() | {"log_level": 2})
            standing = read_standing(self._admin, self._connected(), generation)
            if self._recording and not standing.metered_id and not any(standing.faults()):
                self._connected().command(
                    "INSERT INTO usage_topics SELECT {g:UInt32}, {t:String}, now64(6, 'UTC')",
                    parameters={"g": generation, "t": standing.topic_id},
                )
        except Exception as error:  # a failed check says nothing about the log
            self._client = None
            self._intact = False
            log.debug("the log was not looked at: %s", _first_line(error))
            return
        self._intact = not any(standing.faults())
        if self._acknowledged is not None:
            self._acknowledged.metered(generation, standing.cursors)
        self._reasons = self._faults.look(standing, first=first)

    def _write(self) -> Exception | None:
        if self._acknowledged is None:
            return None
        try:
            self._acknowledged.write(self._connected)
        except Exception as error:  # written by the next call; the log is checked nevertheless
            self._client = None
            log.debug("what was acknowledged is not counted yet: %s", _first_line(error))
            return error
        return None

    def _connected(self) -> Any:
        if self._client is None:
            self._client = connect(self._settings, timeout_seconds=_TIMEOUT)
        return self._client


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n", 1)[0][:300]
