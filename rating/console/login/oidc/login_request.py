"""What a browser takes to the provider and back: state, nonce and PKCE's verifier, in a signed cookie of ten minutes.
Pure.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from rating.console.login.session import signature
from schemas.values.base64url import base64url, octets_of

COOKIE: Final = "weir_oidc"
COOKIE_PATH: Final = "/login/oidc"
CALLBACK: Final = "/login/oidc/callback"
SECONDS: Final = 600
RANDOM_BYTES: Final = 96
_PURPOSE: Final = "oidc"
_PART: Final = RANDOM_BYTES // 3


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A login that is under way. ``verifier``: PKCE's; ``next_page``: a path of this service."""

    state: str
    nonce: str
    verifier: str
    next_page: str
    expires_us: int

    @property
    def challenge(self) -> str:
        """What the provider has of the verifier (S256)."""
        return base64url(sha256(self.verifier.encode()).digest())


def new_request(random: bytes, next_page: str, now_us: int) -> LoginRequest:
    """``random``: RANDOM_BYTES random bytes."""
    state, nonce, verifier = (base64url(random[at : at + _PART]) for at in range(0, RANDOM_BYTES, _PART))
    return LoginRequest(state, nonce, verifier, next_page, now_us + SECONDS * 1_000_000)


def cookie_value(secret: str, request: LoginRequest) -> str:
    """``secret``: the admin key of the settings."""
    fields = [request.state, request.nonce, request.verifier, request.next_page, request.expires_us]
    payload = base64url(json.dumps(fields).encode())
    return f"{payload}.{signature(secret, _PURPOSE, payload)}"


def request_of(secret: str, cookie: str, state: str, now_us: int) -> LoginRequest | None:
    """The login under way in this browser that the provider answers to; None where there is none, it is another one's
    (``state``), or took too long."""
    payload, _, given = cookie.rpartition(".")
    if not hmac.compare_digest(given.encode(), signature(secret, _PURPOSE, payload).encode()):
        return None
    request = LoginRequest(*json.loads(octets_of(payload)))
    same = hmac.compare_digest(request.state.encode(), state.encode("utf-8", "replace"))
    return request if same and now_us < request.expires_us else None


def callback_url(console_url: str) -> str:
    """The redirect URI."""
    return console_url.rstrip("/") + CALLBACK


def authorization_url(endpoint: str, request: LoginRequest, client_id: str, redirect_uri: str, scopes: str) -> str:
    """Where the browser goes. ``endpoint``: the provider's, which may have a query of its own."""
    asked = urlencode(
        {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "scope": scopes,
            "state": request.state,
            "nonce": request.nonce,
            "code_challenge": request.challenge,
            "code_challenge_method": "S256",
        }
    )
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(query=f"{parts.query}&{asked}" if parts.query else asked))
