"""A data folder of the earlier release comes up with the later one: all that it had is there and counts the same, and
the next month is billed as the earlier release would have billed it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.upgrade.history import MONTHS, Say, calls, drafts, live_through, metered
from tests.upgrade.release import Release, Services, services
from tests.upgrade.snapshot import Snapshot, changed, differences, snapshot

MARCH: Final = "2026-04-03T12:00:00Z"
_BILLED: Final = ("account_id", "period_start", "period_end", "total", "currency", "state")


def restart(old: Release, new: Release, folder: Path, each: int, say: Say) -> Iterator[str]:
    """What is wrong after the upgrade. Raises UpgradeError where it cannot go on."""
    before, copy = folder / "before", folder / "after"
    old.weir(before, "up", "--detach")
    try:
        live_through(old, before, each, say)
        was = snapshot(services(before))
    finally:
        old.weir(before, "down")
    shutil.copytree(before, copy, symlinks=True)
    say("the later release on a copy")
    new.weir(copy, "up", "--detach")
    try:
        yield from _as_before(new, copy, was, say)
        yield from _goes_on(new, copy, each, say)
        now_billed = _march(services(copy))
    finally:
        new.weir(copy, "down")
    say("the earlier release bills the same month on the original")
    old.weir(before, "up", "--detach")
    try:
        old.weir(before, "close", "--as-of", MARCH)
        for place, old_value, new_value in changed(_march(services(before)), now_billed):
            yield f"March{place} is billed {new_value}; the earlier release billed {old_value}"
    finally:
        old.weir(before, "down")


def _as_before(new: Release, copy: Path, was: Snapshot, say: Say) -> Iterator[str]:
    stack = services(copy)
    metered(stack)
    yield from _fine(new, copy, "status")
    yield from differences(was, snapshot(stack, was))
    yield from _verified(new, copy)
    for (partition,) in stack.rows("SELECT DISTINCT partition FROM usage_progress ORDER BY partition"):
        yield from _fine(new, copy, "replay", "--partition", partition, "--from", "0")
    say("replayed")
    for found in differences(was, snapshot(stack, was)):
        yield f"after a replay: {found}"
    yield from _verified(new, copy)


def _goes_on(new: Release, copy: Path, each: int, say: Say) -> Iterator[str]:
    """Copies of old events still count once, a fine number counts now, the held draft waits, March is billed."""
    stack = services(copy)
    held = drafts(stack)
    events = stack.get("/v1/ledger")
    stack.send(calls(MONTHS[1], each))
    metered(stack)
    books = stack.get("/v1/ledger")
    if books["metered"] != events["metered"]:
        yield f"copies of the earlier release's events count again: {events} became {books}"
    if not books["balanced"]:
        yield f"the books do not balance: {books}"
    yield from _fine(new, copy, "late")
    yield from _fine(new, copy, "close", "--as-of", MARCH)
    if gone := sorted(set(held) - set(drafts(stack))):
        yield f"drafts that were held are gone: {gone}"
    yield from _verified(new, copy)
    say("March is billed")


def _march(stack: Services) -> list[dict[str, Any]]:
    """March's invoices and drafts without what names a run, in a fixed order."""
    heads = [
        head
        for state in ("", "&state=draft")
        for head in stack.get(f"/v1/invoices?limit=500{state}")["invoices"]
        if head["period_end"].startswith("2026-04") or head["period_end"].startswith("2026-03-31")
    ]
    wholes = [stack.get(f"/v1/invoices/{head['invoice_id']}") for head in heads]
    billed = [
        {name: whole[name] for name in _BILLED}
        | {"lines": [(line["kind"], line["charge"], line["quantity"], line["amount"]) for line in whole["lines"]]}
        for whole in wholes
    ]
    return sorted(billed, key=lambda invoice: (invoice["account_id"], invoice["period_start"], invoice["state"]))


def _verified(new: Release, copy: Path) -> Iterator[str]:
    yield from _fine(new, copy, "verify")
    yield from _fine(new, copy, "verify", "--invoices")


def _fine(release: Release, data_dir: Path, *arguments: str) -> Iterator[str]:
    ended: subprocess.CompletedProcess[str] = release.run(data_dir, *arguments)
    if ended.returncode:
        yield f"`weir {' '.join(arguments)}` ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-2000:]}"
