"""Which partitions a Faust app owns, and how long its consumer may stand still meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from faust.types import TP

from stream_processors.upkeep.watchdog import BALANCING, BUSY


class Consumer(Protocol):
    """The part of Faust's consumer that is asked here."""

    def assignment(self) -> Collection[TP]:
        """The partitions that the group gave to this consumer."""


class ConsumerApp(Protocol):
    """The part of a Faust app that is asked here."""

    @property
    def started(self) -> bool:
        """Whether the app runs."""

    @property
    def rebalancing(self) -> bool:
        """Whether its group is being balanced."""

    @property
    def consumer(self) -> Consumer:
        """Its consumer."""


def owned(app: ConsumerApp, topics: Mapping[str, int]) -> list[tuple[str, int]]:
    """Partitions of ``topics`` (with their counts) that the app's consumer owns; all of them while it balances, since
    it may never end."""
    if not app.started:
        return []
    if app.rebalancing:
        return [(topic, partition) for topic in sorted(topics) for partition in range(topics[topic])]
    return [(tp.topic, tp.partition) for tp in app.consumer.assignment() if tp.topic in topics]


def leash(app: ConsumerApp, busy: bool) -> float:
    """How many times longer than an idle consumer the app's may stand still."""
    return BUSY if busy else BALANCING if app.rebalancing else 1.0
