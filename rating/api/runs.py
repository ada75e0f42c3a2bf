"""GET /v1/runs and GET /v1/runs/{id}: billing runs as they were announced, with their pre-close checklists."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from rating.api.context import Authorized, View
from rating.api.rating_problems import missing
from rating.close.announced_runs import invoice_counts, run_head, run_of, runs_of
from rating.close.result import stored_checks
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get("/v1/runs", summary="Billing runs, the newest first")
async def runs(rating: Authorized, view: View, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> JsonObject:
    """Each with the number of its invoices, and of findings of its checklist; whole at `/v1/runs/{run_id}`."""
    newest = runs_of(rating.checkpoints, view.namespace)[:limit]
    counts = await rating.ask(lambda client: invoice_counts(client, view.namespace, newest))
    return {"runs": [run_head(run, counts.get(run.run_id, 0)) for run in newest]}


@router.get("/v1/runs/{run_id}", summary="One billing run: what it is as of, and the checklist before it billed")
async def run(rating: Authorized, view: View, run_id: str) -> JsonObject:
    """`checklist` is empty for a run of before there was one; a `count` of 0 is fine. Its invoices: `GET
    /v1/invoices?run_id=…`."""
    billing_run = run_of(rating.checkpoints, view.namespace, run_id)
    if billing_run is None:
        raise missing(f"there is no billing run {run_id[:64]!r} in namespace {view.namespace}")
    counts = await rating.ask(lambda client: invoice_counts(client, view.namespace, [billing_run]))
    head = run_head(billing_run, counts.get(run_id, 0))
    return {**head, "checklist": [check.to_json() for check in stored_checks(billing_run)]}
