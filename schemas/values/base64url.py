"""Octets as text that a URL or a cookie takes as it is: base64url without padding (RFC 4648, 5). Pure."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def base64url(octets: bytes) -> str:
    """The text of the octets."""
    return urlsafe_b64encode(octets).decode().rstrip("=")


def octets_of(text: str) -> bytes:
    """The octets of such a text. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
