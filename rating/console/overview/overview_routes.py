"""The route of a namespace's overview."""

from __future__ import annotations

from contextlib import suppress

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter
from fastapi.responses import Response
from starlette.background import BackgroundTask

from rating.alerts.alert_store import AlertCriteria, list_alerts
from rating.api.context import Rating
from rating.api.webhooks import webhook_status
from rating.console.alerts.alert_list import OPEN_SHOWN, open_alerts
from rating.console.html import Html
from rating.console.login.visit import Visiting
from rating.console.overview.overview_page import overview
from rating.console.overview.webhook_summary import webhook_summary
from rating.console.page_answers import page_of
from rating.invoices.lists import BadCursor, list_invoices
from schemas.http.problems import Problem
from schemas.ledgers.invoice_claims import DRAFT
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)


@router.get("/")
async def at_a_glance(visit: Visiting, cursor: str | None = None) -> Response:
    rating, view = visit.rating, visit.view
    webhook = webhook_summary(await webhook_status(rating, view))
    held = rating.held_books.shown(view.namespace)

    def question(client: Client) -> Html:
        try:
            invoices = list_invoices(client, view.namespace, cursor=cursor, limit=25)
        except BadCursor:
            invoices = list_invoices(client, view.namespace, limit=25)
        count = held or rating.held_books.count(client, view.namespace, rating.now())
        waiting = list_invoices(client, view.namespace, state=DRAFT, limit=25)
        alerts = list_alerts(
            client, AlertCriteria(view.namespace, open_only=True, now_us=micros(rating.now()), limit=OPEN_SHOWN + 1)
        )
        kinds = ("account", "subscription", "plan", "product", "meter")
        return overview(
            visit.frame,
            books=count.books,
            counted_at=held.at if held else None,
            counts={kind: view.indexes.in_force[kind] for kind in kinds},
            invoices=invoices,
            cursor=cursor,
            waiting=waiting,
            alerts=open_alerts(visit.frame, alerts),
            webhook=webhook,
        )

    answer = page_of(await rating.ask(question))
    if held is not None and rating.held_books.due(view.namespace, held):
        answer.background = BackgroundTask(_count_books, rating, view.namespace)
    return answer


async def _count_books(rating: Rating, namespace: str) -> None:
    with suppress(Problem):  # too much is asked at the moment: a later page has it counted
        await rating.ask(lambda client: rating.held_books.count(client, namespace, rating.now()))
