"""Who is logged in: a cookie signed by the admin key, which names an API key, or a user in each namespace that they are
in, or nobody: the admin key itself. No key and no password comes back to the browser, and what they may do is looked up
anew for each page, so that a revoked one opens nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from schemas.values.base64url import base64url, octets_of

COOKIE: Final = "weir_console"
SECONDS: Final = 12 * 3600
_LASTS_US: Final = SECONDS * 1_000_000


@dataclass(frozen=True, slots=True)
class SessionKey:
    """The API key or user that somebody logged in as; ``digest``: of the key's text, or of the password's hash."""

    namespace: str
    key_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """``keys``: one for each namespace, none for the admin key of the settings; ``since_us``: when it began."""

    keys: tuple[SessionKey, ...]
    since_us: int


def issue(secret: str, keys: Sequence[SessionKey], now_us: int) -> str:
    """The cookie's value, valid for SECONDS. ``secret``: the admin key of the settings."""
    named = "\n".join(part for key in keys for part in (key.namespace, key.key_id, key.digest))
    signed = f"{now_us + _LASTS_US}.{base64url(named.encode())}"
    return f"{signed}.{signature(secret, 'session', signed)}"


def session_of(secret: str, value: str, now_us: int) -> ConsoleSession | None:
    """The session of a cookie that was issued under this secret and has not expired, in constant time; None for any
    other."""
    signed, _, given = value.rpartition(".")
    if not hmac.compare_digest(given.encode(), signature(secret, "session", signed).encode()):
        return None
    expires, _, named = signed.partition(".")
    if int(expires) <= now_us:
        return None
    parts = octets_of(named).decode().split("\n") if named else []
    keys = tuple(SessionKey(*parts[at : at + 3]) for at in range(0, len(parts), 3))
    return ConsoleSession(keys, int(expires) - _LASTS_US)


def form_token(secret: str, cookie: str) -> str:
    """What a form of this session carries, and no other site knows."""
    return signature(secret, "form", cookie)


def is_form_token(secret: str, cookie: str, token: str) -> bool:
    """Whether ``token`` is the one of the session, in constant time."""
    return hmac.compare_digest(form_token(secret, cookie).encode(), token.encode("utf-8", "replace"))


def signature(secret: str, purpose: str, text: str) -> str:
    """The console's signature of a text that is of use for this purpose alone."""
    return hmac.new(secret.encode(), f"weir console {purpose} {text}".encode("utf-8", "replace"), sha256).hexdigest()
