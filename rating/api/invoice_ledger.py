"""The invoices that stand, read from usage.invoices itself: for routes that need whole chains of them, and the present
ones, which ClickHouse's copy may lack for a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from rating.invoices.ledger import StandingInvoices, invoices_reader, read_standing
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings

_STALLED_SECONDS: Final = 60.0

T = TypeVar("T")


class InvoiceLedger:
    """The invoices that stand by usage.invoices. The topic is read whole when it is first needed, and from there on
    what is new. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._reader: LedgerReader | None = None
        self._standing = StandingInvoices()

    def ask(self, question: Callable[[StandingInvoices], T]) -> T:
        """``question`` of what stands at the log's present end; one at a time. Raises LedgerUnavailable."""
        with self._lock:
            if self._reader is None:
                self._reader, self._standing = invoices_reader(self._settings), StandingInvoices()
            read_standing(self._reader, self._standing, _STALLED_SECONDS)
            return question(self._standing)

    def close(self) -> None:
        """Leave the brokers."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
