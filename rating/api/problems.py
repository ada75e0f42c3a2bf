"""What the rating service refuses, as problem documents (``schemas.problems``)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from schemas import problems
from schemas.clickhouse_errors import explained, meaning
from schemas.failures import CannotGoOn
from schemas.kafka_errors import RecordRefused
from schemas.problems import of_busy, of_denial, unknown_parameters

__all__ = ["Problem", "install", "missing", "of_busy", "of_denial", "unknown_parameters", "wrong"]

log = logging.getLogger(__name__)

REASONS: Final = {
    400: "malformed", 401: "unauthorised", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 409: "conflict",
    413: "body_too_large", 422: "invalid", 429: "rate_limit", 500: "internal", 503: "unavailable",
}  # fmt: skip
"""The word for programs of each status that this service answers."""


class Problem(problems.Problem):
    """With the reason that goes with its status. ``errors``: (path, detail) of everything that is wrong, e.g. ("query.from", "…")."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        listed = [{"path": path, "detail": about} for path, about in errors]
        super().__init__(status, REASONS.get(status, "http"), detail, headers=headers, errors=listed or None)


def wrong(parameter: str, detail: str) -> Problem:
    """422 about one query parameter."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{parameter}: {detail}", [(f"query.{parameter}", detail)])


def missing(detail: str) -> Problem:
    """404."""
    return Problem(HTTPStatus.NOT_FOUND, detail)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""

    @app.exception_handler(problems.Problem)
    async def _(request: Request, problem: problems.Problem) -> Response:
        return problem.response()

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        errors = [(".".join(str(part) for part in item["loc"]), str(item["msg"])) for item in error.errors()]
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(": ".join(one) for one in errors), errors).response()

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        return Problem(HTTPStatus(error.status_code), str(error.detail), headers=dict(error.headers or {})).response()

    @app.exception_handler(ClickHouseError)
    async def _(request: Request, error: ClickHouseError) -> Response:
        log.error("ClickHouse: %s", error)
        if meaning(error) == "cannot go on":
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"ClickHouse: {explained(error)}").response()
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "ClickHouse did not answer; try again", headers={"Retry-After": "5"}
        ).response()

    @app.exception_handler(CannotGoOn)
    @app.exception_handler(RecordRefused)
    async def _(request: Request, error: Exception) -> Response:
        log.error("%s", error)
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"Kafka: {error}").response()

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        log.exception("unexpected error at %s", request.url.path, exc_info=error)
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; the log of the rating service has it"
        ).response()
