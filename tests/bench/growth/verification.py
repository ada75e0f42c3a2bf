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

from bench_close_history import close_months, fill, month_after
from measuring import cpu_seconds

from deploy.local.stack import Stack, settings_environment

SIZES = (2_000, 8_000)
MONTHS = 4
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
        close_months(environment, range(1, MONTHS + 1), 240)
        used = cpu_seconds(stack.pid("clickhouse"))
        done = subprocess.run(
            [sys.executable, "-c", _VERIFY, "bench"], env=environment, check=True, stdout=subprocess.PIPE, timeout=200,
            text=True,
        )  # fmt: skip
        cost = json.loads(done.stdout)
        print(cost, file=sys.stderr)
        yield "command, ms an invoice", cost["cpu"] / size * 1e3
        yield "ClickHouse, ms an invoice", (cpu_seconds(stack.pid("clickhouse")) - used) / size * 1e3
        yield "command, KiB an invoice", cost["kib"] / size
