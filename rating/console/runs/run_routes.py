"""Routes of the console's pages of billing runs."""

from __future__ import annotations

from typing import Final

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter
from fastapi.responses import Response

from rating.api.rating_problems import missing
from rating.close.announced_runs import invoice_counts, run_of, runs_of
from rating.console.html import Html
from rating.console.login.visit import Visiting
from rating.console.page_answers import page_of
from rating.console.runs import run_pages
from rating.invoices.lists import BadCursor, list_invoices

router = APIRouter(include_in_schema=False)

_RUNS_SHOWN: Final = 50


@router.get("/runs")
async def runs(visit: Visiting, cursor: str | None = None) -> Response:
    rating, namespace = visit.rating, visit.view.namespace
    all_runs = runs_of(rating.checkpoints, namespace)
    # Runs are only ever added at the front, so the cursor is the run that the page before ended with.
    start = next((index + 1 for index, run in enumerate(all_runs) if run.run_id == cursor), 0)
    shown = all_runs[start : start + _RUNS_SHOWN]
    counts = await rating.ask(lambda client: invoice_counts(client, namespace, shown))
    next_cursor = shown[-1].run_id if len(all_runs) > start + _RUNS_SHOWN else None
    return page_of(run_pages.runs(visit.frame, shown, counts, next_cursor))


@router.get("/runs/{run_id}")
async def run(visit: Visiting, run_id: str, cursor: str | None = None) -> Response:
    rating, namespace = visit.rating, visit.view.namespace
    billing_run = run_of(rating.checkpoints, namespace, run_id)
    if billing_run is None:
        raise missing(f"there is no billing run {run_id[:64]} in {namespace}")

    def question(client: Client) -> Html:
        try:
            invoices = list_invoices(client, namespace, run_id=run_id, cursor=cursor, limit=100)
        except BadCursor:
            invoices = list_invoices(client, namespace, run_id=run_id, limit=100)
        counts = invoice_counts(client, namespace, [billing_run])
        return run_pages.run(visit.frame, billing_run, invoices, counts.get(run_id, 0), cursor)

    return page_of(await rating.ask(question))
