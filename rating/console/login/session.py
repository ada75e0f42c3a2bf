"""Who is logged in: a cookie signed by the admin key, which names an API key or none. No key itself comes back to the
browser, and what a key may do is looked up anew for each page, so that a revoked one opens nothing.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

COOKIE: Final = "weir_console"
SECONDS: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class SessionKey:
    """The API key that somebody logged in with; ``digest``: the stored hash of its text."""

    namespace: str
    key_id: str
    digest: str


ADMIN: Final = SessionKey("", "", "")
"""The admin key of the settings."""


def issue(secret: str, key: SessionKey, now_seconds: int) -> str:
    """The cookie's value, valid for SECONDS. ``secret``: the admin key of the settings."""
    named = "\n".join((key.namespace, key.key_id, key.digest)) if key != ADMIN else ""
    signed = f"{now_seconds + SECONDS}.{urlsafe_b64encode(named.encode()).decode().rstrip('=')}"
    return f"{signed}.{_signature(secret, 'session', signed)}"


def key_of(secret: str, value: str, now_seconds: int) -> SessionKey | None:
    """The key of a cookie that was issued under this secret and has not expired, in constant time; None for any
    other."""
    signed, _, signature = value.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(secret, "session", signed).encode()):
        return None
    expires, _, named = signed.partition(".")
    if int(expires) <= now_seconds:
        return None
    if not named:
        return ADMIN
    namespace, key_id, digest = urlsafe_b64decode(named + "=" * (-len(named) % 4)).decode().split("\n")
    return SessionKey(namespace, key_id, digest)


def form_token(secret: str, cookie: str) -> str:
    """What a form of this session carries, and no other site knows."""
    return _signature(secret, "form", cookie)


def is_form_token(secret: str, cookie: str, token: str) -> bool:
    """Whether ``token`` is the one of the session, in constant time."""
    return hmac.compare_digest(form_token(secret, cookie).encode(), token.encode("utf-8", "replace"))


def _signature(secret: str, purpose: str, text: str) -> str:
    return hmac.new(secret.encode(), f"weir console {purpose} {text}".encode("utf-8", "replace"), sha256).hexdigest()
