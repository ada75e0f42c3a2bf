"""`GET /v1/reports/late-usage` beside the months behind it: CPU milliseconds of the report and of ClickHouse."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench_close_history import fill, month_after
from measuring import cpu_seconds

from deploy.local.stack import Stack, settings_environment
from rating.api.invoice_ledger import InvoiceLedger
from rating.invoicing.late.late_report import late_report
from schemas.catalog.follower import read_catalog
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import CheckpointLedger

SIZES = (2, 10)
SUBSCRIPTIONS = 500
ASKS = 5
NAMESPACE = "bench"
_CLOSE = """
import sys
from datetime import UTC, datetime
from rating.close.billing_run import run_close
from schemas.settings import load_settings
for as_of in sys.argv[2:]:
    run_close(load_settings(), sys.argv[1], datetime.fromisoformat(as_of), datetime.now(UTC), lambda *_: None)
"""


def measure(size: int) -> Iterator[tuple[str, float]]:
    """Months of some subscriptions, each with a fee and two metered charges; the service is warm."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "worker")) as stack,
    ):
        fill(stack, SUBSCRIPTIONS, month_after(2024, 0))
        months = [month_after(2024, number) for number in range(1, size + 1)]
        environment = os.environ | settings_environment(stack.settings)
        subprocess.run([sys.executable, "-c", _CLOSE, NAMESPACE, *months], env=environment, check=True, timeout=240)
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
