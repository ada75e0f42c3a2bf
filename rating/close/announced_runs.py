"""Billing runs: as they were announced, with how many invoices came of each."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from rating.close.result import stored_checks
from schemas.ledgers.checkpoints import Checkpoints, Run
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


def run_id(namespace: str, as_of_us: int, attempt: int, voids: Iterable[str] = ()) -> str:
    """The same in every process that closes the same periods: ``run_`` + 24 hex digits.

    ``as_of_us``: the instant at which the last of them became due. ``attempt`` counts plans of it: the next one is for
    what an earlier one did not know, such as a subscription that was published after it. ``voids``: void invoices of
    what it bills, so that a period which is billed again is so as of its own run.
    """
    text = f"{len(namespace)}:{namespace}{as_of_us}:{attempt}" + "".join(f":{name}" for name in voids)
    return "run_" + blake2b(text.encode(), digest_size=12).hexdigest()


def runs_of(checkpoints: Checkpoints, namespace: str) -> list[Run]:
    """All runs of a namespace, the newest first."""
    return [run for run in reversed(list(checkpoints.runs.values())) if run.body.get("namespace") == namespace]


def run_of(checkpoints: Checkpoints, namespace: str, run_id: str) -> Run | None:
    """One run, None where the namespace has none of that name."""
    run = checkpoints.runs.get(run_id)
    return run if run is not None and run.body.get("namespace") == namespace else None


def invoice_counts(client: Any, namespace: str, runs: Iterable[Run]) -> dict[str, int]:
    """Run id → invoices, also those that are void by now; a run without one is not in it. Blocking."""
    rows = client.query(
        "SELECT run_id, uniqExact(invoice_id) FROM invoices WHERE namespace = {namespace:String}"
        " AND run_id IN {runs:Array(String)} GROUP BY run_id",
        parameters={"namespace": namespace, "runs": [run.run_id for run in runs]},
    ).result_rows
    return {str(name): int(count) for name, count in rows}


def run_head(run: Run, invoices: int) -> JsonObject:
    """A run without its checklist, ready for json.dumps. ``drafts``: it made or refreshed drafts alone; the invoices
    are those that were approved since; ``time_zone_data``: the IANA release by which its periods were found, None for a
    run of before it was said."""
    return {
        "run_id": run.run_id,
        "due_until": run.body.get("as_of"),
        "checkpoint": run.number,
        "as_of": rfc3339(run.as_of_us),
        "invoices": invoices,
        "drafts": of_drafts(run),
        "time_zone_data": run.body.get("time_zone_data"),
        "findings": sum(1 for check in stored_checks(run) if check.count),
    }


def of_drafts(run: Run) -> bool:
    """Whether it made or refreshed drafts alone."""
    return bool(run.body.get("drafts"))
