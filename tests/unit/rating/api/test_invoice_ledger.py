"""Changes of invoices read what is new of the log, and are made on top of whatever won."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from rating.api import invoice_ledger
from rating.api.invoice_ledger import InvoiceLedger
from rating.invoices.ledger import invoices_reader
from rating.invoices.snapshot.snapshot_folder import succeed
from rating.invoices.transitions import NewPayment, with_payment
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.folds.fold_file import DamagedFile
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.settings import Settings
from tests.unit.rating.invoices.snapshot.builders import Log, invoice
from tests.unit.rating.invoices.snapshot.test_renewal import DAMAGES


class SharedLog(Log):
    """A log that is written to; ``before``: records of others that come just before the next one."""

    def __init__(self) -> None:
        super().__init__(1, 1000)
        self.before: list[Invoice] = []
        self.id = "log"
        self.closed = 0

    def append(self, value: bytes, partition: int = 0) -> Any:
        for record in self.before:
            super().append(encode_invoice(record))
        self.before.clear()
        return super().append(value)

    def close(self) -> None:
        self.closed += 1


class Writer:
    def __init__(self, log: SharedLog) -> None:
        self._log = log

    def append(self, key: bytes, value: bytes) -> tuple[int, int]:
        return 0, self._log.append(value) - 1


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> SharedLog:
    result = SharedLog()
    monkeypatch.setattr(invoice_ledger, "invoices_reader", lambda settings: result)
    monkeypatch.setattr(invoice_ledger, "LedgerWriter", lambda settings, topic: Writer(result))
    monkeypatch.setattr(invoice_ledger, "log_id", lambda settings, admin: result.id)
    monkeypatch.setattr(invoice_ledger, "AdminClient", lambda settings: None)
    return result


@pytest.fixture(params=["a folder", "no folder"])
def ledger(log: SharedLog, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InvoiceLedger]:
    result = InvoiceLedger(Settings(snapshot_dir=str(tmp_path / "snapshots") if request.param == "a folder" else ""))
    yield result
    result.close()


def pay(reference: str) -> Any:
    def change(chain: list[Invoice], newest: Invoice) -> Invoice | None:
        return with_payment(newest, NewPayment(reference, Decimal(1), 0, "me"))

    return change


def test_a_change_reads_what_is_new_however_much_is_behind_it(log: SharedLog, ledger: InvoiceLedger) -> None:
    log.add(invoice(number) for number in range(1, 200))
    assert ledger.amend("air", "s", "inv_s7", pay("a")).version == 2
    assert len(log.read) == 200
    log.read.clear()
    assert ledger.amend("air", "s", "inv_s3", pay("b")).version == 2
    assert log.read == [(0, 200)]
    assert ledger.ask("air", lambda standing: standing.count("air")) == 199
    assert [item.version for item in ledger.of_account("air", "acme")][:8] == [1, 1, 2, 1, 1, 1, 2, 1]


def test_a_change_is_made_again_on_top_of_a_version_that_won(log: SharedLog, ledger: InvoiceLedger) -> None:
    log.add([invoice(1)])
    other = pay("other")([], invoice(1))
    log.before = [other]
    stands = ledger.amend("air", "s", "inv_s1", pay("a"))
    assert stands.version == 3
    assert stands.body.count('"reference"') == 2


def test_a_change_that_is_made_already_writes_nothing(log: SharedLog, ledger: InvoiceLedger) -> None:
    log.add([invoice(1)])
    once = ledger.amend("air", "s", "inv_s1", pay("a"))
    assert ledger.amend("air", "s", "inv_s1", pay("a")) == once
    assert log.end_offsets() == {0: 2}


def test_what_is_not_there_is_told(log: SharedLog, ledger: InvoiceLedger) -> None:
    with pytest.raises(LookupError, match="there is no invoice inv_s9 in air"):
        ledger.amend("air", "s", "inv_s9", pay("a"))


def snapshot(ledger: InvoiceLedger) -> Path:
    store = ledger._store
    assert store is not None
    return Path(store.path)


@pytest.mark.parametrize("damage", [*DAMAGES, "the file is deleted", "all three are deleted"])
def test_a_file_that_is_damaged_later_is_made_anew_by_itself(
    log: SharedLog, ledger: InvoiceLedger, damage: str
) -> None:
    log.add([invoice(1), invoice(2)])
    assert ledger.ask("air", lambda standing: standing.count("air")) == 2
    path = snapshot(ledger)
    if damage in DAMAGES:
        DAMAGES[damage](path)
    else:
        for end in ("",) if damage == "the file is deleted" else ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink()
    assert ledger.amend("air", "s", "inv_s2", pay("a")).version == 2
    assert ledger.ask("air", lambda standing: standing.head("air", "s")) is not None
    assert [item.version for item in ledger.of_account("air", "acme")] == [1, 2]


def test_a_topic_made_anew_under_a_running_service_is_another_log(log: SharedLog, ledger: InvoiceLedger) -> None:
    log.add([invoice(1), invoice(2)])
    assert len(ledger.of_account("air", "acme")) == 2
    before = snapshot(ledger)
    log.id, log.records = "another", [[encode_invoice(invoice(number, "t")) for number in range(1, 6)]]
    assert [item.subscription for item in ledger.of_account("air", "acme")] == ["t"] * 5
    assert (snapshot(ledger) != before, log.closed) == (True, 1)  # its reader knows the former one
    with pytest.raises(LookupError):
        ledger.amend("air", "s", "inv_s1", pay("a"))


def test_a_file_that_another_process_made_anew_is_taken_at_the_next_use(log: SharedLog, ledger: InvoiceLedger) -> None:
    log.add([invoice(1)])
    assert len(ledger.of_account("air", "acme")) == 1
    following = succeed(snapshot(ledger), "log", DamagedFile("page"))
    log.add([invoice(2)])
    assert len(ledger.of_account("air", "acme")) == 2
    assert snapshot(ledger) == following


def test_an_error_of_kafka_may_pass(log: SharedLog, ledger: InvoiceLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the log just lost the place at which it is read on."""
    log.add([invoice(1)])

    def fails(*_: Any) -> Any:
        raise KafkaException(KafkaError(KafkaError._AUTO_OFFSET_RESET))

    with monkeypatch.context() as patch:
        patch.setattr(log, "lots_to", fails)
        with pytest.raises(LedgerUnavailable, match=r"usage\.invoices"):
            ledger.of_account("air", "acme")
    assert len(ledger.of_account("air", "acme")) == 1
    monkeypatch.setattr("rating.invoices.ledger.LedgerReader", fails)
    with pytest.raises(LedgerUnavailable, match=r"usage\.invoices"):
        invoices_reader(Settings())


def test_a_folder_for_a_snapshot_of_its_own_that_cannot_be_made_is_told(
    log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: Any) -> Any:
        raise OSError("no space left on device")

    monkeypatch.setattr(invoice_ledger, "TemporaryDirectory", full)
    with pytest.raises(LedgerUnavailable, match="no space left"):
        InvoiceLedger(Settings(snapshot_dir="")).of_account("air", "acme")


def test_a_snapshot_that_cannot_be_made_is_told(log: SharedLog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = InvoiceLedger(Settings(snapshot_dir=str(tmp_path / "file")))
    with pytest.raises(LedgerUnavailable, match="the snapshot of"):
        ledger.of_account("air", "acme")
