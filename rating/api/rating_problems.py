"""What the rating service refuses, as problem documents (``schemas.http.problems``)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import FastAPI, Request
from fastapi.responses import Response

from schemas.clickhouse.errors import explained, meaning
from schemas.errors import CannotGoOn
from schemas.http import problems
from schemas.http.problems import of_busy, of_denial, unknown_parameters
from schemas.kafka.errors import RecordRefused

__all__ = [
    "RatingProblem",
    "install",
    "missing",
    "of_busy",
    "of_denial",
    "unavailable",
    "unknown_account",
    "unknown_parameters",
    "wrong",
]

log = logging.getLogger(__name__)


class RatingProblem(problems.Problem):
    """A refusal whose reason follows from its status. ``errors``: (path, detail) of everything that is wrong, e.g.
    ("query.from", "…")."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        listed = [{"path": path, "detail": about} for path, about in errors]
        super().__init__(status, problems.reason_of(status), detail, headers=headers, errors=listed or None)


def wrong(parameter: str, detail: str) -> RatingProblem:
    """The refusal of one query parameter: 422."""
    return RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{parameter}: {detail}", [(f"query.{parameter}", detail)])


def missing(detail: str) -> RatingProblem:
    """The refusal of what is not there: 404."""
    return RatingProblem(HTTPStatus.NOT_FOUND, detail)


def unknown_account(namespace: str, account_id: str) -> RatingProblem:
    """The refusal of an account that is not in the catalog: 404."""
    return missing(f"there is no account {account_id[:64]!r} in namespace {namespace}; publish it: PUT /v1/accounts/…")


def unavailable(detail: str, remedy: str = "try again") -> RatingProblem:
    """The refusal of what cannot be told or done now, and can soon, perhaps: 503."""
    return RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, f"{detail}; {remedy}", headers={"Retry-After": "1"})


def install(app: FastAPI) -> None:
    """Answer what Kafka and ClickHouse refuse with problem documents: 503, and whether trying again helps."""

    @app.exception_handler(ClickHouseError)
    async def _(request: Request, error: ClickHouseError) -> Response:
        log.error("ClickHouse: %s", error)
        if meaning(error) == "cannot go on":
            return RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, f"ClickHouse: {explained(error)}").response()
        return RatingProblem(
            HTTPStatus.SERVICE_UNAVAILABLE, "ClickHouse did not answer; try again", headers={"Retry-After": "5"}
        ).response()

    @app.exception_handler(CannotGoOn)
    @app.exception_handler(RecordRefused)
    async def _(request: Request, error: Exception) -> Response:
        log.error("%s", error)
        return RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, f"Kafka: {error}").response()
