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
from rating.console.html import STYLE, STYLE_NAME
from rating.console.login import session
from rating.console.login.login_page import login_form
from rating.console.page_answers import page_of
from schemas.http.api_keys import Denied, key_hash, key_name
from schemas.http.scopes import READ
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

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


def _local_path(text: str) -> str:
    """Only a path of this service: no other site, however it is written."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() else "/"


@router.get("/assets/{name}")
async def assets(name: str) -> Response:
    if name == STYLE_NAME:
        return Response(STYLE, media_type="text/css; charset=utf-8", headers=_KEPT)
    if name == "icon.svg":
        return Response(_ICON, media_type="image/svg+xml", headers=_KEPT)
    raise missing(f"there is no {name[:64]!r} here; load the page again")


@router.get("/login")
async def login(next_page: Annotated[str, Query(alias="after")] = "/") -> Response:
    return page_of(login_form(_local_path(next_page)))


@router.post("/login")
async def log_in(request: Request) -> Response:
    fields = parse_qs((await request.body())[:4096].decode("utf-8", "replace"))
    rating = rating_of(request)
    next_page = _local_path(fields.get("after", ["/"])[0])
    key = fields.get("key", [""])[0]
    address, now = request.client.host if request.client else "unknown", time.monotonic()
    if seconds := rating.login_tries.wait(address, now):
        # Not even looked at: who guesses learns nothing, and a right key is not told from a wrong one.
        log.warning("console login from %s is not looked at for %d s: too many wrong keys", address, seconds)
        refused = page_of(login_form(next_page, note=f"Too many wrong keys. Try again in {seconds} s."), 429)
        refused.headers["Retry-After"] = str(seconds)
        return refused
    try:
        opened = _opened(rating, key)
    except Denied as denied:
        return _refused(rating, denied, address, now, next_page)
    rating.login_tries.forget(address)
    log.info("console login from %s%s", address, f" by key {opened.key_id}" if opened.key_id else "")
    answer = RedirectResponse(next_page, 303)
    value = session.issue(rating.settings.admin_key.get_secret_value(), opened, int(time.time()))
    secure = request.url.scheme == "https"
    answer.set_cookie(session.COOKIE, value, max_age=session.SECONDS, httponly=True, samesite="strict", secure=secure)
    return answer


def _opened(rating: Rating, key: str) -> session.SessionKey:
    """What a key opens the console as. Raises Denied."""
    if rating.key_is(key):
        return session.ADMIN
    name = key_name(key)
    if name is None:
        raise Denied(HTTPStatus.UNAUTHORIZED, "unauthorised", "no key of this service")
    rating.keys.of_key(key, micros(rating.now())).require(READ)
    return session.SessionKey(name.namespace, name.key_id, key_hash(key))


def _refused(rating: Rating, denied: Denied, address: str, now: float, next_page: str) -> Response:
    if denied.status != HTTPStatus.UNAUTHORIZED:
        log.warning("console login from %s is refused: %s", address, denied.detail)
        return page_of(login_form(next_page, note=f"{denied.detail}."), denied.status)
    rating.login_tries.failed(address, now)
    log.warning("console login from %s is refused: a wrong key", address)
    return page_of(login_form(next_page, note="That is not the key of this service."), 401)


@router.post("/logout")
async def log_out() -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(session.COOKIE)
    return answer
