"""Asks an OpenID Connect provider: its discovery document and keys, which are kept for a while, and for tokens."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
from joserfc.jwk import KeySet

from rating.api.visitors.group_roles import group_roles
from rating.api.visitors.id_token import ExpectedToken, Identity, TokenRefused, UnknownKey, identity_of, key_set
from schemas.errors import WeirError
from schemas.settings import Settings, SettingsError

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 3600.0
"""How long the discovery document and the keys are kept."""
REFRESH_SECONDS: Final = 60.0
"""Keys are fetched anew for a token with an unknown one, so often at most: made-up tokens would ask and ask."""
AWAY_SECONDS: Final = 5.0
"""A provider that did not answer is asked again after so long."""
_SECONDS: Final = 10.0
_MOST_BYTES: Final = 512 * 1024
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ProviderAway(WeirError):
    """The provider does not answer, or not as a provider; the log says what it did."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the discovery document names; ``post_secret``: whether the client's secret goes into the body."""

    authorization: str
    token: str
    jwks: str
    post_secret: bool


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What the provider gave a code for. ``verifier``: PKCE's."""

    code: str
    verifier: str
    nonce: str
    redirect_uri: str


class OidcProvider:
    """The provider of the settings, of this process' event loop. ``clock``: monotonic seconds. Raises SettingsError."""

    def __init__(
        self,
        settings: Settings,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.roles = group_roles(settings.oidc_roles)
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._fetching = asyncio.Lock()
        self._endpoints: tuple[Endpoints, float] | None = None
        self._keys: tuple[KeySet, float] | None = None
        self._away_since = float("-inf")

    async def endpoints(self) -> Endpoints:
        """Raises ProviderAway."""
        async with self._fetching:
            return await self._known_endpoints()

    async def identity(self, redeemed: Redeemed, now_seconds: int) -> Identity:
        """Who logged in. Raises ProviderAway; TokenRefused: the code or the token is not to be believed."""
        token = await self._token(await self.endpoints(), redeemed)
        settings = self._settings
        expected = ExpectedToken(settings.oidc_issuer, settings.oidc_client_id, redeemed.nonce, settings.oidc_claim)
        try:
            return identity_of(token, await self._signing_keys(KEPT_SECONDS), expected, now_seconds)
        except UnknownKey:  # it may have changed its keys
            return identity_of(token, await self._signing_keys(REFRESH_SECONDS), expected, now_seconds)

    async def close(self) -> None:
        """Give up its connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _known_endpoints(self) -> Endpoints:
        if self._endpoints is None or self._clock() - self._endpoints[1] >= KEPT_SECONDS:
            issuer = self._settings.oidc_issuer
            document = await self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            self._endpoints = _endpoints(document, issuer), self._clock()
        return self._endpoints[0]

    async def _signing_keys(self, kept_seconds: float) -> KeySet:
        async with self._fetching:
            if self._keys is None or self._clock() - self._keys[1] >= kept_seconds:
                document = await self._document((await self._known_endpoints()).jwks)
                self._keys = key_set(document), self._clock()
            return self._keys[0]

    async def _document(self, url: str) -> Mapping[str, Any]:
        if self._clock() - self._away_since < AWAY_SECONDS:
            raise ProviderAway("the login provider does not answer")
        try:
            status, body = await self._answer("GET", url)
            if status != HTTPStatus.OK:
                raise _away(url, f"status {status}")
        except ProviderAway:
            self._away_since = self._clock()
            raise
        return body

    async def _token(self, endpoints: Endpoints, redeemed: Redeemed) -> str:
        client_id, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret.get_secret_value()
        form = {
            "grant_type": "authorization_code",
            "code": redeemed.code,
            "redirect_uri": redeemed.redirect_uri,
            "code_verifier": redeemed.verifier,
        }
        auth = None
        if not secret or endpoints.post_secret:
            form |= {"client_id": client_id, **({"client_secret": secret} if secret else {})}
        else:
            auth = httpx.BasicAuth(quote(client_id, safe=""), quote(secret, safe=""))
        status, body = await self._answer("POST", endpoints.token, form, auth)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _away(endpoints.token, f"status {status}")
        if status != HTTPStatus.OK:
            log.warning("the provider refuses a code: status %d, %r", status, str(body.get("error"))[:100])
            raise TokenRefused("the provider does not take this login any more")
        token = body.get("id_token")
        if not isinstance(token, str):
            raise TokenRefused("the provider gave no ID token")
        return token

    async def _answer(
        self, method: str, url: str, form: Mapping[str, str] | None = None, auth: httpx.Auth | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON object, {} for none; bounded in time and size. Raises ProviderAway."""
        client = self._client = self._client or httpx.AsyncClient(transport=self._transport, timeout=_SECONDS)
        try:
            async with asyncio.timeout(_SECONDS), client.stream(method, url, data=form, auth=auth) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise _away(url, "more bytes than an answer has")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise _away(url, type(error).__name__) from None
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        return answer.status_code, value if isinstance(value, dict) else {}


def provider_of(settings: Settings) -> OidcProvider | None:
    """The provider of the settings, None where they name none. Raises SettingsError."""
    if not settings.oidc_issuer:
        return None
    _check(settings)
    return OidcProvider(settings)


def _check(settings: Settings) -> None:
    needed = {
        "WEIR_OIDC_CLIENT_ID": settings.oidc_client_id,
        "WEIR_OIDC_CONSOLE_URL": settings.oidc_console_url,
        "WEIR_OIDC_ROLES": settings.oidc_roles,
    }
    if empty := [name for name, value in needed.items() if not value]:
        raise SettingsError(f"WEIR_OIDC_ISSUER is set, so {', '.join(empty)} must be, too")
    for name, url in (("WEIR_OIDC_ISSUER", settings.oidc_issuer), ("WEIR_OIDC_CONSOLE_URL", settings.oidc_console_url)):
        if not _is_safe(url):
            raise SettingsError(f"{name} must begin with https:// (http:// on this machine alone)")
    if "openid" not in settings.oidc_scopes.split():
        raise SettingsError("WEIR_OIDC_SCOPES must have openid among its words")


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def _endpoints(document: Mapping[str, Any], issuer: str) -> Endpoints:
    if document.get("issuer") != issuer:
        raise _away(issuer, f"its discovery document is of {str(document.get('issuer'))[:200]!r}")
    urls = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(isinstance(url, str) and _is_safe(url) for url in urls):
        raise _away(issuer, "its discovery document lacks an endpoint, or has one without https://")
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    authorization, token, jwks = map(str, urls)
    return Endpoints(authorization, token, jwks, "client_secret_basic" not in methods)


def _away(url: str, reason: str) -> ProviderAway:
    log.error("the OpenID Connect provider at %s: %s", url, reason)
    return ProviderAway("the login provider does not answer as it should")
