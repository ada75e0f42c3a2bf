"""The console as a part of the application: its routes, and how it tells what goes wrong."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from rating.console.alerts.alert_pages import router as alert_router
from rating.console.catalog.entry_routes import router as catalog_router
from rating.console.customers.account_routes import router as account_router
from rating.console.events.event_routes import router as event_router
from rating.console.guide.doctor_routes import router as doctor_router
from rating.console.invoices.decision_routes import router as decision_router
from rating.console.invoices.invoice_routes import router as invoice_router
from rating.console.login.login_routes import redirect_to_login
from rating.console.login.login_routes import router as login_router
from rating.console.login.oidc.oidc_routes import router as oidc_router
from rating.console.login.visit import NotLoggedIn
from rating.console.overview.overview_routes import router as overview_router
from rating.console.overview.search_routes import router as search_router
from rating.console.page_answers import failed
from rating.console.portal.portal_page_routes import router as portal_page_router
from rating.console.reports.report_routes import router as report_router
from rating.console.runs.run_routes import router as run_router
from rating.console.settings.key_routes import router as key_router
from rating.console.settings.password_routes import router as password_router
from rating.console.settings.user_routes import router as user_router
from rating.console.simulate.simulation_routes import router as simulation_router
from schemas.http.http_service import of_http, of_invalid
from schemas.http.problems import Problem

ROUTERS: Final = (
    login_router, oidc_router, overview_router, search_router, account_router, invoice_router, run_router, alert_router,
    doctor_router, decision_router, catalog_router, key_router, user_router, password_router, report_router,
    portal_page_router, event_router, simulation_router,
)  # fmt: skip
"""Of all pages"""


def install(app: FastAPI) -> None:
    """Add the console's pages at `/`."""
    for router in ROUTERS:
        app.include_router(router)

    @app.exception_handler(NotLoggedIn)
    async def not_logged_in(request: Request, error: NotLoggedIn) -> Response:
        return redirect_to_login(request)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        """A document for programs; on the console's own pages a page."""
        return failed(error, request) if _is_page(request) else error.response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        """Likewise where no route answers: a browser asks for HTML."""
        told = of_http(error)
        if error.status_code == HTTPStatus.NOT_FOUND and "text/html" in request.headers.get("accept", ""):
            told.detail = f"there is no page {request.url.path[:80]}"
            return failed(told, request)
        return told.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        told = of_invalid(error)
        return failed(told, request) if _is_page(request) else told.response()


def _is_page(request: Request) -> bool:
    return not getattr(request.scope.get("route"), "include_in_schema", True)
