"""A take: what Faust hands an agent at once. How it is cut into units, and where its records stand. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

UNIT_BYTES: Final = 6 * 1024 * 1024


class Message(Protocol):
    """A record of Kafka as Faust gives it; ``timestamp`` is LogAppendTime in seconds, exact to the millisecond."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    value: bytes | None
    acked: bool


class Event(Protocol):
    """What Faust wraps around a record; its acknowledgement is given by the event."""

    message: Message


Ack = Callable[[Event], Awaitable[object]]
"""Tells Faust that an event is done with."""


def append_us(message: Message) -> int:
    """LogAppendTime of a message, microseconds UTC."""
    milliseconds: int = round(message.timestamp * 1000)
    return milliseconds * 1000


def units_of(events: Sequence[Event]) -> list[list[Event]]:
    """Cut a take into units of at most ``UNIT_BYTES``, so that one flush stays short; at least one event each."""
    units: list[list[Event]] = []
    size = 0
    for event in events:
        length = len(event.message.value or b"")
        if not units or size + length > UNIT_BYTES:
            units.append([])
            size = 0
        units[-1].append(event)
        size += length
    return units


def begin_of(events: Sequence[Event]) -> str:
    """Where a take begins, for people: topic, partition and offset of its first record."""
    message = events[0].message
    return f"{message.topic} partition {message.partition} offset {message.offset}"
