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
from rating.console.events.read_events import refused_since
from rating.console.html import Html
from rating.console.login.visit import Visiting
from rating.console.overview.overview_page import overview
from rating.console.overview.today import Today, today_panel
from rating.console.overview.webhook_summary import webhook_summary
from rating.console.page_answers import page_of
from rating.invoices.lists import BadCursor, list_invoices
from schemas.http.problems import Problem
from schemas.ledgers.invoice_claims import DRAFT
from schemas.values.instants import DAY, SECOND, micros

router = APIRouter(include_in_schema=False)


@router.get("/")
async def at_a_glance(visit: Visiting, cursor: str | None = None) -> Response:
    rating, view = visit.rating, visit.view
    status = await webhook_status(rating, view)
    webhook = webhook_summary(status)
    held = rating.held_books.shown(view.namespace)

    def question(client: Client) -> Html:
        try:
            invoices = list_invoices(client, view.namespace, cursor=cursor, limit=25)
        except BadCursor:
            invoices = list_invoices(client, view.namespace, limit=25)
        count = held or rating.held_books.count(client, view.namespace, rating.now())
        waiting = list_invoices(client, view.namespace, state=DRAFT, limit=25)
        alerts = list_alerts(
            client,
            AlertCriteria(view.namespace, open_only=True, now_us=micros(rating.now_of(view)), limit=OPEN_SHOWN + 1),
        )
        now_us = micros(rating.now())
        odd = list_alerts(
            client, AlertCriteria(view.namespace, measure="anomaly", since_us=now_us - 7 * DAY, limit=OPEN_SHOWN + 1)
        )
        lists = (("drafts", waiting.next_cursor is not None), ("alerts", len(alerts) > OPEN_SHOWN))
        metered, duplicates = _counted_since(client, view.namespace, now_us)
        today = Today(
            metered,
            refused_since(client, view.namespace, now_us - DAY),
            duplicates,
            len(waiting.invoices),
            min(len(alerts), OPEN_SHOWN),
            min(len(odd), OPEN_SHOWN),
            int(status["given_up"]),
            frozenset(name for name, more in (*lists, ("anomalies", len(odd) > OPEN_SHOWN)) if more),
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
            today=today_panel(visit.frame, today),
        )

    answer = page_of(await rating.ask(question))
    if held is not None and rating.held_books.due(view.namespace, held):
        answer.background = BackgroundTask(_count_books, rating, view.namespace)
    return answer


def _counted_since(client: Client, namespace: str, now_us: int) -> tuple[int, int]:
    """Events taken in during the five minutes before, and copies dropped in the day before. Blocking."""
    ((metered, duplicates),) = client.query(
        "SELECT (SELECT count() FROM usage_events WHERE namespace = {n:String}"
        " AND append_time >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC')),"
        " (SELECT count() FROM duplicate_events WHERE namespace = {n:String}"
        " AND append_time >= fromUnixTimestamp64Milli({day:Int64}, 'UTC'))",
        parameters={"n": namespace, "recent": (now_us - 300 * SECOND) // 1000, "day": (now_us - DAY) // 1000},
    ).result_rows
    return int(metered), int(duplicates)


async def _count_books(rating: Rating, namespace: str) -> None:
    with suppress(Problem):  # too much is asked at the moment: a later page has it counted
        await rating.ask(lambda client: rating.held_books.count(client, namespace, rating.now()))
