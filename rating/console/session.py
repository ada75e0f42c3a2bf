"""Who is logged in: a cookie that the admin key signs, so that the key itself never comes back to the browser."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

COOKIE: Final = "weir_console"
SECONDS: Final = 12 * 3600


def issue(key: str, now_seconds: int) -> str:
    """The cookie's value, valid for SECONDS."""
    expires = str(now_seconds + SECONDS)
    return f"{expires}.{_signature(key, expires)}"


def valid(key: str, value: str, now_seconds: int) -> bool:
    """Whether ``value`` was issued under this key and has not expired; in constant time."""
    expires, _, signature = value.partition(".")
    signed = hmac.compare_digest(signature.encode(), _signature(key, expires).encode())
    return signed and expires.isascii() and expires.isdigit() and int(expires) > now_seconds


def _signature(key: str, expires: str) -> str:
    return hmac.new(key.encode(), f"weir console until {expires}".encode(), sha256).hexdigest()
