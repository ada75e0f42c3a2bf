"""A namespace's webhook: the one address to which what becomes of its invoices is sent (`rating/webhooks/` sends
it)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from schemas.catalog.base import Model

WebhookEvent = Literal["invoice.drafted", "invoice.finalized", "invoice.paid", "invoice.voided", "invoice.updated"]
SENT_UNASKED: Final[tuple[WebhookEvent, ...]] = (
    "invoice.finalized", "invoice.paid", "invoice.voided", "invoice.updated",
)  # fmt: skip
_MAX_URL: Final = 2048


def _sendable(value: Any) -> str:
    """An http or https URL without anything secret in its authority. Raises ValueError."""
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
    """Where versions of a namespace's invoices are sent."""

    url: Annotated[str, BeforeValidator(_sendable)]
    """http or https, without a secret in it"""
    enabled: bool = True
    """false: nothing is sent, and what comes meanwhile waits"""
    events: Annotated[tuple[WebhookEvent, ...], Field(min_length=1, max_length=16)] = SENT_UNASKED
    """what is sent; drafts only where they are named"""
    rotation: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """raising it makes a new secret, beside which the old one signs for a while; it never goes back: the greatest
    number that the namespace has declared counts"""
