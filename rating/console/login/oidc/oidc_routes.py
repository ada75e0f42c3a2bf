"""The way to the OpenID Connect provider and back."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from rating.api.context import Rating, rating_of
from rating.api.rating_problems import missing
from rating.api.visitors.group_roles import granted
from rating.api.visitors.id_token import Identity, TokenRefused
from rating.api.visitors.identity_provider import OidcProvider, ProviderAway, Redeemed
from rating.console.login.login_page import logged_in_page
from rating.console.login.login_routes import BEGIN, local_path, login_page, set_session
from rating.console.login.oidc import login_request
from rating.console.login.oidc.login_request import LoginRequest
from rating.console.login.oidc.provider_users import opened_as
from rating.console.page_answers import page_of
from schemas.http.api_keys import Denied
from schemas.http.problems import Problem, of_denial
from schemas.settings import Settings
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

_AWAY: Final = "The login provider does not answer. Try again in a minute, or log in by a password or a key."


@router.get(BEGIN)
async def begin(request: Request, next_page: Annotated[str, Query(alias="after")] = "/") -> Response:
    rating = rating_of(request)
    provider, settings, after = _provider(rating), rating.settings, local_path(next_page)
    try:
        endpoints = await provider.endpoints()
    except ProviderAway:
        return _away(rating, after)
    begun = login_request.new_request(secrets.token_bytes(login_request.RANDOM_BYTES), after, micros(rating.now()))
    url = login_request.authorization_url(
        endpoints.authorization,
        begun,
        settings.oidc_client_id,
        login_request.callback_url(settings.oidc_console_url),
        settings.oidc_scopes,
    )
    answer = RedirectResponse(url, HTTPStatus.SEE_OTHER, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        login_request.COOKIE,
        login_request.cookie_value(settings.admin_key.get_secret_value(), begun),
        max_age=login_request.SECONDS,
        path=login_request.COOKIE_PATH,
        httponly=True,
        samesite="lax",  # the provider's redirect comes from another site
        secure=_is_secure(rating),
    )
    return answer


@router.get(login_request.CALLBACK)
async def callback(request: Request, code: str = "", state: str = "", error: str = "", iss: str = "") -> Response:
    """The provider's answer. The cookie of the login is of no use afterwards, however it went."""
    rating = rating_of(request)
    provider = _provider(rating)
    address = request.client.host if request.client else "unknown"
    answer = await _answered(rating, provider, request, Returned(code, state, error, iss), address)
    answer.delete_cookie(login_request.COOKIE, path=login_request.COOKIE_PATH)
    return answer


@dataclass(frozen=True, slots=True)
class Returned:
    """The parameters of the provider's answer."""

    code: str
    state: str
    error: str
    issuer: str


async def _answered(
    rating: Rating, provider: OidcProvider, request: Request, returned: Returned, address: str
) -> Response:
    settings, now = rating.settings, rating.now()
    if seconds := rating.login_tries.wait(address, time.monotonic()):
        return login_page(rating, "/", f"Too many wrong logins. Try again in {seconds} s.", 429)
    cookie = request.cookies.get(login_request.COOKIE, "")
    begun = login_request.request_of(settings.admin_key.get_secret_value(), cookie, returned.state, micros(now))
    if begun is None or rating.ended_sessions.has(cookie):
        note = "This login was not begun in this browser, is over, or took longer than ten minutes. Begin it again."
        return login_page(rating, "/", note, 400)
    rating.ended_sessions.end(cookie)
    after = begun.next_page
    try:
        identity = await _identity(provider, begun, returned, settings, int(now.timestamp()))
        opened = await opened_as(rating, identity, granted(provider.roles, identity.groups))
    except ProviderAway:
        return _away(rating, after)
    except TokenRefused as refused:
        rating.login_tries.failed(address, time.monotonic())
        log.warning("console login by the provider from %s is refused: %s", address, refused)
        return login_page(rating, after, f"You are not logged in: {refused}. Begin it again.", 401)
    except Denied as denied:
        return login_page(rating, after, f"{of_denial(denied).detail}.", denied.status)
    except Problem as problem:
        return login_page(rating, after, f"{problem.detail}.", problem.status)
    who = identity.email or identity.subject
    if not opened:
        log.warning("console login by the provider from %s is refused: %s has no role", address, who)
        note = (
            f"The provider knows you as {who}, and none of your groups has a role in Weir. Whoever runs Weir gives it"
            " one (WEIR_OIDC_ROLES)."
        )
        return login_page(rating, after, note, 403)
    log.info("console login by the provider from %s by %s", address, who)
    answer = page_of(logged_in_page(after))
    set_session(answer, rating, opened, secure=_is_secure(rating))
    return answer


async def _identity(
    provider: OidcProvider, begun: LoginRequest, returned: Returned, settings: Settings, now_seconds: int
) -> Identity:
    """Raises ProviderAway, TokenRefused."""
    if returned.issuer and returned.issuer != settings.oidc_issuer:
        raise TokenRefused("another provider answered")
    if returned.error or not returned.code:
        raise TokenRefused(f"the provider says {returned.error[:100] or 'nothing'}")
    redirect_uri = login_request.callback_url(settings.oidc_console_url)
    redeemed = Redeemed(returned.code, begun.verifier, begun.nonce, redirect_uri)
    return await provider.identity(redeemed, now_seconds)


def _provider(rating: Rating) -> OidcProvider:
    if rating.oidc is None:
        raise missing("this console has no login provider; WEIR_OIDC_ISSUER names one")
    return rating.oidc


def _away(rating: Rating, next_page: str) -> Response:
    answer = login_page(rating, next_page, _AWAY, 503)
    answer.headers["Retry-After"] = "60"
    return answer


def _is_secure(rating: Rating) -> bool:
    """Whether the console's cookies are for https:// alone."""
    return rating.settings.oidc_console_url.startswith("https://")
