"""A start of the webhooks' process beside the invoices that there are: CPU milliseconds until it has read the topic."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from deploy.local.stack import Stack
from rating.invoices.ledger import invoices_reader
from rating.webhooks.intake import Intake, Notices
from schemas.kafka.topics import INVOICES
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_fold import WEBHOOKS, StoredFold, stored_in
from schemas.ledgers.invoice_claims import FINALIZED, invoice_id, record_key
from schemas.ledgers.invoice_record import Invoice, Line, encode_invoice
from schemas.ledgers.ledger_writer import LedgerWriter

SIZES = (5_000, 20_000)
NAMESPACE = "bench"
_AT_ONCE = 2_000


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
        yield "from the log's beginning", cost
        start(stored_in(folder, WEBHOOKS, log), ends)
        yield "from the fold before it", start(stored_in(folder, WEBHOOKS, log), ends)[0]


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
