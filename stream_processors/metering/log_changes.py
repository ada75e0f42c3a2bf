"""What the catalog says of usage.events as a log, taken over into the journal: ranges that were given up, records that
were carried over, a generation that is sealed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from schemas.catalog.state import Catalog
from schemas.kafka.topics import events_topic
from schemas.ledgers.checkpoints import read_progress
from stream_processors.metering.journal import Journal
from stream_processors.metering.rows import carried_table, given_up_table, progress_table
from stream_processors.threads import end_hard

log = logging.getLogger(__name__)


class GivenUpRanges:
    """Moves cursors over offsets that somebody gave up. ``go_on_at`` has this worker meter a partition from a
    cursor."""

    def __init__(
        self, catalog: Catalog, journal: Journal, generation: int, go_on_at: Callable[[int, int], None]
    ) -> None:
        self._catalog = catalog
        self._journal = journal
        self._generation = generation
        self._go_on_at = go_on_at
        self._version = 0

    def due(self) -> bool:
        """Whether something was given up since the last time."""
        return self._catalog.given_up.version > self._version

    def pass_over(self) -> None:
        """Write to the books what was given up, and only then move the cursors over it. Raises Stopping."""
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
    """Copies how far records of an old log were carried into a new generation."""

    def __init__(self, catalog: Catalog, journal: Journal) -> None:
        self._catalog = catalog
        self._journal = journal
        self._copied: Mapping[int, tuple[int, ...]] = {}

    def due(self) -> bool:
        """Whether the catalog says something else than what was copied."""
        return self._catalog.generations.state.carried != self._copied

    def copy(self) -> None:
        """Write usage_carried. Raises Stopping."""
        carried = self._catalog.generations.state.carried
        self._journal.insert("usage_carried", carried_table(carried))
        self._copied = carried


class SealedGeneration:
    """Ends a worker whose generation is sealed and metered to its end; it is started again on the next one."""

    def __init__(self, catalog: Catalog, journal: Journal, generation: int) -> None:
        self._catalog = catalog
        self._journal = journal
        self._generation = generation

    def due(self) -> bool:
        """Whether the generation is sealed."""
        return self._generation in self._catalog.generations.state.ends

    def end_where_metered(self) -> None:
        """End the process where nothing of the generation is left to meter. Raises Stopping."""
        # Progress, not this worker's own partitions: another one may have metered the rest, and every row below it is
        # durable.
        progress = self._journal.run("read progress", read_progress)
        if self._catalog.generations.state.metered_to_its_end(self._generation, progress):
            topic = events_topic(self._generation)
            end_hard(f"{topic} is sealed and metered to its end; starting again on the next generation")
