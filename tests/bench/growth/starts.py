"""Starts of processes beside what their ledgers hold (so many invoices, checkpoints, entries of the catalog): CPU
milliseconds of the reader until it has read the topic."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from deploy.local.stack import Stack
from rating.invoices.ledger import invoices_reader
from rating.webhooks.intake import Intake, Notices
from schemas.catalog.follower import read_catalog
from schemas.catalog.models import KINDS
from schemas.catalog.state import record_of
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG, CHECKPOINTS, INVOICES
from schemas.ledgers.checkpoints import CheckpointLedger, Cut, cut_record
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_fold import WEBHOOKS, StoredFold, stored_in
from schemas.ledgers.invoice_claims import FINALIZED, invoice_id, record_key
from schemas.ledgers.invoice_record import Invoice, Line, encode_invoice
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

SIZES = (5_000, 20_000)
NAMESPACE = "bench"
_AT_ONCE = 2_000
_MINUTE_US = 60_000_000


def measure(size: int) -> Iterator[tuple[str, float]]:
    """From the log's beginning, as without a folder for snapshots, and from the fold of the process before it."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "init", "clickhouse")) as stack,
    ):
        writer = LedgerWriter(stack.settings, INVOICES)
        for first in range(0, size, _AT_ONCE):
            made = [_invoice(number) for number in range(first, min(size, first + _AT_ONCE))]
            writer.append_all(
                [(record_key(NAMESPACE, invoice.subscription), encode_invoice(invoice)) for invoice in made]
            )
        log = log_id(stack.settings)

        def start(fold: StoredFold, queued: dict[int, int]) -> tuple[float, dict[int, int]]:
            began = time.process_time()
            with closing(fold), invoices_reader(stack.settings) as reader:
                ends = reader.end_offsets()
                reader.resume(fold.begin(queued, ends))
                intake = Intake(queued, Notices(fold.valid, fold.states))
                for lot in reader.lots_to(ends):
                    intake.take(lot)
                fold.save(reader.places())
            return (time.process_time() - began) * 1e3, ends

        cost, ends = start(StoredFold("", log), {})
        yield "webhooks, from the log's beginning", cost
        start(stored_in(folder, WEBHOOKS, log), ends)
        yield "webhooks, from the fold before it", start(stored_in(folder, WEBHOOKS, log), ends)[0]
        _publish_checkpoints(stack.settings, size)
        yield "checkpoints, from the log's beginning", _checkpoints(_snapshots(stack.settings, ""), size)
        _checkpoints(_snapshots(stack.settings, folder), size)
        yield "checkpoints, from their file", _checkpoints(_snapshots(stack.settings, folder), size)
        yield "catalog", _catalog(stack.settings, size)


def _snapshots(settings: Settings, folder: str) -> Settings:
    return settings.model_copy(update={"snapshot_dir": folder})


def _publish_checkpoints(settings: Settings, size: int) -> None:
    writer = LedgerWriter(settings, CHECKPOINTS)
    cuts = [
        Cut(number, {(1, part): number * 7 for part in range(4)}, 5, number * _MINUTE_US)
        for number in range(1, size + 1)
    ]
    for first in range(0, size, _AT_ONCE):
        records = [cut_record(cut, f"c{cut.number}") for cut in cuts[first : first + _AT_ONCE]]
        writer.append_all([(b"checkpoints", codec("checkpoint").encode(record)) for record in records], 0)


def _checkpoints(settings: Settings, size: int) -> float:
    began = time.process_time()
    with closing(CheckpointLedger(settings)) as ledger:
        assert len(ledger.refresh().cuts) == size
    return (time.process_time() - began) * 1e3


def _catalog(settings: Settings, size: int) -> float:
    writer = LedgerWriter(settings, CATALOG)
    kinds = {"namespace": [{"code": NAMESPACE}], "account": [{"code": f"a{number}"} for number in range(size)]}
    records = [
        record_of(NAMESPACE, KINDS[kind].model_validate(body), kind=kind, version=1, author="", claim_id=body["code"])
        for kind, bodies in kinds.items() for body in bodies
    ]  # fmt: skip
    for first in range(0, len(records), _AT_ONCE):
        lot = records[first : first + _AT_ONCE]
        writer.append_all([(NAMESPACE.encode(), codec("catalog_entry").encode(record)) for record in lot], 0)
    began = time.process_time()
    assert len(read_catalog(settings).view(NAMESPACE).all("account")) == size
    return (time.process_time() - began) * 1e3


def _invoice(number: int) -> Invoice:
    subscription, start = f"s{number}", 1_700_000_000_000_000
    lines = tuple(
        Line(
            number=at, kind="usage", charge=f"c{at}", product=f"c{at}", description=f"Calls {at}",
            profile_id=f"calls.p{at}", profile_versions=(1,), period_start=start, period_end=start + 1, quantity="12.5",
            events="3", unit="call", price='{"model": "per_unit", "unit_amount": "0.5"}', amount="6.25",
            unrounded="6.25", steps="[]", note="", adjusts="",
        )
        for at in range(1, 4)
    )  # fmt: skip
    return Invoice(
        namespace=NAMESPACE, invoice_id=invoice_id(NAMESPACE, subscription, start, 0), version=1, predecessor="",
        subscription=subscription, sequence=0, account_id=f"a{number}", plan="p", plan_version=1, period_start=start,
        period_end=start + 1, time_zone="UTC", run_id="run_1", checkpoint=1, catalog_offset=1, as_of=start,
        state=FINALIZED, currency="EUR", total="18.75", lines=lines, body='{"subtotal": "18.75"}', claim_id="",
    )  # fmt: skip
