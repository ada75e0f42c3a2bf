"""Routes of the console. Every page but the login asks for the cookie that the login sets."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import parse_qs, quote

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from rating.alerts.alert_store import AlertCriteria, list_alerts
from rating.api.balances.balance import account_balance
from rating.api.balances.entries import account_entries
from rating.api.balances.topups import account_topups
from rating.api.context import Rating, rating_of
from rating.api.usage.current import running
from rating.api.usage.totals import answer_usage, read_question
from rating.api.webhooks import webhook_status
from rating.close.announced_runs import invoice_counts, run_of, runs_of
from rating.console import account_page, invoice_page, run_pages, session, views
from rating.console.account_page import TOPUPS_SHOWN, UsageForm
from rating.console.alert_list import OPEN_SHOWN, open_alerts
from rating.console.html import Html
from rating.console.line_page import explained_line
from rating.console.webhook_summary import webhook_summary
from rating.explain import BadEventsCursor, NotExplained, explain, read_subject
from rating.explain.counted_events import read_events
from rating.invoices.lists import BadCursor, Page, list_invoices
from rating.invoices.read import read_invoice
from rating.periods import parse_zone
from rating.usage.usage_parameters import UsageParameters
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.ledgers.invoice_claims import DRAFT
from schemas.values.instants import instant, micros

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

_RUNS_SHOWN: Final = 50

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class NotLoggedIn(Exception):
    """Becomes a redirect to the login, which comes back to the page."""


def redirect_to_login(request: Request) -> Response:
    """The answer to NotLoggedIn."""
    asked_page = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?after={quote(asked_page, safe='')}", 303)


def _logged_in(request: Request) -> Rating:
    rating = rating_of(request)
    key = rating.settings.admin_key.get_secret_value()
    if not session.valid(key, request.cookies.get(session.COOKIE, ""), int(time.time())):
        raise NotLoggedIn
    return rating.on_behalf_of(request, request.query_params.get("namespace") or rating.settings.namespace, "console")


LoggedIn = Annotated[Rating, Depends(_logged_in)]


def page_of(body: Html, status: int = 200) -> Response:
    """A page with the headers of all."""
    return HTMLResponse(body, status, headers=_HEADERS)


def failed(problem: Problem) -> Response:
    """A problem for people."""
    return page_of(views.failure(problem.document()["title"], problem.detail), problem.status)


def _local_path(text: str) -> str:
    """Only a path of this service: no other site, however it is written."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() else "/"


@router.get("/login")
async def login(next_page: Annotated[str, Query(alias="after")] = "/") -> Response:
    return page_of(views.login(_local_path(next_page)))


