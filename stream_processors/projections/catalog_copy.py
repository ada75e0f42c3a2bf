"""Copies usage.catalog to the table catalog_entries."""

from __future__ import annotations

from queue import Empty, SimpleQueue

from schemas.catalog.state import Entry
from stream_processors.metering.journal import Journal
from stream_processors.projections.ledgers import catalog_table, copied_body


class CatalogCopy:
    """Queue of catalog entries to write, in the order in which the follower read them.

    ``add`` is called from the follower's thread, the other methods from a single other thread.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._added: SimpleQueue[Entry] = SimpleQueue()
        self._unwritten: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Add an entry that was read."""
        self._added.put(entry)

    def due(self) -> bool:
        """Whether entries are still to be written."""
        return bool(self._unwritten) or not self._added.empty()

    def write(self) -> None:
        """Write all added entries. Raises Stopping; the entries then stay queued."""
        try:
            while True:
                self._unwritten.append(self._added.get_nowait())
        except Empty:
            pass
        bodies = [copied_body(entry) for entry in self._unwritten]
        self._journal.insert("catalog_entries", catalog_table(self._unwritten, bodies))
        self._unwritten = []
