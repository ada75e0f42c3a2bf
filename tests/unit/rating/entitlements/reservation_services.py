"""Rating processes that reserve by a log in memory, of which each may know an older state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.entitlements.reservations.reservation_requests import (
    HeldBeside,
    ReservationRefused,
    ReserveRequest,
    Unwritten,
    reserve,
)
from rating.verify.difference import Findings
from rating.verify.reservations.reservation_sums import check_records
from schemas.catalog.state import Catalog
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.reservations.reservation_record import Closing, Reservation, reservation_id
from schemas.ledgers.reservations.valid_reservations import Standing
from schemas.values.instants import SECOND

EVENTS = (1, 0)
PLACE = "shop", "acme", "tokens"
GRANTED = Decimal(10)
START = 1_000_000 * SECOND
CLAIMS = count()


def judged(used: Decimal, quantity: Decimal, as_of: MeasuredAsOf) -> Callable[[HeldBeside], EntitlementDecision]:
    def judge(held_beside: HeldBeside) -> EntitlementDecision:
        held = held_beside(PLACE[2], as_of)
        within = used + held + quantity <= GRANTED
        return EntitlementDecision(within, None if within else "limit_reached", f"{used} used, {held} held")

    return judge


def asked(key: str, quantity: int | str, now_us: int, used: int = 0, cut: int = 0, seconds: int = 60) -> ReserveRequest:
    amount = Decimal(quantity)
    as_of = MeasuredAsOf({EVENTS: cut}, now_us)
    return ReserveRequest(*PLACE, amount, now_us + seconds * SECOND, key, judged(Decimal(used), amount, as_of), as_of)


@dataclass
class Log:
    """usage.reservations and usage.events: the second has a quantity an event."""

    records: list[tuple[bytes, int]] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    now_us: int = START

    def write(self, *records: Reservation | Closing) -> None:
        self.records += [(record.encode(), self.now_us) for record in records]

    def fold(self, start: int = 0) -> ReservationBook:
        book = ReservationBook()
        book.valid.position = start
        return self.follow(book)

    def follow(self, book: ReservationBook) -> ReservationBook:
        for offset in range(book.valid.position, len(self.records)):
            book.apply_bytes(self.records[offset][0], offset, self.records[offset][1])
        return book


@dataclass
class Service:
    """A rating process: what it knows of both logs may be old."""

    log: Log
    book: ReservationBook = field(default_factory=ReservationBook)
    cut: int = 0

    def reserving(self, *wanted: tuple[str, int, int]) -> list[Reservation]:
        """The records of some requests that are decided together."""
        unwritten, records = Unwritten(), list[Reservation]()
        used = sum(self.log.events[: self.cut])
        for key, quantity, seconds in wanted:
            request = asked(key, quantity, self.log.now_us, used, self.cut, seconds)
            try:
                record = reserve(self.book, unwritten, request, self.log.now_us, f"claim {next(CLAIMS)}")
            except ReservationRefused:
                continue
            if isinstance(record, Reservation):
                unwritten.add(record)
                records.append(record)
        return records


def standing(book: ReservationBook, key: str) -> Standing:
    kept = book.valid.standing("shop", reservation_id(*PLACE, key))
    assert kept is not None
    return kept


def verified(log: Log, catalog: Catalog | None = None, first: int = 0) -> list[tuple[str, str, str]]:
    """What ``weir verify`` finds in the log, whose first record is at offset ``first``: (what, expected, found)."""
    findings = Findings()
    records = [LogRecord(0, offset, append_us, value) for offset, (value, append_us) in enumerate(log.records, first)]
    check_records(records, len(records), None, catalog or Catalog(), findings, lambda *_: None)
    return [(each.what, each.expected, each.found) for each in findings.differences()]
