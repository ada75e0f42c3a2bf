"""Checks while a process runs that topics take records as large as the settings say.

At its start a process ends where a topic takes less (``kafka.limits.confirm_topics``). A limit that is lowered later
is adopted by what writes: smaller batches, more pieces, shorter rejections. It is told until the two agree, since no
process would start any more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import KafkaException

from schemas.health.readiness import UnreadyReason
from schemas.kafka.limits import too_small, topic_limits
from schemas.settings import Settings
from schemas.store_settings import LEAST_RECORD_BYTES

log = logging.getLogger(__name__)

TAKES_LESS: Final = "topic_takes_less"
LOOK_SECONDS: Final = 30.0
RECENT_SECONDS: Final = 60.0
"""So long a refusal is told whose topic's limit may not be read."""
_PAUSE_SECONDS: Final = 1.0
_ALLOW: Final = "give WEIR_KAFKA_SASL_USERNAME the right DescribeConfigs on it"


def lowered(settings: Settings, limits: Mapping[str, int], unreadable: Collection[str] = ()) -> Iterator[UnreadyReason]:
    """A reason for each topic whose limit (in bytes, by topic) is below the setting. ``unreadable``: topics whose limit
    is known by what they refused alone."""
    for topic in too_small(settings, limits):
        unread = topic in unreadable
        how = (
            f"refuses records of {limits[topic]} bytes, and its max.message.bytes may not be read"
            if unread
            else f"takes records of at most {limits[topic]} bytes (max.message.bytes)"
        )
        yield UnreadyReason(
            TAKES_LESS,
            f"{topic} {how}, but WEIR_KAFKA_RECORD_BYTES is {settings.kafka_record_bytes}: smaller ones are written",
            f"raise it (kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config "
            f"max.message.bytes={settings.kafka_record_bytes}), or set WEIR_KAFKA_RECORD_BYTES="
            f"{max(limits[topic], LEAST_RECORD_BYTES)} for all processes of Weir; until then none of them starts"
            + (f"; {_ALLOW}, or start this process again once it is raised" if unread else ""),
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

    While Kafka does not answer the last limits stay. Where they may not be read (without the right DescribeConfigs) a
    topic's limit is what it refused. ``limits``: ``max.message.bytes`` by topic, as far as it is known, of the topics
    that there are.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Callable[[Settings], Iterable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits: Mapping[str, int] = {}
        self._settings = settings
        self._topics = topics
        self._clock = clock
        self._refused: dict[str, int] = {}
        self._refused_least: dict[str, tuple[int, float]] = {}
        self._unreadable: frozenset[str] = frozenset()
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

    def refused(self, topic: str, size: int) -> None:
        """A topic refused a record of ``size`` bytes. Has the limits read now, in the thread, if they were not within
        the last second. Any thread may call it, any number of times."""
        if size < LEAST_RECORD_BYTES:
            self._refused_least[topic] = size, self._clock()
        # Not below what an event may need: a topic that is being sealed refuses everything for a moment.
        least = max(size, LEAST_RECORD_BYTES)
        self._refused[topic] = min(self._refused.get(topic, least), least)
        self._wake.set()

    def look(self) -> None:
        """Read the limits."""
        try:
            topics = list(self._topics(self._settings))
        except KafkaException as away:  # brokers that do not answer say nothing about their topics
            log.debug("the topics were not listed: %s", away)
            return
        limits = topic_limits(self._settings, topics)
        for topic, error in limits.unknown.items():  # a failed check says nothing about the topic
            log.debug("max.message.bytes of %s was not read: %s", topic, error)
        refused = {topic: size for topic, size in list(self._refused.items()) if topic in limits.denied}
        for topic, size in refused.items():
            if self.limits.get(topic) != size:
                log.warning("%s refuses records of %d bytes: smaller ones are written; %s", topic, size, _ALLOW)
        self._unreadable = frozenset(refused)
        latest = {**self.limits, **limits.known, **refused}
        self.limits = {topic: latest[topic] for topic in topics if topic in latest}

    def reasons(self) -> Iterator[UnreadyReason]:
        """What the last check found."""
        return lowered(self._settings, self.limits, self._unreadable)

    def refuses_events(self, topic: str) -> Iterator[UnreadyReason]:
        """The reason for which some events may not get into ``topic``; else told by ``takes_no_event``."""
        size, at = self._refused_least.get(topic, (0, float("-inf")))
        if topic in self._unreadable and self._clock() - at < RECENT_SECONDS:
            yield UnreadyReason(
                TAKES_LESS,
                f"{topic} refused a record of {size} bytes, less than an event may need, and its max.message.bytes may "
                "not be read",
                f"raise it to {self._settings.kafka_record_bytes}; {_ALLOW}",
                lasting=True,
            )

    def _run(self) -> None:
        while True:
            self._wake.wait(LOOK_SECONDS)
            if self._ended.is_set():
                return
            self._wake.clear()
            self.look()
            self._ended.wait(_PAUSE_SECONDS)  # a topic that is being sealed refuses thousands of records a second
