"""Errors of both services as application/problem+json (RFC 9457).

    {"type": "urn:weir:problem:not_found", "title": "Not Found", "status": 404, "detail": "there is no invoice …",
    "reason": "not_found"}

``reason`` is for programs; ``detail`` is a sentence for people with the place and the remedy. If there are several
faults, ``errors`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

import msgspec
from starlette.responses import Response

from schemas.errors import WeirError
from schemas.http.api_keys import Denied
from schemas.http.parameters import WrongParameter
from schemas.http.shares import Busy
from schemas.values.json_text import JsonObject

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "1"


REASONS: Final = {
    400: "malformed", 401: "unauthorised", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    409: "conflict",
    413: "body_too_large", 422: "invalid", 429: "rate_limit", 500: "internal", 503: "unavailable",
}  # fmt: skip


def reason_of(status: int) -> str:
    """The default ``reason`` of a status."""
    return REASONS.get(status, "http")


def without_addresses(text: str) -> str:
    """A text of Kafka, ClickHouse or an HTTP client without the hosts, ports and URLs in it: those of an installation's
    inside are its operators' alone."""
    return " ".join(_without_address(word) for word in text.split(" "))


def _without_address(word: str) -> str:
    bare = word.strip("(),;'\"").rstrip(":.")
    return word.replace(bare, "(address)", 1) if _is_address(bare) else word


def _is_address(word: str) -> bool:
    if "://" in word or word.startswith(("ipv4#", "ipv6#")):  # the latter is how librdkafka writes them
        return True
    host, _, port = word.partition("/")[0].rpartition(":")
    if port.isascii() and port.isdigit() and 3 <= len(port) <= 5:
        return host.startswith("[") or (bool(host) and all(letter.isalnum() or letter in ".-" for letter in host))
    try:
        ip_address(word.strip("[]"))
    except ValueError:
        return False
    return True


def document(status: int, reason: str, detail: str, **members: Any) -> JsonObject:
    """A problem document as a JSON object; members that are None are left out."""
    return {
        "type": f"urn:weir:problem:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        **{name: value for name, value in members.items() if value is not None},
    }


class Problem(WeirError):
    """An error response. ``reason`` is for programs, ``detail`` a sentence with the place and the remedy; that of a
    503, which may repeat what a library said, loses the addresses in it."""

    def __init__(
        self, status: int, reason: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            detail = without_addresses(detail)
        super().__init__(detail)
        self.status = int(status)
        self.reason = reason
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = {name: value for name, value in members.items() if value is not None}

    def document(self) -> JsonObject:
        """The problem as a JSON object."""
        return document(self.status, self.reason, self.detail, **self.members)

    def response(self) -> Response:
        """The problem as an HTTP response."""
        return Response(msgspec.json.encode(self.document()), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def unknown_parameters(wrong: Sequence[WrongParameter]) -> Problem:
    """422 for query parameters that the route does not have."""
    errors = [{"path": f"query.{parameter.name}", "detail": parameter.detail} for parameter in wrong]
    detail = "; ".join(f"{error['path']}: {error['detail']}" for error in errors)
    return Problem(422, "unknown_parameter", detail, errors=errors)


def of_busy(busy: Busy) -> Problem:
    """429 if the key or namespace itself has too much in progress, 503 if no place became free."""
    status, reason = (429, "rate_limit") if busy.own else (503, "unavailable")
    return Problem(status, reason, str(busy), headers={"Retry-After": str(busy.retry_after)})


def of_denial(denied: Denied) -> Problem:
    """401 or 403 for a key, 503 if keys cannot be checked."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": RETRY_AFTER}}.get(denied.status)
    return Problem(denied.status, denied.reason, denied.detail, headers=headers)
