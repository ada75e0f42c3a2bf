"""The gateway's refusals as problem documents (``schemas.http.problems``)."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.http.rate_limits import TooMuch
from schemas.events.raw_events import Refused
from schemas.http.problems import MEDIA_TYPE, RETRY_AFTER, Problem, of_busy, of_denial, unknown_parameters

__all__ = [
    "MEDIA_TYPE", "RETRY_AFTER", "Problem", "of_busy", "of_denial", "of_refusal", "overloaded", "too_much",
    "unavailable", "unknown_parameters",
]  # fmt: skip


def of_refusal(refused: Refused) -> Problem:
    """400 for a body that is not JSON, 422 for unacceptable content."""
    status = 400 if refused.reason == "malformed" else 422
    return Problem(status, refused.reason, refused.detail, index=refused.index, path=refused.path)


def unavailable(detail: str, keys: Sequence[str] | None = None, cause: str | None = None) -> Problem:
    """503. ``keys``: the events' keys, with which a retry is safe; ``cause``: name of the readiness reason
    (``schemas.health.readiness``), if there is one."""
    return Problem(
        503,
        "unavailable",
        f"{detail}; send the same events again with the same idempotency keys",
        headers={"Retry-After": RETRY_AFTER},
        idempotency_keys=keys,
        cause=cause,
    )


def overloaded() -> Problem:
    """503, sent before any of the body was read."""
    detail = (
        "this gateway has more requests than it can answer, and this namespace sends the most of them; nothing "
        "was taken, send it again"
    )
    return Problem(503, "overloaded", detail, headers={"Retry-After": RETRY_AFTER})


def too_much(error: TooMuch) -> Problem:
    """429: nothing was accepted, and the same request may be sent again after Retry-After."""
    return Problem(429, "rate_limit", str(error), headers={"Retry-After": str(error.retry_after)}, limit=error.what)
