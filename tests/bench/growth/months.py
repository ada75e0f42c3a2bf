"""Months behind a namespace: CPU microseconds a subscription and MiB of the close of the last one, milliseconds of a
payment (the process that records it, and Kafka), and of the late-usage report, the second time with all of it behind a
lock date."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial
from pathlib import Path

from bench_close_history import close_months, fill, month_after
from measuring import cpu_seconds

from deploy.local.stack import Stack, settings_environment
from rating.api.invoice_ledger import InvoiceLedger
from rating.invoices.transitions import NewPayment, with_payment
from rating.invoicing.late.late_report import late_report
from schemas.catalog.follower import read_catalog
from schemas.catalog.models import Namespace
from schemas.catalog.state import record_of
from schemas.clickhouse.client import connect
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.ledger_writer import LedgerWriter

SIZES = (4, 16)
SUBSCRIPTIONS = 500
PAYMENTS = 20
ASKS = 5
NAMESPACE = "bench"


def measure(size: int) -> Iterator[tuple[str, float]]:
    """Each month but the last is closed by one process, the last by one of its own, as `weir close` is."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "worker")) as stack,
    ):
        fill(stack, SUBSCRIPTIONS, month_after(2024, 0))
        environment = os.environ | settings_environment(stack.settings)
        close_months(environment, range(1, size), 240)
        close = close_months(environment, [size], 200)
        yield "close of the last month, µs", close["cpu"] / SUBSCRIPTIONS * 1e6
        yield "its peak, MiB", close["peak_mib"]
        with closing(InvoiceLedger(stack.settings)) as ledger:
            chain = ledger.ask(NAMESPACE, lambda standing: standing.chain(NAMESPACE, "acct_0"))
            kafka, began = cpu_seconds(stack.pid("kafka")), time.process_time()
            for number in range(PAYMENTS):
                change = partial(_paid, number)
                ledger.amend(NAMESPACE, "acct_0", chain[-1].invoice_id, change)
            yield "payment, ms", (time.process_time() - began) / PAYMENTS * 1e3
            yield "payment, Kafka, ms", (cpu_seconds(stack.pid("kafka")) - kafka) / PAYMENTS * 1e3
            yield from _reports(stack, ledger, "", locked=False)
            _lock(stack, month_after(2024, size)[:10])
            yield from _reports(stack, ledger, " behind a lock date", locked=True)


def _paid(number: int, _chain: list[Invoice], newest: Invoice) -> Invoice | None:
    return with_payment(newest, NewPayment(f"payment {number}", Decimal("0.01"), 0, "bench"))


def _lock(stack: Stack, day: str) -> None:
    model = Namespace.model_validate({"code": NAMESPACE, "max_event_age_seconds": None, "lock_date": day})
    record = record_of(NAMESPACE, model, kind="namespace", version=2, author="bench", claim_id="lock")
    LedgerWriter(stack.settings, CATALOG).append_all([(b"", codec("catalog_entry").encode(record))], 0)


def _reports(stack: Stack, ledger: InvoiceLedger, which: str, *, locked: bool) -> Iterator[tuple[str, float]]:
    client, view = connect(stack.settings), read_catalog(stack.settings).view(NAMESPACE)
    with closing(CheckpointLedger(stack.settings)) as checkpoints:
        known = checkpoints.refresh()

        def asked() -> None:
            report = ledger.ask(NAMESPACE, lambda standing: late_report(client, view, standing, known))
            assert (report.behind_lock.lock_date is not None) == locked
            assert not report.lines

        asked()
        used, began = cpu_seconds(stack.pid("clickhouse")), time.process_time()
        for _ in range(ASKS):
            asked()
        yield f"late report{which}, ms", (time.process_time() - began) / ASKS * 1e3
        yield "… ClickHouse, ms" + which, (cpu_seconds(stack.pid("clickhouse")) - used) / ASKS * 1e3
