"""The book of reservations that a process follows usage.reservations with. Any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.entitlements.reservations.reservation_image import book_of, rows_of
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.generations import Offsets
from schemas.ledgers.ledger_reader import LogRecord


class FollowedBook:
    """``book``, under ``lock``. ``counted``: a cut that no decision will be earlier than."""

    def __init__(self, counted: Offsets, lock: threading.Lock) -> None:
        self.book = ReservationBook(counted)
        self._counted = counted
        self._lock = lock

    def apply(self, record: LogRecord) -> None:
        """Apply the next record."""
        with self._lock:
            self.book.apply_bytes(record.value, record.offset, record.append_us)

    def go_on_from(self, rows: Iterable[Row]) -> None:
        """Be the book of these rows. Raises ValueError, and is then what it was."""
        book = book_of(rows, self._counted)
        with self._lock:
            self.book = book

    def rows(self) -> Iterator[Row]:
        """Those of the book as it is now, without the lock while they are read."""
        with self._lock:
            return rows_of(self.book)

    def __len__(self) -> int:
        """Reservations that are remembered."""
        with self._lock:
            return len(self.book.valid)
