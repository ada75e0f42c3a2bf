"""Publishing: the log's order decides. What was written is not decoded for it, and not even read where nothing else
lies between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import pytest
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices
from rating.invoices.publish_invoices import publish
from schemas.ledgers.invoice_record import Invoice, decode_invoice, encode_invoice
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.ledgers.log_place import LogPlace
from tests.unit.rating.webhooks.test_intake import record


def invoice(subscription: int, run_id: str = "r") -> Invoice:
    return replace(decode_invoice(record(0, 0, "air", subscription, 1, 0).value), run_id=run_id, claim_id=run_id)


class Log:
    """A log of one partition; ``first``: what another process appends before each of ours."""

    def __init__(self, first: Iterable[Invoice] = ()) -> None:
        self.values: list[bytes] = []
        self.positions = {0: 0}
        self.read = 0
        self._first = [encode_invoice(item) for item in first]

    def append_all(
        self, records: list[tuple[bytes, bytes]], append_times: dict[tuple[int, int], int]
    ) -> list[tuple[int, int]]:
        self.values += self._first
        placed = []
        for _, value in records:
            placed.append((0, len(self.values)))
            append_times[placed[-1]] = 5
            self.values.append(value)
        return placed

    def read_to(self, ends: Mapping[int, int]) -> Iterator[LogRecord]:
        for offset in range(self.positions[0], ends[0]):
            self.positions[0] = offset + 1
            self.read += 1
            yield LogRecord(0, offset, 0, self.values[offset])

    def pass_over(self, ends: Mapping[int, int], last: Mapping[int, LogRecord]) -> None:
        self.positions = dict(ends)
        assert last == {0: LogRecord(0, ends[0] - 1, 5, self.values[-1])}

    def places(self) -> dict[int, LogPlace]:
        return {number: LogPlace(at, at) for number, at in self.positions.items()}


def published(log: Log, standing: StandingInvoices, invoices: list[Invoice]) -> list[Invoice]:
    fake = cast(Any, log)
    return publish(cast(LedgerWriter, fake), cast(LedgerReader, fake), standing, invoices, lambda *_: None)


def test_own_records_are_applied_as_they_were_written_and_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = StandingInvoices("air")
    others = Log([invoice(7)])
    standing.apply(invoice(7))
    monkeypatch.setattr(standing, "apply_bytes", lambda value: False)
    invoices = [invoice(number) for number in range(3)]
    assert published(others, standing, invoices) == invoices
    assert standing.invoices("air") == [invoice(7), *invoices]


def test_records_that_lie_alone_are_not_read_back() -> None:
    standing, log = StandingInvoices("air"), Log()
    invoices = [invoice(number) for number in range(3)]
    assert published(log, standing, invoices) == invoices
    assert published(log, standing, [invoice(0, "late"), invoice(3)]) == [invoice(3)]
    assert (log.read, log.positions) == (0, {0: 5})
    assert standing.invoices("air") == [*invoices, invoice(3)]


def test_what_another_process_wrote_first_wins() -> None:
    standing = StandingInvoices("air")
    other = invoice(1, "other")
    ours = [invoice(0), invoice(1), invoice(2)]
    log = Log([other])
    assert published(log, standing, ours) == [ours[0], ours[2]]
    assert log.read == 4
    assert standing.invoice("air", other.invoice_id) == other
