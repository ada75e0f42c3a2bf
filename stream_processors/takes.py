"""Takes: the lists of records that Faust passes to an agent. Splits them into units and describes their positions.
Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

UNIT_BYTES: Final = 8 * 1024 * 1024
"""Enough for a flush, and what came meanwhile."""


class Message(Protocol):
    """A Kafka record as delivered by Faust; ``timestamp`` is LogAppendTime in seconds, exact to the millisecond."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    value: bytes | None
    acked: bool


class FaustEvent(Protocol):
    """Faust's wrapper of a record, which is what an agent acknowledges."""

    message: Message


Ack = Callable[[FaustEvent], Awaitable[object]]
"""Acknowledges an event to Faust."""


def append_us(message: Message) -> int:
    """LogAppendTime of a message, microseconds UTC."""
    milliseconds: int = round(message.timestamp * 1000)
    return milliseconds * 1000


def units_of(events: Sequence[FaustEvent]) -> list[list[FaustEvent]]:
    """Split a take into units of at most ``UNIT_BYTES`` (at least one event each), to keep flushes short."""
    units: list[list[FaustEvent]] = []
    size = 0
    for event in events:
        length = len(event.message.value or b"")
        if not units or size + length > UNIT_BYTES:
            units.append([])
            size = 0
        units[-1].append(event)
        size += length
    return units


def begin_of(events: Sequence[FaustEvent]) -> str:
    """Topic, partition and offset of a take's first record, as text."""
    message = events[0].message
    return f"{message.topic} partition {message.partition} offset {message.offset}"
