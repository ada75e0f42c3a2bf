"""``python -m tests.upgrade.restored``: a stack's backup comes up in an empty folder, and ClickHouse is lost and made
anew from Kafka.

A stack lives through two closed months with every kind of event, price and decision (``history``). What its backup
says in another folder is compared with what it said, table by table and answer by answer (``snapshot``), and verified;
then the tables are deleted, and what Kafka alone makes of them is compared again. Exit code 0: equal.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.upgrade.history import Say, call, live_through, metered, until
from tests.upgrade.release import Release, Services, UpgradeError, services
from tests.upgrade.snapshot import Snapshot, differences, snapshot

_HERE: Final = Path(__file__).resolve().parents[2]
_APRIL: Final = "2026-04-03T12:00:00Z"
COPIES: Final = ("usage_records", "invoices", "invoice_lines", "catalog_entries", "usage_events", "rejected_events")
"""Tables that are made of topics alone."""
PASSING: Final = {
    "usage_progress": "a row a flush: an old log is flushed in other portions",
    "usage_topics": "when the topic was first seen",
    "backfill_progress": "when each backfill ran",
    "backfill_records": "records of a backfill, until it is done and they are in usage_records",
    "acknowledged_records": "what gateways had noted of records; only ClickHouse has it (deploy/guides/backup.md)",
}
"""Tables that Kafka alone does not make again as they were, with what they hold; no answer may differ for it."""


def trial(release: Release, folder: Path, each: int, say: Say) -> Iterator[str]:
    """What is not as it was. Raises UpgradeError where it cannot go on."""
    original, copy, archive = folder / "original", folder / "elsewhere", folder / "backup.tar"
    release.weir(original, "up", "--detach")
    try:
        live_through(release, original, each, say)
        was = snapshot(services(original))
        if release.run(original, "backup", str(archive)).returncode == 0:
            yield "a running stack was backed up"
    finally:
        release.weir(original, "down")
    say(release.weir(original, "backup", str(archive)).strip())
    shutil.move(original, folder / "gone")
    say(release.weir(copy, "restore", str(archive)).strip())
    release.weir(copy, "up", "--detach")
    try:
        stack = services(copy)
        metered(stack)
        for found in differences(was, snapshot(stack, was)):
            yield f"restored: {found}"
        yield from _verified(release, copy, "restored")
        say("restored and verified")
    finally:
        release.weir(copy, "down")
    shutil.rmtree(copy / "clickhouse")
    shutil.rmtree(copy / "snapshots", ignore_errors=True)
    release.weir(copy, "up", "--detach")
    try:
        stack = services(copy)
        metered(stack)
        say(release.weir(copy, "copies", "rebuild").strip())
        until("the copies", lambda: _rows_of_copies(stack), 120, lambda rows: _copied(rows, was))
        say("ClickHouse is made anew of Kafka")
        lasting = Snapshot({name: table for name, table in was.tables.items() if name not in PASSING}, was.answers)
        for found in differences(lasting, snapshot(stack, lasting)):
            yield f"rebuilt: {found}"
        yield from _verified(release, copy, "rebuilt")
        stack.send([call("after-1", "a", "2026-03-20T00:00:00Z", n="1", user="u1", model="A")])
        metered(stack)
        yield from _fine(release, copy, "rebuilt", "close", "--as-of", _APRIL)
        yield from _verified(release, copy, "a month after")
    finally:
        release.weir(copy, "down")


def _rows_of_copies(stack: Services) -> dict[str, int]:
    """How many rows each table has that is made of topics."""
    return {table: int(stack.rows(f"SELECT count() FROM `{table}` FINAL")[0][0]) for table in COPIES}


def _copied(rows: Mapping[str, int], was: Snapshot) -> bool:
    """Whether every table that is made of topics has as many rows again."""
    return all(count >= len(was.tables[table].rows) for table, count in rows.items())


def _verified(release: Release, folder: Path, when: str) -> Iterator[str]:
    yield from _fine(release, folder, when, "verify")
    yield from _fine(release, folder, when, "verify", "--invoices")
    yield from _fine(release, folder, when, "ledger")


def _fine(release: Release, folder: Path, when: str, *arguments: str) -> Iterator[str]:
    ended = release.run(folder, *arguments)
    if ended.returncode:
        said = (ended.stdout + ended.stderr)[-2000:]
        yield f"{when}: `weir {' '.join(arguments)}` ended with {ended.returncode}: {said}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade.restored", description="a backup, tried for real")
    parser.add_argument("--data-dir", type=Path, help="keep data and logs here; by default a temporary folder")
    parser.add_argument("--each", type=int, default=50, help="events an account and month")
    given = parser.parse_args()
    folder = (given.data_dir or Path(tempfile.mkdtemp(prefix="weir-restored-"))).absolute()
    began, wrong = time.monotonic(), 0

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        for found in trial(Release(_HERE), folder, given.each, say):
            wrong += 1
            say(f"WRONG: {found}")
    except UpgradeError as error:
        print(f"the backup could not be tried to its end: {error}\ndata and logs are in {folder}", file=sys.stderr)
        return 2
    say(f"{wrong} differences" + (f"; data and logs are in {folder}" if wrong else ""))
    if not wrong and given.data_dir is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
