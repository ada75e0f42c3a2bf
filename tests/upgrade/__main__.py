"""``python -m tests.upgrade --old FOLDER``: an upgrade to this release from the one in that checkout, tried for real.

First a data folder that the earlier release has filled comes up with this one (``restart``); then a rolling upgrade
with events flowing (``rolling``). Some five minutes. Exit code 0: everything is as it was and counts once; 1: the list
says what is not; 2: it could not be tried to the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.upgrade.history import Say
from tests.upgrade.release import Release, UpgradeError
from tests.upgrade.restart import restart
from tests.upgrade.rolling import rolling

_HERE = Path(__file__).resolve().parents[2]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description="an upgrade, tried for real")
    parser.add_argument("--old", type=Path, required=True, help="checkout of the earlier release, after `make setup`")
    parser.add_argument("--data-dir", type=Path, help="keep data and logs here; by default a temporary folder")
    parser.add_argument("--each", type=int, default=200, help="events an account and month")
    parser.add_argument("--only", choices=("restart", "rolling"), help="one of the two")
    given = parser.parse_args()
    if not (given.old / ".venv/bin/python").exists():
        print(f"{given.old} has no .venv: run `make setup` there", file=sys.stderr)
        return 2
    folder = (given.data_dir or Path(tempfile.mkdtemp(prefix="weir-upgrade-"))).absolute()
    began = time.monotonic()
    wrong: list[str] = []

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        for found in _trials(Release(given.old.resolve()), folder, given.each, given.only, say):
            wrong.append(found)
            say(f"WRONG: {found}")
    except UpgradeError as error:
        print(f"the upgrade could not be tried to its end: {error}\ndata and logs are in {folder}", file=sys.stderr)
        return 2
    say(f"{len(wrong)} differences" + (f"; data and logs are in {folder}" if wrong else ""))
    if not wrong and given.data_dir is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def _trials(old: Release, folder: Path, each: int, only: str | None, say: Say) -> Iterator[str]:
    new = Release(_HERE)
    if only != "rolling":
        yield from restart(old, new, folder / "restart", each, say)
    if only != "restart":
        yield from rolling(old, new, folder / "rolling", say)


if __name__ == "__main__":
    sys.exit(main())
