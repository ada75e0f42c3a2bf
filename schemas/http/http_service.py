"""Creates the FastAPI application (guard, API document, /docs, error handling) and the uvicorn server of both
services."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan

from schemas.http import api_docs
from schemas.http.connections import bounded_protocol
from schemas.http.early_answers import Early, answering_protocol
from schemas.http.faults.fault_texts import fault_text
from schemas.http.openapi import Answered, document
from schemas.http.problems import Problem, reason_of
from schemas.http.scopes import Service
from schemas.http.serving import Server
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 30
_BACKLOG: Final = 2048


class _Described(FastAPI):
    """An application that makes its OpenAPI document by ``document``."""

    document: Callable[[], JsonObject]

    def openapi(self) -> JsonObject:
        """See FastAPI."""
        return self.document()


def application(
    service: Service,
    lifespan: Lifespan[FastAPI],
    guard: Callable[[Request], Awaitable[None]],
    answers: Mapping[str, Answered],
    models: Iterable[tuple[str, Any]] = (),
) -> FastAPI:
    """The application, without routes. ``guard`` is called before every route; ``answers`` and ``models``: see
    ``openapi.document``."""
    app = _Described(
        title=f"Weir {service}",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard)],
    )
    described = tuple(models)
    app.document = lambda: document(app, service, answers, described)
    _problems(app)
    api_docs.install(app)
    return app


def of_http(error: HTTPException) -> Problem:
    """What no route answers, or a route refuses without a problem of its own."""
    return Problem(error.status_code, reason_of(error.status_code), str(error.detail), headers=error.headers)


def of_invalid(error: RequestValidationError) -> Problem:
    """422 for parameters or a body that the route does not take, each with its place."""
    errors = [{"path": ".".join(map(str, item["loc"])), "detail": fault_text(item)} for item in error.errors()]
    detail = "; ".join(f"{item['path']}: {item['detail']}" for item in errors)
    return Problem(422, "invalid", detail, errors=errors)


def _problems(app: FastAPI) -> None:
    """Convert all errors of ``app`` to problem documents."""

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> Response:
        return of_http(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return of_invalid(error).response()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.exception("unexpected error at %s", request.url.path, exc_info=error)
        return Problem(500, "internal", f"{app.title} failed; its log says more").response()


def server(
    app: ASGIApp, host: str, port: int, connections: int, grace_seconds: int, early: Early | None = None
) -> Server:
    """The uvicorn server of ``app``. After a signal, responses in progress have ``grace_seconds``. ``early``: see
    ``early_answers.Early``."""
    protocol = bounded_protocol(connections) if early is None else answering_protocol(early, connections)
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=protocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,
            server_header=False,
        )
    )
