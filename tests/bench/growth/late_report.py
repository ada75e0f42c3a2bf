"""`GET /v1/reports/late-usage` beside the months behind it: CPU milliseconds of the report and of ClickHouse."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench_close_history import close_months, fill, month_after
from measuring import cpu_seconds

from deploy.local.stack import Stack
from rating.api.invoice_ledger import InvoiceLedger
from rating.invoicing.late.late_report import late_report
from schemas.catalog.follower import read_catalog
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import CheckpointLedger

SIZES = (2, 10)
SUBSCRIPTIONS = 500
ASKS = 5
NAMESPACE = "bench"


def measure(size: int) -> Iterator[tuple[str, float]]:
    """Months of some subscriptions, each with a fee and two metered charges; the service is warm."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "worker")) as stack,
    ):
        fill(stack, SUBSCRIPTIONS, month_after(2024, 0))
        close_months(stack, size)
        client, view = connect(stack.settings), read_catalog(stack.settings).view(NAMESPACE)
        with closing(CheckpointLedger(stack.settings)) as ledger, closing(InvoiceLedger(stack.settings)) as invoices:
            checkpoints = ledger.refresh()

            def asked() -> None:
                report = invoices.ask(NAMESPACE, lambda standing: late_report(client, view, standing, checkpoints))
                assert not report.lines

            asked()
            used, began = cpu_seconds(stack.pid("clickhouse")), time.process_time()
            for _ in range(ASKS):
                asked()
            yield "report, ms", (time.process_time() - began) / ASKS * 1e3
            yield "ClickHouse, ms", (cpu_seconds(stack.pid("clickhouse")) - used) / ASKS * 1e3
