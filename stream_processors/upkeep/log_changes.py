"""Applies catalog entries about the usage.events log to the journal: offsets that were given up, records carried
over to a new generation, and sealed generations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from schemas.catalog.state import Catalog
from schemas.kafka.topics import events_topic
from schemas.ledgers.checkpoints import read_progress
from stream_processors.metering.flush_tables import progress_table
from stream_processors.metering.journal import Journal
from stream_processors.threads import end_hard
from stream_processors.upkeep.log_tables import carried_table, given_up_table

log = logging.getLogger(__name__)


class GivenUpRanges:
    """Advances cursors past offset ranges that an operator gave up.

    ``go_on_at(partition, cursor)`` makes this worker continue a partition at a cursor.
    """

    def __init__(
        self, catalog: Catalog, journal: Journal, generation: int, go_on_at: Callable[[int, int], None]
    ) -> None:
        self._catalog = catalog
        self._journal = journal
        self._generation = generation
        self._go_on_at = go_on_at
        self._version = 0

    def due(self) -> bool:
        """Whether ranges were given up since the last call of ``pass_over``."""
        return self._catalog.given_up.version > self._version

    def pass_over(self) -> None:
        """Record the given-up ranges in usage_given_up, and only then advance the cursors. Raises Stopping."""
        given_up = self._catalog.given_up
        ranges, version = given_up.ranges, given_up.version
        self._journal.insert("usage_given_up", given_up_table(ranges))
        progress = self._journal.run("read the cursors", read_progress)
        keys = {(lost.generation, lost.partition) for lost in ranges}
        ends = {key: given_up.beyond(*key, progress.get(key, 0)) for key in keys}
        moved = {key: end for key, end in ends.items() if end > progress.get(key, 0)}
        if moved:
            log.warning("cursors move over what was given up: %s", moved)
            self._journal.insert("usage_progress", progress_table(moved))
            for (generation, partition), cursor in moved.items():
                if generation == self._generation:
                    self._go_on_at(partition, cursor)
        self._version = version


class CarriedOver:
    """Copies to usage_carried how far records of an old topic were carried over to a new generation."""

    def __init__(self, catalog: Catalog, journal: Journal) -> None:
        self._catalog = catalog
        self._journal = journal
        self._copied: Mapping[int, tuple[int, ...]] = {}

    def due(self) -> bool:
        """Whether the catalog differs from what was copied last."""
        return self._catalog.generations.state.carried != self._copied

    def copy(self) -> None:
        """Write usage_carried. Raises Stopping."""
        carried = self._catalog.generations.state.carried
        self._journal.insert("usage_carried", carried_table(carried))
        self._copied = carried


class SealedGeneration:
    """Ends a worker whose generation is sealed and fully metered; its supervisor restarts it on the next
    generation."""

    def __init__(self, catalog: Catalog, journal: Journal, generation: int) -> None:
        self._catalog = catalog
        self._journal = journal
        self._generation = generation

    def due(self) -> bool:
        """Whether the generation is sealed."""
        return self._generation in self._catalog.generations.state.ends

    def end_where_metered(self) -> None:
        """End the process if nothing of the generation is left to meter. Raises Stopping."""
        # Uses the stored progress of all partitions, since other workers meter some of them.
        progress = self._journal.run("read progress", read_progress)
        if self._catalog.generations.state.metered_to_its_end(self._generation, progress):
            topic = events_topic(self._generation)
            end_hard(f"{topic} is sealed and metered to its end; starting again on the next generation")
