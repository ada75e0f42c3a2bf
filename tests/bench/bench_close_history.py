"""What month n of a close costs: `python tests/bench/bench_close_history.py [--subscriptions 2000] [--months 24]`.

Every subscription has a fee and two metered charges; each month is closed by a process of its own, as `weir close` is.
Prints the CPU and the greatest memory of each, and what the last quarter of the months takes of the first one after the
beginning. ``--no-snapshot``: every close reads usage.invoices from its beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench_close import NAMESPACE, entries

from deploy.local.stack import Stack, settings_environment
from schemas.catalog.models import KINDS
from schemas.catalog.state import record_of
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG
from schemas.ledgers.ledger_writer import LedgerWriter

_AT_ONCE = 10_000
_CLOSES = """
import json, resource, sys
from datetime import UTC, datetime
from rating.close import run_close
from schemas.settings import load_settings
for as_of in sys.argv[2:]:
    result = run_close(load_settings(), sys.argv[1], datetime.fromisoformat(as_of), datetime.now(UTC), lambda *_: None)
used = resource.getrusage(resource.RUSAGE_SELF)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"invoices": len(result.invoices), "cpu": cpu, "peak_mib": used.ru_maxrss / 1024}))
"""


def fill(stack: Stack, subscriptions: int, start: str) -> None:
    """The catalog; all subscriptions start at ``start``."""
    writer, encoder = LedgerWriter(stack.settings, CATALOG), codec("catalog_entry")
    made = entries(subscriptions, 0)
    for first in range(0, len(made), _AT_ONCE):
        records = []
        for number, (kind, body) in enumerate(made[first : first + _AT_ONCE], first):
            document: dict[str, Any] = body | ({"start": start} if kind == "subscription" else {})
            model = KINDS[kind].model_validate(document)
            claim = record_of(NAMESPACE, model, kind=kind, version=1, author="bench", claim_id=f"{kind}{number}")
            records.append((b"", encoder.encode(claim)))
        writer.append_all(records, 0)


def month_after(start: int, number: int) -> str:
    """The first instant of a month, ``number`` months after January of the year ``start``."""
    return f"{start + number // 12}-{number % 12 + 1:02}-01T00:00:00+00:00"


def close_months(environment: Mapping[str, str], months: Iterable[int], limit_s: float) -> dict[str, Any]:
    """Close these months (1: January 2024) one after another, all by one process.

    Returns the last one's ``invoices`` (their number), and the process's ``cpu`` (seconds) and ``peak_mib``. Raises
    AssertionError with what it said where it fails.
    """
    command = [sys.executable, "-c", _CLOSES, NAMESPACE, *(month_after(2024, number) for number in months)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=limit_s)
    if done.returncode:
        raise AssertionError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Fill, close month by month, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=2000)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--no-snapshot", action="store_true")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "worker")) as stack,
    ):
        fill(stack, asked.subscriptions, month_after(2024, 0))
        environment = os.environ | settings_environment(stack.settings)
        if asked.no_snapshot:
            environment["WEIR_SNAPSHOT_DIR"] = ""
        closes = []
        for number in range(1, asked.months + 1):
            closes.append(close_months(environment, [number], 600))
            if closes[-1]["invoices"] != asked.subscriptions:
                raise AssertionError(f"month {number}: {closes[-1]['invoices']} invoices")
            print(
                f"month {number:3}: CPU {closes[-1]['cpu']:6.2f} s, peak {closes[-1]['peak_mib']:6.0f} MiB", flush=True
            )
    last = closes[-max(1, asked.months // 4) :]
    for name in ("cpu", "peak_mib"):
        mean = sum(close[name] for close in last) / len(last)
        print(f"{name}: the last months take {mean / closes[min(1, len(closes) - 1)][name]:.2f} of the second")
    if asked.save:
        asked.save.parent.mkdir(parents=True, exist_ok=True)
        asked.save.write_text(json.dumps({"subscriptions": asked.subscriptions, "closes": closes}, indent=1))


if __name__ == "__main__":
    main()
