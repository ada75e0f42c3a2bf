"""GET /v1/invoices/{id}/lines/{n}/explain, and the events behind the line's quantity, by pages."""

from __future__ import annotations

from typing import Annotated

import msgspec
from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query
from fastapi.responses import Response

from rating.api.context import Authorized, View
from rating.api.rating_problems import missing, wrong
from rating.explain import BadEventsCursor, NotExplained, explain, read_subject
from rating.explain.counted_events import MAX_LIMIT, read_events
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get("/v1/invoices/{invoice_id}/lines/{number}/explain", summary="How a line came about")
async def explained(rating: Authorized, view: View, invoice_id: str, number: int) -> Response:
    """Profile versions, filters, period, checkpoint, quantity by day, steps, rounding; for an adjustment both totals,
    both checkpoints and the late events between them. `quantity.agrees` says that the records still give what was
    billed."""

    def question(client: Client) -> JsonObject:
        subject = read_subject(client, rating.ledgers, view.namespace, invoice_id, number)
        return explain(client, rating.ledgers, subject)

    try:
        return _json(await rating.ask(question))
    except NotExplained as error:
        raise missing(str(error)) from None


@router.get("/v1/invoices/{invoice_id}/lines/{number}/explain/events", summary="The events behind a line, by pages")
async def events(
    *,
    rating: Authorized,
    view: View,
    invoice_id: str,
    number: int,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    everything: Annotated[
        bool, Query(alias="all", description="also those that were considered and do not decide (max, min, latest, …)")
    ] = False,
) -> Response:
    """For sum and count all that were counted, for count_unique the first of each value, for max, min and latest those
    that decide; as of the line's checkpoint. `next_cursor` is null on the last page. A line without usage has none."""

    def question(client: Client) -> JsonObject:
        subject = read_subject(client, rating.ledgers, view.namespace, invoice_id, number)
        if subject.need is None:
            return {"events": [], "next_cursor": None}
        page = read_events(client, subject.query, cursor=cursor, limit=limit, everything=everything)
        return page.to_json(subject.zone)

    try:
        return _json(await rating.ask(question))
    except NotExplained as error:
        raise missing(str(error)) from None
    except BadEventsCursor as error:
        raise wrong("cursor", str(error)) from None


def _json(answer: JsonObject) -> Response:
    # Events' properties are raw JSON text, so that no number of a customer's is rounded on its way out.
    return Response(msgspec.json.encode(answer), media_type="application/json")
