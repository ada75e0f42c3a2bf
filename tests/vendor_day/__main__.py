"""``python -m tests.vendor_day``: a day in the life of an AI API vendor, on a stack of its own, compared with an
independent fold. Some three minutes. Exit code 0: every number is the fold's; 1: the list says which is not; 2: the day
could not be played to its end."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.vendor_day import vendor
from tests.vendor_day.day import run
from tests.vendor_day.fold import month_of


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.vendor_day", description="a day of an AI API vendor")
    parser.add_argument("--seed", type=int, default=1, help="of calls and their order (default 1)")
    parser.add_argument("--data-dir", type=Path, help="keep data and logs here; by default a temporary folder")
    given = parser.parse_args()
    now = datetime.now(UTC)
    for account in vendor.ACCOUNTS:
        if month_of(account, now) != month_of(account, now + timedelta(minutes=20)):
            print(f"{account}'s month ends within 20 minutes: play the day after it", file=sys.stderr)
            return 2
    folder = (given.data_dir or Path(tempfile.mkdtemp(prefix="weir-vendor-day-"))).absolute()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    differences = run(folder, given.seed, say)
    say(f"{len(differences)} differences" + (f"; data and logs are in {folder}" if differences else ""))
    if not differences and given.data_dir is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
