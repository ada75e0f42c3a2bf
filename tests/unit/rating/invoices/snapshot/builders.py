"""A log of invoices in memory, and a store that follows it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.transitions import NewPayment, with_payment
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import LogPlace, LogReplaced, RecordMark
from schemas.ledgers.pieces import Joiner
from tests.unit.rating.builders import invoice_of, line_of


class Log:
    """Partitions of records, as ``LedgerReader`` reads them, for which it stands; ``lot``: how many come at once."""

    def __init__(self, partitions: int = 1, lot: int = 3) -> None:
        self.records: list[list[bytes]] = [[] for _ in range(partitions)]
        self.positions = dict.fromkeys(range(partitions), 0)
        self.lot = lot
        self.read: list[tuple[int, int]] = []  # but for what was known before
        self._joiners = {number: Joiner() for number in range(partitions)}
        self._last: dict[int, RecordMark | None] = dict.fromkeys(range(partitions))
        self._resumed: dict[int, LogPlace] = {}

    def append(self, value: bytes, partition: int = 0) -> int:
        self.records[partition].append(value)
        return len(self.records[partition])

    def add(self, invoices: Iterable[Invoice]) -> None:
        for invoice in invoices:
            self.append(encode_invoice(invoice))

    def end_offsets(self) -> dict[int, int]:
        return {number: len(records) for number, records in enumerate(self.records)}

    def seek(self, positions: Mapping[int, int]) -> None:
        self.resume({number: LogPlace(at, at) for number, at in positions.items()})

    def resume(self, places: Mapping[int, LogPlace]) -> None:
        for number, place in places.items():
            self.positions[number] = place.reading_from
            self._resumed[number] = place
            self._joiners[number], self._last[number] = Joiner(), None

    def places(self) -> dict[int, LogPlace]:
        return {number: self._place(number, at) for number, at in self.positions.items()}

    def _place(self, number: int, at: int) -> LogPlace:
        begun_at = self._joiners[number].begun_at
        return LogPlace(at, at if begun_at is None else begun_at, self._last[number])

    def lots_to(self, ends: Mapping[int, int], stalled: float = 0.0) -> Iterator[list[LogRecord]]:
        while any(self.positions[number] < end for number, end in ends.items()):
            for number, records in enumerate(self.records):
                begin = self.positions[number]
                lot = records[begin : begin + self.lot]
                self.positions[number] += len(lot)
                yield list(self._joined(number, begin, lot))

    def _joined(self, number: int, begin: int, lot: list[bytes]) -> Iterator[LogRecord]:
        resumed = self._resumed.get(number, LogPlace(0, 0))
        for offset, value in enumerate(lot, begin):
            self._last[number] = mark = RecordMark.of(offset, 0, value)
            if resumed.last is not None and offset == resumed.last.offset and mark != resumed.last:
                raise LogReplaced("another record")
            record = self._joiners[number].take(value, 0, offset)
            if offset >= resumed.next_offset:
                self.read.append((number, offset))
                if record is not None:
                    yield LogRecord(number, offset, 0, record)

    def read_to(self, ends: Mapping[int, int], stalled: float = 0.0) -> Iterator[LogRecord]:
        for lot in self.lots_to(ends):
            yield from lot


def followed(log: Log, path: str = "", log_id: str = "log") -> InvoiceStore:
    """A store of ``path`` at the log's end."""
    store = InvoiceStore(path, log_id)
    store.follow_to_end(log)
    return store


def invoice(number: int, subscription: str = "s", **changes: Any) -> Invoice:
    """The ``number``-th of a chain, from 1."""
    before = f"inv_{subscription}{number - 1}" if number > 1 else ""
    usual: dict[str, Any] = {
        "invoice_id": f"inv_{subscription}{number}", "predecessor": before, "subscription": subscription,
        "account_id": "acme", "version": 1, "total": "5.00", "state": "finalized", "sequence": 0,
        "claim_id": f"{number}",
        "period_start": number * 100, "period_end": number * 100 + 100, "run_id": f"run_{number}",
        "body": json.dumps({"subtotal": "1", "after": f"run_{number - 1}"} if number > 1 else {"subtotal": "1"}),
        "lines": (line_of(number=1, period_start=number * 100, period_end=number * 100 + 100),),
    }  # fmt: skip
    return invoice_of(**(usual | changes))


def paid(of: Invoice) -> Invoice:
    """Its next version, with a payment of one."""
    following = with_payment(of, NewPayment("p", Decimal(1), 0, "me"))
    assert following is not None
    return replace(following, claim_id="paid")
