"""`weir verify` of invoices beside how many there are: CPU milliseconds of the command and of ClickHouse, and KiB, an
invoice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench_close_history import fill, month_after
from measuring import cpu_seconds

from deploy.local.stack import Stack, settings_environment

SIZES = (2_000, 8_000)
MONTHS = 4
_CLOSE = """
import sys
from datetime import UTC, datetime
from rating.close.billing_run import run_close
from schemas.settings import load_settings
for as_of in sys.argv[2:]:
    run_close(load_settings(), sys.argv[1], datetime.fromisoformat(as_of), datetime.now(UTC), lambda *_: None)
"""
_VERIFY = """
import json, resource, sys
from rating.verify.scope import open_scope
from rating.verify.difference import Findings
from rating.verify.verification import CHECKS
from schemas.settings import load_settings
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
scope = open_scope(load_settings(), sys.argv[1])
base, before, costs = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, used(), {}
for name, check in CHECKS.items():
    if "invoice" in name:
        began, findings = used(), Findings()
        check(scope, findings, lambda *_: None)
        assert findings.differences() == [], findings.differences()[:3]
        costs[name] = used() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"cpu": used() - before, "kib": peak - base, "checks": costs}))
"""


def measure(size: int) -> Iterator[tuple[str, float]]:
    """Invoices of some months, made by closes: a fee and two metered charges each."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "worker")) as stack,
    ):
        fill(stack, size // MONTHS, month_after(2024, 0))
        environment = os.environ | settings_environment(stack.settings)
        months = [month_after(2024, number) for number in range(1, MONTHS + 1)]

        def run(script: str, *arguments: str) -> str:
            command = [sys.executable, "-c", script, "bench", *arguments]
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, timeout=200, text=True)
            return done.stdout

        run(_CLOSE, *months)
        used = cpu_seconds(stack.pid("clickhouse"))
        cost = json.loads(run(_VERIFY))
        print(cost, file=sys.stderr)
        yield "command, ms an invoice", cost["cpu"] / size * 1e3
        yield "ClickHouse, ms an invoice", (cpu_seconds(stack.pid("clickhouse")) - used) / size * 1e3
        yield "command, KiB an invoice", cost["kib"] / size
