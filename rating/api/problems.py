"""Errors as application/problem+json (RFC 9457), each with the place of what is wrong and the remedy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from schemas.api_keys import Denied
from schemas.clickhouse_errors import explained, meaning
from schemas.failures import CannotGoOn
from schemas.kafka_errors import RecordRefused

log = logging.getLogger(__name__)


class Problem(Exception):
    """Becomes the answer. ``errors``: (path, detail) of everything that is wrong, e.g. ("query.from", "…")."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers


def wrong(parameter: str, detail: str) -> Problem:
    """422 about one query parameter."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{parameter}: {detail}", [(f"query.{parameter}", detail)])


def missing(detail: str) -> Problem:
    """404."""
    return Problem(HTTPStatus.NOT_FOUND, detail)


def of_denial(denied: Denied) -> Problem:
    """401 and 403 for a key, 503 where keys cannot be checked."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(denied.status)
    return Problem(HTTPStatus(denied.status), denied.detail, headers=headers)


def answer(problem: Problem) -> Response:
    """The problem as a document."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = [{"path": path, "detail": detail} for path, detail in problem.errors]
    return JSONResponse(
        body, problem.status.value, headers=problem.headers, media_type="application/problem+json; charset=utf-8"
    )


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""

    @app.exception_handler(Problem)
    async def _(request: Request, problem: Problem) -> Response:
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        errors = [(".".join(str(part) for part in item["loc"]), str(item["msg"])) for item in error.errors()]
        return answer(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(": ".join(one) for one in errors), errors))

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        return answer(Problem(HTTPStatus(error.status_code), str(error.detail), headers=dict(error.headers or {})))

    @app.exception_handler(ClickHouseError)
    async def _(request: Request, error: ClickHouseError) -> Response:
        log.error("ClickHouse: %s", error)
        if meaning(error) == "cannot go on":
            return answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"ClickHouse: {explained(error)}"))
        return answer(
            Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "ClickHouse did not answer; try again", headers={"Retry-After": "5"}
            )
        )

    @app.exception_handler(CannotGoOn)
    @app.exception_handler(RecordRefused)
    async def _(request: Request, error: Exception) -> Response:
        log.error("%s", error)
        return answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"Kafka: {error}"))

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        log.exception("unexpected error at %s", request.url.path, exc_info=error)
        return answer(
            Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; the log of the rating service has it")
        )
