"""Follows usage.catalog in a thread and keeps a ``Catalog`` up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable

from schemas.catalog.state import Catalog, Entry
from schemas.catalog.stored.entry_bytes import decode_entry
from schemas.kafka.codec import CodecError
from schemas.kafka.topics import CATALOG
from schemas.ledgers.ledger_follower import Follower
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.settings import Settings

log = logging.getLogger(__name__)


def apply_record(catalog: Catalog, record: LogRecord) -> Entry | None:
    """Apply one record of usage.catalog; returns its entry, or None if it is invalid or lost its claim."""
    try:
        decoded = decode_entry(record.value)
        entry = catalog.apply(decoded, record.offset, record.append_us)
    except (CodecError, ValueError) as error:
        log.warning("usage.catalog offset %d is void: %s", record.offset, error)
        entry = None
    catalog.skip_to(record.offset + 1)
    return entry


class CatalogFollower:
    """Keeps ``catalog`` up to date; it may be read from other threads. ``on_entry`` is called in the follower's
    thread."""

    def __init__(self, settings: Settings, on_entry: Callable[[Entry], None] | None = None) -> None:
        self.catalog = Catalog()
        self._on_entry = on_entry
        self._follower = Follower(settings, CATALOG, self._apply)

    def _apply(self, record: LogRecord) -> None:
        entry = apply_record(self.catalog, record)
        if entry is not None and self._on_entry is not None:
            self._on_entry(entry)

    def start(self, stalled: float = 60.0) -> CatalogFollower:
        """Start following, and wait until the catalog's present end is read, however long that takes. Raises
        LedgerUnavailable after ``stalled`` seconds in which nothing came."""
        self._follower.start(stalled)
        return self

    def stop(self) -> None:
        """Stop following."""
        self._follower.stop()

    def wait_for(self, next_offset: int, timeout: float) -> bool:
        """Wait until everything below ``next_offset`` is applied; False after ``timeout`` seconds."""
        return self._follower.wait_for(0, next_offset, timeout)

    def fresh(self, seconds: float = 5.0) -> bool:
        """Whether the catalog reached the log's end within the last ``seconds``."""
        return self._follower.fresh(seconds)

    def reached(self, moment: float) -> bool:
        """Whether all that was published before ``moment`` (monotonic) is known. If that is not certain, the log's end
        is queried at once: ask again."""
        return self._follower.reached(moment)


def catalog_end(settings: Settings) -> int:
    """The present end offset of usage.catalog. Raises LedgerUnavailable."""
    with LedgerReader(settings, CATALOG) as reader:
        return reader.end_offsets()[0]


def read_catalog(settings: Settings, up_to: int | None = None) -> Catalog:
    """Read the catalog once, to its present end or up to offset ``up_to`` (exclusive). Raises LedgerUnavailable."""
    catalog = Catalog()
    with LedgerReader(settings, CATALOG) as reader:
        ends = reader.end_offsets() if up_to is None else {0: up_to}
        for record in reader.read_to(ends):
            if up_to is None or record.offset < up_to:
                apply_record(catalog, record)
    return catalog
