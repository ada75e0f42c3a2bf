"""The partitions owned by a Faust app, and how long its consumer may make no progress."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from stream_processors.upkeep.watchdog import BALANCING, BUSY


class Consumer(Protocol):
    """The part of Faust's consumer that is used here."""

    def assignment(self) -> Collection[TP]:
        """The partitions assigned to this consumer."""


class ConsumerApp(Protocol):
    """The part of a Faust app that is used here."""

    @property
    def rebalancing(self) -> bool:
        """Whether its consumer group is rebalancing."""

    @property
    def made_consumer(self) -> Consumer | None:
        """Its consumer, None until the app has made it."""


def assigned(app: ConsumerApp) -> Collection[TP]:
    """The partitions that are assigned to the app's consumer; none before it runs."""
    try:
        return consumer.assignment() if (consumer := app.made_consumer) is not None else ()
    except ConsumerNotStarted:
        return ()


def owned(app: ConsumerApp, topics: Mapping[str, int]) -> list[tuple[str, int]]:
    """The partitions of ``topics`` (name → number of partitions) that the app's consumer owns; all of them during a
    rebalance, since a rebalance may hang."""
    if app.made_consumer is None:
        return []
    if app.rebalancing:
        return [(topic, partition) for topic in sorted(topics) for partition in range(topics[topic])]
    return [(tp.topic, tp.partition) for tp in assigned(app) if tp.topic in topics]


def stall_tolerance(app: ConsumerApp, busy: bool) -> float:
    """The factor by which the app's consumer may stall longer than an idle one."""
    return BUSY if busy else BALANCING if app.rebalancing else 1.0
