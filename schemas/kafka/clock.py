"""Compares this machine's clock with Kafka's, by the append time that a broker sets on a record.

Everything that Weir derives is ordered and dated by append times, so a process with a clock far from them dates and
judges events wrongly. The topic usage.clock takes empty records, of which only the append time matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException

from schemas.kafka.kafka_producer import KafkaProducer
from schemas.kafka.topics import CLOCK
from schemas.settings import Settings
from schemas.values.instants import DAY, SECOND

TOLERANCE_US: Final = 5 * SECOND
_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class ClockError:
    """Bounds of this clock's error in microseconds: it lies within [least_us, most_us]; positive: ahead of Kafka's."""

    least_us: int
    most_us: int

    @property
    def beyond_us(self) -> int:
        """The error if it certainly exceeds TOLERANCE_US, else 0."""
        if self.least_us > TOLERANCE_US:
            return self.least_us
        return self.most_us if self.most_us < -TOLERANCE_US else 0

    @property
    def width_us(self) -> int:
        """The uncertainty of the measurement."""
        return self.most_us - self.least_us


def error_of(sent_us: int, stamp: tuple[int, int], reported_us: int) -> ClockError | None:
    """The clock error according to a delivery report; None if the topic has no append times.

    ``sent_us``, ``reported_us``: this clock when the record was produced and reported; ``stamp``: as of
    ``Message.timestamp()``.
    """
    kind, ms = stamp
    if kind != TIMESTAMP_LOG_APPEND_TIME or ms < 0:
        return None
    # The record was appended within that millisecond, after it was sent and before it was reported.
    return ClockError(sent_us - (ms + 1) * 1000, reported_us - ms * 1000)


def words(error_us: int) -> str:
    """The error as text: ``40.0 days behind Kafka's``."""
    size = abs(error_us)
    text = f"{size / DAY:.1f} days" if size >= 2 * DAY else f"{size // SECOND} s"
    return f"{text} {'ahead of' if error_us > 0 else 'behind'} Kafka's"


def kafka_time_us(settings: Settings) -> int | None:
    """Kafka's present time, microseconds UTC, to the millisecond; None if it is not available within 5 s (no
    usage.clock, or no right to write it).

    All partition leaders are asked and the median counts, so that one broker with a wrong clock has no effect.
    Blocking.
    """
    answers: list[tuple[int, int]] = []

    def stamped(error: KafkaError | None, message: Any) -> None:
        if error is None:
            answers.append(message.timestamp())

    producer = KafkaProducer(settings, {"delivery.timeout.ms": int(_WAIT * 1000)})
    try:
        for partition in producer.partitions(CLOCK, _WAIT):
            producer.produce(CLOCK, b"", stamped, partition=partition)
        producer.flush(_WAIT)
    except (KafkaException, BufferError):
        return None
    return middle_us(answers)


def middle_us(stamps: Iterable[tuple[int, int]]) -> int | None:
    """The median of timestamps set by several brokers at one time (the lower of two); None without an append time."""
    appended = sorted(ms * 1000 for kind, ms in stamps if kind == TIMESTAMP_LOG_APPEND_TIME and ms >= 0)
    return appended[(len(appended) - 1) // 2] if appended else None