@router.post("/login")
async def log_in(request: Request) -> Response:
    fields = parse_qs((await request.body())[:4096].decode("utf-8", "replace"))
    rating = rating_of(request)
    next_page = _local_path(fields.get("after", ["/"])[0])
    key = fields.get("key", [""])[0]
    address, now = request.client.host if request.client else "unknown", time.monotonic()
    if seconds := rating.login_tries.wait(address, now):
        # Not even looked at: who guesses learns nothing, and a right key is not told from a wrong one.
        log.warning("console login from %s is not looked at for %d s: too many wrong keys", address, seconds)
        refused = page_of(views.login(next_page, note=f"Too many wrong keys. Try again in {seconds} s."), 429)
        refused.headers["Retry-After"] = str(seconds)
        return refused
    if not rating.key_is(key):
        rating.login_tries.failed(address, now)
        log.warning("console login from %s is refused: a wrong key", address)
        return page_of(views.login(next_page, note="That is not the key of this service."), 401)
    rating.login_tries.forget(address)
    log.info("console login from %s", address)
    answer = RedirectResponse(next_page, 303)
    value = session.issue(key, int(time.time()))
    secure = request.url.scheme == "https"
    answer.set_cookie(session.COOKIE, value, max_age=session.SECONDS, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout")
async def log_out() -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(session.COOKIE)
    return answer


@router.get("/")
async def overview(rating: LoggedIn, namespace: str | None = None, cursor: str | None = None) -> Response:
    try:
        view = rating.view(namespace)
    except Problem as problem:
        return failed(problem)

    webhook = webhook_summary(await webhook_status(rating, view))
    held = rating.held_books.shown(view.namespace)

    def question(client: Client) -> Html:
        try:
            invoices = list_invoices(client, view.namespace, cursor=cursor, limit=25)
        except BadCursor:
            invoices = list_invoices(client, view.namespace, limit=25)
        count = held or rating.held_books.count(client, view.namespace, rating.now())
        accounts = [entry.code for entry in view.all("account")]
        waiting = list_invoices(client, view.namespace, state=DRAFT, limit=25)
        alerts = list_alerts(
            client, AlertCriteria(view.namespace, open_only=True, now_us=micros(rating.now()), limit=OPEN_SHOWN + 1)
        )
        return views.overview(
            namespace=view.namespace,
            namespaces=rating.namespaces(),
            books=count.books,
            counted_at=held.at if held else None,
            accounts=accounts,
            invoices=invoices,
            cursor=cursor,
            waiting=waiting,
            alerts=open_alerts(view.namespace, alerts),
            webhook=webhook,
        )

    answer = page_of(await rating.ask(question))
    if held is not None and rating.held_books.due(view.namespace, held):
        answer.background = BackgroundTask(_count_books, rating, view.namespace)
    return answer


async def _count_books(rating: Rating, namespace: str) -> None:
    with suppress(Problem):  # too much is asked at the moment: a later page has it counted
        await rating.ask(lambda client: rating.held_books.count(client, namespace, rating.now()))


@router.get("/invoices/{invoice_id}")
async def invoice(rating: LoggedIn, invoice_id: str, namespace: str | None = None) -> Response:
    try:
        view = rating.view(namespace)
    except Problem as problem:
        return failed(problem)
    whole_invoice = await rating.ask(lambda client: read_invoice(client, view.namespace, invoice_id))
    if whole_invoice is None:
        return page_of(views.failure("Not Found", f"there is no invoice {invoice_id[:64]} in {view.namespace}"), 404)
    return page_of(invoice_page.invoice(view.namespace, whole_invoice))


@router.get("/invoices/{invoice_id}/lines/{number}")
async def line(
    rating: LoggedIn, invoice_id: str, number: int, namespace: str | None = None, cursor: str | None = None
) -> Response:
    try:
        view = rating.view(namespace)
    except Problem as problem:
        return failed(problem)

    def question(client: Client) -> Html:
        subject = read_subject(client, rating.ledgers, view.namespace, invoice_id, number)
        events = None
        if subject.need is not None:
            try:
                events = read_events(client, subject.query, cursor=cursor)
            except BadEventsCursor:
                events = read_events(client, subject.query)
        return explained_line(view.namespace, explain(client, rating.ledgers, subject), events, subject.zone.key)

    try:
        return page_of(await rating.ask(question))
    except NotExplained as error:
        return page_of(views.failure("Not Found", str(error)), 404)


@router.get("/runs")
async def runs(rating: LoggedIn, namespace: str | None = None, cursor: str | None = None) -> Response:
    try:
        view = rating.view(namespace)
    except Problem as problem:
        return failed(problem)
    all_runs = runs_of(rating.checkpoints, view.namespace)
    # Runs are only ever added at the front, so the cursor is the run that the page before ended with.
    start = next((index + 1 for index, run in enumerate(all_runs) if run.run_id == cursor), 0)
    shown = all_runs[start : start + _RUNS_SHOWN]
    counts = await rating.ask(lambda client: invoice_counts(client, view.namespace, shown))
    next_cursor = shown[-1].run_id if len(all_runs) > start + _RUNS_SHOWN else None
    return page_of(run_pages.runs(view.namespace, shown, counts, next_cursor))


@router.get("/runs/{run_id}")
async def run(rating: LoggedIn, run_id: str, namespace: str | None = None, cursor: str | None = None) -> Response:
    try:
        view = rating.view(namespace)
    except Problem as problem:
        return failed(problem)
    billing_run = run_of(rating.checkpoints, view.namespace, run_id)
    if billing_run is None:
        return page_of(views.failure("Not Found", f"there is no billing run {run_id[:64]} in {view.namespace}"), 404)

    def question(client: Client) -> Html:
        try:
            invoices = list_invoices(client, view.namespace, run_id=run_id, cursor=cursor, limit=100)
        except BadCursor:
            invoices = list_invoices(client, view.namespace, run_id=run_id, limit=100)
        counts = invoice_counts(client, view.namespace, [billing_run])
        return run_pages.run(view.namespace, billing_run, invoices, counts.get(run_id, 0), cursor)

    return page_of(await rating.ask(question))


@router.get("/accounts/{account_id:path}")
async def account(
    rating: LoggedIn,
    account_id: str,
    namespace: str | None = None,
    metric: str | None = None,
    start: Annotated[str, Query(alias="from")] = "",
    end: Annotated[str, Query(alias="to")] = "",
) -> Response:
    try:
        view = rating.view(namespace)
        now_us = micros(rating.now())
        current = await running(rating, view, account_id, now_us)
        balance = await account_balance(rating, view, account_id)
        entries = await account_entries(rating, view, account_id, None, 50)
        requested = await account_topups(rating, view, account_id, None, None, TOPUPS_SHOWN)
    except Problem as problem:
        return failed(problem)
    invoices = await rating.ask(lambda client: list_invoices(client, view.namespace, account_id=account_id, limit=24))
    waiting = await rating.ask(
        lambda client: list_invoices(client, view.namespace, account_id=account_id, state=DRAFT, limit=24)
    )
    if not start:
        start, end = _span(view, account_id, invoices, now_us)
    metrics = sorted({version.profile_id for version in profile_versions(view)})
    form = UsageForm(metrics, metric or (metrics[0] if metrics else ""), start, end)
    if form.metric:
        try:
            parameters = UsageParameters(form.metric, (account_id,), start, end or None, group_by=("day",))
            usage = await answer_usage(rating, read_question(rating, view, parameters), None)
            form = replace(form, usage=usage)
        except Problem as problem:
            form = replace(form, problem=problem.detail)
    shown = account_page.account(
        namespace=view.namespace,
        account_id=account_id,
        running=current,
        form=form,
        invoices=invoices,
        balance=balance,
        entries=entries,
        topups=requested,
        waiting=waiting,
    )
    return page_of(shown)


def _span(view: NamespaceView, account_id: str, invoices: Page, now_us: int) -> tuple[str, str]:
    """Local dates from and to which usage is shown at first: the last period that was billed, else the last thirty
    days."""
    zone = parse_zone(view.time_zone(account_id))
    if invoices.invoices:
        head = invoices.invoices[0]
        start, end = instant(head.service_start_us), instant(head.service_end_us)
    else:
        end = instant(now_us) + timedelta(days=1)
        start = end - timedelta(days=30)
    return f"{start.astimezone(zone):%Y-%m-%d}", f"{end.astimezone(zone):%Y-%m-%d}"
