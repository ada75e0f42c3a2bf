"""Checks while a process runs that topics take records as large as the settings say.

At its start a process ends where a topic takes less (``kafka.limits.confirm_topics``). A limit that is lowered later
is adopted by what writes: smaller batches, more pieces, shorter rejections. It is told until the two agree, since no
process would start any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import KafkaException

from schemas.health.readiness import UnreadyReason
from schemas.kafka.limits import too_small, topic_limits
from schemas.settings import LEAST_RECORD_BYTES, Settings

log = logging.getLogger(__name__)

TAKES_LESS: Final = "topic_takes_less"
LOOK_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 1.0


def lowered(settings: Settings, limits: Mapping[str, int]) -> Iterator[UnreadyReason]:
    """A reason for each topic whose limit (in bytes, by topic) is below the setting."""
    for topic in too_small(settings, limits):
        yield UnreadyReason(
            TAKES_LESS,
            f"{topic} takes records of at most {limits[topic]} bytes (max.message.bytes), but "
            f"WEIR_KAFKA_RECORD_BYTES is {settings.kafka_record_bytes}: smaller ones are written",
            f"raise it (kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config "
            f"max.message.bytes={settings.kafka_record_bytes}), or set WEIR_KAFKA_RECORD_BYTES="
            f"{max(limits[topic], LEAST_RECORD_BYTES)} for all processes of Weir; until then none of them starts",
            lasting=True,
        )


def takes_no_event(settings: Settings, limits: Mapping[str, int], topic: str) -> Iterator[UnreadyReason]:
    """The reason for which nothing is accepted into ``topic``: an event of a legitimate size would not fit."""
    limit = limits.get(topic, settings.kafka_record_bytes)
    if 0 < limit < LEAST_RECORD_BYTES:
        yield UnreadyReason(
            TAKES_LESS,
            f"{topic} takes records of at most {limit} bytes (max.message.bytes), less than an event may need",
            f"raise it to {settings.kafka_record_bytes}, or to {LEAST_RECORD_BYTES} at least; it goes on by itself",
            refuses=True,
            lasting=True,
        )


class LimitWatch:
    """Reads the topics' limits every half minute in a thread, and at once where a record was refused.

    While Kafka does not answer, or denies it, the last limits stay. ``limits``: ``max.message.bytes`` by topic.
    """

    def __init__(self, settings: Settings, topics: Callable[[Settings], Iterable[str]]) -> None:
        self.limits: Mapping[str, int] = {}
        self._settings = settings
        self._topics = topics
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="limit watch", daemon=True)

    def start(self) -> None:
        """Read the limits once, and continue in the thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._wake.set()

    def look_soon(self) -> None:
        """Have the limits read now, in the thread, if they were not within the last second. Any thread may call it, any
        number of times."""
        self._wake.set()

    def look(self) -> None:
        """Read the limits."""
        try:
            self.limits = topic_limits(self._settings, self._topics(self._settings))
        except KafkaException as error:  # a failed check says nothing about the topics
            log.debug("the topics' limits were not read: %s", error)

    def reasons(self) -> Iterator[UnreadyReason]:
        """What the last check found."""
        return lowered(self._settings, self.limits)

    def _run(self) -> None:
        while True:
            self._wake.wait(LOOK_SECONDS)
            if self._ended.is_set():
                return
            self._wake.clear()
            self.look()
            self._ended.wait(_PAUSE_SECONDS)  # a topic that is being sealed refuses thousands of records a second
