"""A data folder of the earlier release comes up with the later one: all that it had is there and counts the same, and
the next month is billed as the earlier release would have billed it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.upgrade.history import MONTHS, PRODUCER_KEY, Say, call, calls, drafts, live_through, metered
from tests.upgrade.release import Release, Services, UpgradeError, services
from tests.upgrade.snapshot import Snapshot, changed, differences, snapshot

MARCH: Final = "2026-04-03T12:00:00Z"
_ENDS: Final = ("2026-03-31", "2026-04-01")
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
        yield from _decides(new, copy, say)
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


def _decides(new: Release, copy: Path, say: Say) -> Iterator[str]:
    """Keys, held drafts, open and paid invoices of the earlier release are what they were to a producer and a clerk."""
    stack = services(copy)
    producer = replace(stack, key=(copy / PRODUCER_KEY).read_text())
    producer.send([call("fine-2", "e", "2026-04-02T00:00:00Z", n="114.97809459641576", user="u1", model="A")])
    metered(stack)
    total = stack.get("/v1/usage?metric=calls.n&from=2026-04&account_id=e")["total"]
    if total["quantity"] != "114.978094596416":
        yield f"a number of 14 decimals is metered as {total}"
    for head in _drafts(stack):
        if head["draft"]["held"]:
            yield from _fine(new, copy, "invoice", "release", head["invoice_id"])
    yield from _fine(new, copy, "invoice", "approve", "--all")
    finalized = [head for head in _standing(stack) if head["state"] == "finalized" and Decimal(head["amount_due"]) > 1]
    first, second, *_, last = finalized
    yield from _fine(new, copy, "invoice", "pay", first["invoice_id"], first["amount_due"], "--reference", "after")
    credit = ("credit", second["invoice_id"], "1", "--reference", "after", "--reason", "so")
    yield from _fine(new, copy, "invoice", *credit)
    yield from _fine(new, copy, "invoice", "void", last["invoice_id"], "--reason", "wrong")
    yield from _fine(new, copy, "close", "--as-of", MARCH)
    yield from _verified(new, copy)
    say("invoices of the earlier release are approved, paid, credited, voided")


def _drafts(stack: Services) -> list[dict[str, Any]]:
    return list(stack.get("/v1/invoices?limit=500&state=draft")["invoices"])


def _standing(stack: Services) -> list[dict[str, Any]]:
    """Finalized, paid and void invoices, the earliest first."""
    return list(reversed(stack.get("/v1/invoices?limit=500")["invoices"]))


def _march(stack: Services) -> list[dict[str, Any]]:
    """March's invoices and drafts without what names a run, in a fixed order."""
    heads = [head for head in _standing(stack) + _drafts(stack) if head["period_end"][:10] in _ENDS]
    if not heads:
        raise UpgradeError("March has no invoice")
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
