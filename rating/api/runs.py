"""GET /v1/runs and GET /v1/runs/{id}: billing runs as they were announced, with their pre-close checklists."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from rating.api.context import Authorized, View
from rating.api.problems import missing
from rating.close.run import stored_checks
from schemas.checkpoints import Run
from schemas.instants import rfc3339

router = APIRouter(tags=["invoices"])


@router.get("/v1/runs", summary="Billing runs, the newest first")
async def runs(rating: Authorized, view: View, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
    """Each with the number of findings of its checklist; whole at `/v1/runs/{run_id}`."""
    mine = [run for run in list(rating.checkpoints.runs.values()) if run.body.get("namespace") == view.namespace]
    return {"runs": [_head(run) for run in reversed(mine[-limit:])]}


@router.get("/v1/runs/{run_id}", summary="One billing run: what it is as of, and the checklist before it billed")
async def run(rating: Authorized, view: View, run_id: str) -> dict[str, Any]:
    """`checklist` is empty for a run of before there was one; a `count` of 0 is fine."""
    found = rating.checkpoints.runs.get(run_id)
    if found is None or found.body.get("namespace") != view.namespace:
        raise missing(f"there is no billing run {run_id[:64]!r} in namespace {view.namespace}")
    return {**_head(found), "checklist": [check.to_json() for check in stored_checks(found)]}


def _head(found: Run) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "due_until": found.body.get("as_of"),
        "checkpoint": found.number,
        "as_of": rfc3339(found.as_of_us),
        "findings": sum(1 for check in stored_checks(found) if check.count),
    }
