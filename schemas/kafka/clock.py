"""Kafka's clock: what a broker stamped on a record when it was appended, beside this machine's.

Append times order and date everything that Weir derives, so a process whose clock is far from them judges and dates
events wrongly. usage.clock takes records without a value, of which only the stamp matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaException, Producer

from schemas.kafka.topics import CLOCK
from schemas.settings import Settings
from schemas.values.instants import DAY, SECOND

TOLERANCE_US: Final = 5 * SECOND
_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class ClockError:
    """This clock's error lies within [least_us, most_us], microseconds; above zero it is ahead of Kafka's."""

    least_us: int
    most_us: int

    @property
    def beyond_us(self) -> int:
        """The error, where it surely is more than TOLERANCE_US; else 0."""
        if self.least_us > TOLERANCE_US:
            return self.least_us
        return self.most_us if self.most_us < -TOLERANCE_US else 0

    @property
    def width_us(self) -> int:
        """How little is known of it."""
        return self.most_us - self.least_us


def error_of(sent_us: int, stamp: tuple[int, int], reported_us: int) -> ClockError | None:
    """From a delivery report: the record was handed over at ``sent_us`` and reported at ``reported_us``, by this clock;
    ``stamp`` as
    ``Message.timestamp()`` has it. None where the topic keeps no append times."""
    kind, ms = stamp
    if kind != TIMESTAMP_LOG_APPEND_TIME or ms < 0:
        return None
    # Appended within that millisecond, after it was sent and before it was reported.
    return ClockError(sent_us - (ms + 1) * 1000, reported_us - ms * 1000)


def words(error_us: int) -> str:
    """For people: ``40.0 days behind Kafka's``."""
    size = abs(error_us)
    text = f"{size / DAY:.1f} days" if size >= 2 * DAY else f"{size // SECOND} s"
    return f"{text} {'ahead of' if error_us > 0 else 'behind'} Kafka's"


def kafka_time_us(settings: Settings) -> int | None:
    """Kafka's present time, to the millisecond; None where it does not tell within 5 s (no usage.clock, no right to
    write it). Each partition's leader is asked, and what lies in the middle counts: one broker whose clock is wrong
    decides nothing. Blocking."""
    answers: list[tuple[int, int]] = []
    producer = Producer(settings.librdkafka() | {"delivery.timeout.ms": int(_WAIT * 1000), "log_level": 2})
    try:
        for partition in producer.list_topics(CLOCK, timeout=_WAIT).topics[CLOCK].partitions:
            producer.produce(
                CLOCK, partition=partition,
                on_delivery=lambda error, message: answers.append(message.timestamp()) if error is None else None,
            )  # fmt: skip
        producer.flush(_WAIT)
    except (KafkaException, BufferError):
        return None
    return middle_us(answers)


def middle_us(stamps: Iterable[tuple[int, int]]) -> int | None:
    """The middle one of what several brokers stamped at one time, the earlier of two; None without an append time."""
    appended = sorted(ms * 1000 for kind, ms in stamps if kind == TIMESTAMP_LOG_APPEND_TIME and ms >= 0)
    return appended[(len(appended) - 1) // 2] if appended else None
