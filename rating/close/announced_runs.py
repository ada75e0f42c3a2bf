"""Announced billing runs of a namespace, with their numbers of invoices."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from clickhouse_connect.driver.client import Client

from rating.close.result import stored_checks
from schemas.ledgers.checkpoints import Checkpoints, Run
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


def run_id(namespace: str, as_of_us: int, attempt: int, voids: Iterable[str] = ()) -> str:
    """Deterministic id of a run, equal in every process that closes the same periods: ``run_`` and 24 hexadecimal
    digits.

    ``as_of_us``: the instant at which the last of the periods became due. ``attempt``: counts plans of the same
    periods; the next one includes what an earlier one did not know, such as a subscription published after it.
    ``voids``: void invoices of the billed periods, so that a period billed again belongs to a run of its own.
    """
    text = f"{len(namespace)}:{namespace}{as_of_us}:{attempt}" + "".join(f":{name}" for name in voids)
    return "run_" + blake2b(text.encode(), digest_size=12).hexdigest()


def runs_of(checkpoints: Checkpoints, namespace: str) -> list[Run]:
    """All runs of a namespace, newest first."""
    return [run for run in reversed(list(checkpoints.runs.values())) if run.body.get("namespace") == namespace]


def run_of(checkpoints: Checkpoints, namespace: str, run_id: str) -> Run | None:
    """One run; None if the namespace has none with this id."""
    run = checkpoints.runs.get(run_id)
    return run if run is not None and run.body.get("namespace") == namespace else None


def invoice_counts(client: Client, namespace: str, runs: Iterable[Run]) -> dict[str, int]:
    """Run id → number of invoices, including void ones; runs without invoices are missing. Blocking."""
    rows = client.query(
        "SELECT of, uniqExact(invoice_id) FROM invoice_lists WHERE namespace = {namespace:String}"
        " AND draft = false AND list = 'run' AND of IN {runs:Array(String)} GROUP BY of",
        parameters={"namespace": namespace, "runs": [run.run_id for run in runs]},
    ).result_rows
    return {str(name): int(count) for name, count in rows}


def run_head(run: Run, invoices: int) -> JsonObject:
    """A run without its checklist, ready for json.dumps.

    ``drafts``: the run only created or refreshed drafts; its invoices are those approved since. ``time_zone_data``:
    the IANA release by which its periods were computed, None for runs of older releases.
    """
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
    """Whether the run only created or refreshed drafts."""
    return bool(run.body.get("drafts"))
