"""``python -m tests.chaos``: kill, freeze and cut a whole stack for a while, and prove that every event counted once.

Exit code 0: nothing lost, nothing double, all totals and books right; 1: something is wrong (the table says what); 2:
it could not be started.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.run import Options, run
from tests.chaos.schedule import SHORT


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="exactly once, proven under fire")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=110, help=f"how many; {SHORT} are one of each kind")
    parser.add_argument("--json", type=Path, help="write the report here as well")
    parser.add_argument(
        "--data-dir", type=Path, help="keep the stack's data and logs here; by default a temporary folder"
    )
    given = parser.parse_args()
    folder = given.data_dir or Path(tempfile.mkdtemp(prefix="weir-chaos-"))
    # The audit asks again until it is answered; each refusal would be a line.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    began = time.monotonic()
    try:
        report = run(
            Options(given.seed, given.faults, folder),
            lambda text: print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True),
        )
    except Exception as error:
        print(f"chaos could not run: {error!r}; logs are in {folder}/logs", file=sys.stderr)
        return 2
    print(report.text())
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    if report.passed and given.data_dir is None:
        shutil.rmtree(folder, ignore_errors=True)
    elif not report.passed:
        print(f"data and logs are in {folder}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
