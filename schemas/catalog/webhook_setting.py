"""The webhook settings of a namespace; `rating/webhooks/` sends the messages."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from schemas.catalog.base import Code, Model

WebhookEvent = Literal[
    "invoice.drafted", "invoice.finalized", "invoice.paid", "invoice.voided", "invoice.updated",
    "usage.alert.fired", "usage.alert.recovered", "usage.anomaly.detected", "usage.anomaly.recovered",
    "credits.topup_requested", "credits.topup_withdrawn",
]  # fmt: skip
SENT_UNASKED: Final[tuple[WebhookEvent, ...]] = (
    "invoice.finalized", "invoice.paid", "invoice.voided", "invoice.updated",
)  # fmt: skip
_MAX_URL: Final = 2048


def _sendable(value: Any) -> str:
    """Validate an http or https URL without credentials. Raises ValueError."""
    if not isinstance(value, str) or len(value) > _MAX_URL or not value.isprintable() or " " in value:
        raise ValueError(f"a URL is text without spaces, of at most {_MAX_URL} characters")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"this is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the catalog can be read by others: no user and password; receivers verify the signature")
    if parts.fragment:
        raise ValueError("what follows # is never sent; remove it")
    return value


class Webhook(Model):
    """Receiver of a namespace's messages: versions of invoices, alerts, top-ups."""

    url: Annotated[str, BeforeValidator(_sendable)]
    """http or https URL without credentials"""
    enabled: bool = True
    """false: nothing is sent, and new messages wait"""
    events: Annotated[tuple[WebhookEvent, ...], Field(min_length=1, max_length=16)] = SENT_UNASKED
    """messages to send; drafts, alerts and top-ups are sent only if named here"""
    rotation: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """raising it creates a new secret; the old one signs as well for a while; it cannot be lowered: the highest number
    that the namespace ever declared counts"""


MAX_NAMED: Final = 8


class NamedWebhook(Webhook):
    """A further receiver, with the messages that it wants and a secret of its own."""

    code: Code
    """its name among the namespace's webhooks"""
