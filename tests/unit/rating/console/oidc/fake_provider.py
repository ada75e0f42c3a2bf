"""An OpenID Connect provider in memory, which can be made to say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from schemas.settings import Settings

ISSUER = "https://login.internal.example"
CLIENT = "weir-console"
NOW = 1_700_000_000
KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "second", "use": "sig", "alg": "RS256"})
SETTINGS = Settings(
    admin_key=SecretStr("the-admin-key"),
    oidc_issuer=ISSUER,
    oidc_client_id=CLIENT,
    oidc_client_secret=SecretStr("a client's secret"),
    oidc_console_url="https://billing.example",
    oidc_roles="finance=shop:billing,everybody=shop:viewer,ops=shop:admin,ops=bakery:admin",
)


def claims(nonce: str, /, **changes: Any) -> dict[str, Any]:
    """What an ID token says to this console now; None leaves a claim out."""
    said = {
        "iss": ISSUER, "aud": CLIENT, "sub": "248289761001", "iat": NOW, "exp": NOW + 300, "nonce": nonce,
        "email": "ada@shop.example", "email_verified": True, "groups": ["finance"],
    }  # fmt: skip
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(said: dict[str, Any], key: RSAKey = KEY, **header: str) -> str:
    return jwt.encode({"alg": "RS256", "kid": key.kid or "", **header}, said, key)


@dataclass
class FakeProvider:
    """``token``: of the nonce that the console sent with the code; ``asked``: paths of all requests."""

    token: Callable[[str], str] = lambda nonce: signed(claims(nonce))
    nonce: str = "n"
    keys: list[RSAKey] = field(default_factory=lambda: [KEY])
    asked: list[str] = field(default_factory=list)
    tokens_asked: list[dict[str, list[str]]] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)
    away: bool = False
    discovery: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.away:
            raise httpx.ConnectError(f"no connection to {ISSUER}")
        match request.url.path:
            case "/.well-known/openid-configuration":
                named = {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize",
                         "token_endpoint": f"{ISSUER}/token", "jwks_uri": f"{ISSUER}/jwks"}  # fmt: skip
                return httpx.Response(200, json=named | self.discovery)
            case "/jwks":
                return httpx.Response(200, json={"keys": [{"kty": "new"}, *(key.as_dict(False) for key in self.keys)]})
            case "/token":
                self.tokens_asked.append(parse_qs(request.content.decode()))
                self.authorization.append(request.headers.get("authorization", ""))
                body = {"error": "invalid_grant"} if self.token_status != 200 else {"id_token": self.token(self.nonce)}
                return httpx.Response(self.token_status, content=json.dumps(body))
        return httpx.Response(404)
