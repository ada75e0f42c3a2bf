"""What a store of invoices uses of whatever reads the log (``schemas.ledgers.ledger_reader.LedgerReader``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from schemas.ledgers.ledger_reader import STALLED_SECONDS, LogRecord
from schemas.ledgers.log_place import LogPlace


class FollowedLog(Protocol):
    """Reads the partitions of usage.invoices on from where they are read."""

    @property
    def positions(self) -> Mapping[int, int]:
        """Partition → next offset to read."""

    def end_offsets(self) -> dict[int, int]:
        """The present end offsets by partition."""

    def resume(self, places: Mapping[int, LogPlace]) -> None:
        """Go on at ``places``."""

    def places(self) -> dict[int, LogPlace]:
        """Where it stands."""

    def lots_to(self, ends: Mapping[int, int], stalled: float = STALLED_SECONDS) -> Iterator[list[LogRecord]]:
        """The records up to ``ends``, as they come."""
