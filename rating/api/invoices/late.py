"""GET /v1/reports/late-usage: what came after its period was billed and is on no invoice yet."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request

from rating.api.context import Authorized, View
from rating.api.rating_problems import RatingProblem, unavailable
from rating.invoicing.late.late_report import late_report
from schemas.ledgers.errors import LedgerUnavailable
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get("/v1/reports/late-usage", summary="Late usage that is on no invoice yet, line by line")
async def late_usage(
    request: Request,
    rating: Authorized,
    view: View,
    account_id: Annotated[str | None, Query(description="only this account")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="lines in the answer; totals are of all")] = 1000,
    left_out_since: Annotated[
        date | None,
        Query(
            description="of `left_out`: periods that ended after the beginning of this date (UTC); 92 days before the"
            " lock date unless given"
        ),
    ] = None,
) -> JsonObject:
    """The next close adjusts just these lines: `difference` = `now` (live, by the price as pinned) − `billed` so
    far. `left_out` has, apart, what came or was voided for invoices behind the namespace's `lock_date`: no close bills
    it."""
    try:
        report = await rating.ask_long(
            lambda client, _go_on: rating.invoice_ledger.ask(
                view.namespace,
                lambda standing: late_report(client, view, standing, rating.checkpoints, account_id, left_out_since),
            ),
            request,
        )
    except LedgerUnavailable as error:
        raise RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
    except LookupError as error:  # an invoice of a run that was announced a moment ago
        raise unavailable(str(error)) from None
    return {"namespace": view.namespace, **report.to_json(limit)}
