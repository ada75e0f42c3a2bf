"""The topic that a worker meters, and its records as Kafka gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of usage.events as Kafka gave it; ``append_us``: LogAppendTime, microseconds UTC."""

    partition: int
    offset: int
    append_us: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredTopic:
    """A topic of usage.events. ``seek(partition, offset)`` makes the consumer read again from there on;
    ``log_start(partition)`` is the first offset that Kafka still has."""

    name: str
    partitions: int
    seek: Callable[[int, int], None]
    log_start: Callable[[int], int]
