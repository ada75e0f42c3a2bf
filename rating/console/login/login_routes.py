"""The login and what it looks like; styles, which everybody may load."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from rating.api.context import Rating, rating_of
from rating.api.rating_problems import missing
from rating.api.visitors.group_roles import MOST_NAMESPACES
from rating.console.html import STYLE, STYLE_NAME
from rating.console.login import session
from rating.console.login.login_page import login_form
from rating.console.login.user_sessions import user_session
from rating.console.page_answers import page_of
from schemas.http.api_keys import Denied, key_hash, key_name
from schemas.http.passwords import is_password, nobodys_hash
from schemas.http.problems import Problem
from schemas.http.scopes import READ
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

BEGIN: Final = "/login/oidc"
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f6feb"/>'
    '<path d="M6 13c3-3 5-3 7 0s5 3 7 0 4-3 6-1M6 21c3-3 5-3 7 0s5 3 7 0 4-3 6-1" fill="none" stroke="#fff"'
    ' stroke-width="3" stroke-linecap="round"/></svg>'
)
_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def redirect_to_login(request: Request) -> Response:
    """The answer to NotLoggedIn."""
    asked_page = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    after = asked_page if request.method in ("GET", "HEAD") else "/"
    return RedirectResponse(f"/login?after={quote(after, safe='')}", 303)


def local_path(text: str) -> str:
    """Only a path of this service: no other site, however it is written."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() else "/"


def login_page(rating: Rating, next_page: str, note: str = "", status: int = 200) -> Response:
    """The form, with the way to the provider where there is one."""
    console_url = rating.settings.oidc_console_url.rstrip("/")
    return page_of(login_form(next_page, note, console_url + BEGIN if rating.oidc is not None else ""), status)


@router.get("/assets/{name}")
async def assets(name: str) -> Response:
    if name == STYLE_NAME:
        return Response(STYLE, media_type="text/css; charset=utf-8", headers=_KEPT)
    if name == "icon.svg":
        return Response(_ICON, media_type="image/svg+xml", headers=_KEPT)
    raise missing(f"there is no {name[:64]!r} here; load the page again")


@router.get("/login")
async def login(request: Request, next_page: Annotated[str, Query(alias="after")] = "/") -> Response:
    return login_page(rating_of(request), local_path(next_page))


@router.post("/login")
async def log_in(request: Request) -> Response:
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        # Else a visitor would go on as somebody else, whom the other site chose, and not see it.
        return login_page(rating_of(request), "/", "That came from another site. Log in here.", HTTPStatus.FORBIDDEN)
    fields = parse_qs((await request.body())[:4096].decode("utf-8", "replace"))
    rating = rating_of(request)
    key, user, password, after = (fields.get(name, [""])[0] for name in ("key", "user", "password", "after"))
    next_page = local_path(after or "/")
    address, now = request.client.host if request.client else "unknown", time.monotonic()
    user = user.strip()
    if seconds := rating.login_tries.wait(address, now, user):
        # Not even looked at: who guesses learns nothing, and a right key is not told from a wrong one.
        log.warning("console login from %s is not looked at for %d s: too many wrong keys", address, seconds)
        refused = login_page(rating, next_page, f"Too many wrong keys. Try again in {seconds} s.", 429)
        refused.headers["Retry-After"] = str(seconds)
        return refused
    try:
        opened = await _as_user(rating, user, password) if user else _opened(rating, key)
    except Denied as denied:
        return _refused(rating, denied, address, now, next_page, user)
    except Problem as problem:  # others log in now
        return login_page(rating, next_page, f"{problem.detail}.", problem.status)
    rating.login_tries.forget(address)
    log.info("console login from %s%s", address, f" by {opened[0].key_id}" if opened else "")
    answer = RedirectResponse(next_page, 303)
    set_session(answer, rating, opened, secure=request.url.scheme == "https")
    return answer


def set_session(answer: Response, rating: Rating, opened: list[session.SessionKey], *, secure: bool) -> None:
    """Let the browser be logged in as ``opened``; ``secure``: whether the cookie is for https:// alone."""
    value = session.issue(rating.settings.admin_key.get_secret_value(), opened, micros(rating.now()))
    answer.set_cookie(session.COOKIE, value, max_age=session.SECONDS, httponly=True, samesite="strict", secure=secure)


async def _as_user(rating: Rating, name: str, password: str) -> list[session.SessionKey]:
    """The namespaces in which this is a user with this password. Raises Denied; Problem (429, 503) where too many log
    in."""
    known = [(namespace, user) for namespace, user in rating.users(name, MOST_NAMESPACES) if user.hash]

    def checked() -> list[session.SessionKey]:
        if not known:
            is_password(nobodys_hash(), password)
        return [user_session(namespace, user) for namespace, user in known if is_password(user.hash, password)]

    opened = await rating.compute(checked)
    if not opened:
        raise Denied(HTTPStatus.UNAUTHORIZED, "unauthorised", "no user with this password")
    return opened


def _opened(rating: Rating, key: str) -> list[session.SessionKey]:
    """What a key opens the console as; none is the admin key. Raises Denied."""
    if rating.key_is(key):
        return []
    name = key_name(key)
    if name is None:
        raise Denied(HTTPStatus.UNAUTHORIZED, "unauthorised", "no key of this service")
    rating.keys.of_key(key, micros(rating.now())).require(READ)
    return [session.SessionKey(name.namespace, name.key_id, key_hash(key))]


def _refused(rating: Rating, denied: Denied, address: str, now: float, next_page: str, user: str) -> Response:
    if denied.status != HTTPStatus.UNAUTHORIZED:
        log.warning("console login from %s is refused: %s", address, denied.detail)
        return login_page(rating, next_page, f"{denied.detail}.", denied.status)
    rating.login_tries.failed(address, now, user)
    # Only a name that there is: in the wrong field, people type passwords.
    known = bool(user) and next(rating.users(user, 1), None) is not None
    log.warning("console login from %s is refused: a wrong %s", address, f"password of {user}" if known else "key")
    return login_page(rating, next_page, "That is neither a user with this password nor a key of this service.", 401)


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """The session is over, also for whoever has kept its cookie. No other site ends one: its form comes without the
    cookie."""
    rating, cookie = rating_of(request), request.cookies.get(session.COOKIE, "")
    # Only our own: whoever made up cookies would have those forgotten that were ended.
    if session.session_of(rating.settings.admin_key.get_secret_value(), cookie, micros(rating.now())) is not None:
        rating.ended_sessions.end(cookie)
    answer = RedirectResponse("/login", 303)
    if cookie:
        answer.delete_cookie(session.COOKIE)
    return answer
