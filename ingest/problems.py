"""Errors as people and programs read them: application/problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

from ingest.limits import TooMuch
from schemas.acceptance import Refused
from schemas.api_keys import Denied
from schemas.parameters import WrongParameter
from schemas.shares import Busy

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "1"


class Problem(Exception):
    """An answer that is no success. ``reason`` is a word for programs, ``detail`` a sentence with place and remedy."""

    def __init__(
        self, status: int, reason: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = {name: value for name, value in members.items() if value is not None}

    def document(self) -> dict[str, Any]:
        """The problem as a JSON object."""
        return {
            "type": f"urn:weir:problem:{self.reason}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            **self.members,
        }

    def response(self) -> Response:
        """The problem as an HTTP response."""
        return Response(msgspec.json.encode(self.document()), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def of_refusal(refused: Refused) -> Problem:
    """400 for a body that is no JSON, 422 for one that says something unacceptable."""
    status = 400 if refused.reason == "malformed" else 422
    return Problem(status, refused.reason, refused.detail, index=refused.index, path=refused.path)


def unknown_parameters(wrong: Sequence[WrongParameter]) -> Problem:
    """422 for a query that the path does not take."""
    errors = [{"path": f"query.{one.name}", "detail": one.detail} for one in wrong]
    detail = "; ".join(f"query.{one.name}: {one.detail}" for one in wrong)
    return Problem(422, "unknown_parameter", detail, errors=errors)


def unavailable(detail: str, keys: Sequence[str] | None = None, cause: str | None = None) -> Problem:
    """503; ``keys`` make the retry safe, ``cause`` is the name of the reason (``schemas.readiness``) where there is one."""
    return Problem(
        503,
        "unavailable",
        f"{detail}; send the same events again with the same idempotency keys",
        headers={"Retry-After": RETRY_AFTER},
        idempotency_keys=keys,
        cause=cause,
    )


def overloaded() -> Problem:
    """503 before anything of the body was looked at."""
    detail = "this gateway has more requests than it can answer, and this namespace sends the most of them; nothing was taken, send it again"
    return Problem(503, "overloaded", detail, headers={"Retry-After": RETRY_AFTER})


def too_much(error: TooMuch) -> Problem:
    """429; nothing was taken, and the same request may be sent again then."""
    return Problem(429, "rate_limit", str(error), headers={"Retry-After": str(error.retry_after)}, limit=error.what)


def of_busy(busy: Busy) -> Problem:
    """429 where this key or namespace has too much under way itself, 503 where no place became free."""
    status, reason = (429, "rate_limit") if busy.own else (503, "unavailable")
    return Problem(status, reason, str(busy), headers={"Retry-After": str(busy.retry_after)})


def of_denial(denied: Denied) -> Problem:
    """401 and 403 for a key, 503 where keys cannot be checked."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": RETRY_AFTER}}.get(denied.status)
    return Problem(denied.status, denied.reason, denied.detail, headers=headers)
