"""Routes of one's own password, which the gateway's API changes in each namespace that it opens."""

from __future__ import annotations

import logging
import time
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rating.api.rating_problems import RatingProblem, unavailable
from rating.console.login import session
from rating.console.login.login_routes import set_session
from rating.console.login.user_sessions import read_back
from rating.console.login.visit import Visit, Visiting, form_of
from rating.console.page_answers import page_of
from rating.console.settings.password_page import password_page
from schemas.catalog.access.users import User
from schemas.http.api_keys import USER_PREFIX, Denied, user_access
from schemas.http.problems import Problem, of_denial
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)


@router.get("/settings/password")
async def password(visit: Visiting) -> Response:
    _own_name(visit)
    return page_of(password_page(visit.frame))


@router.post("/settings/password")
async def change_password(request: Request, visit: Visiting) -> Response:
    """All sessions of the user end but this one, which gets another cookie."""
    name = _own_name(visit)
    fields = await form_of(request, visit, may=lambda access: True)
    rating, address = visit.rating, request.client.host if request.client else "unknown"
    if seconds := rating.login_tries.wait(address, time.monotonic(), name):
        return _page(visit, f"Too many wrong passwords. Try again in {seconds} s.", 429)
    if fields.get("password") != fields.get("password_again"):
        return _page(visit, "The new password is not the same both times.", HTTPStatus.UNPROCESSABLE_ENTITY)
    body = {field: fields.get(field, "") for field in ("old_password", "password")}
    cookie = request.cookies.get(session.COOKIE, "")
    held = session.session_of(rating.settings.admin_key.get_secret_value(), cookie, micros(rating.now()))
    path = f"/v1/users/{quote(name, safe='')}/password"
    try:
        before = {key.namespace: rating.keys.user(key.namespace, name) for key in held.keys} if held else {}
        standing = {namespace: user for namespace, user in before.items() if user is not None}
        for namespace, user in standing.items():
            await rating.gateway.ask(user_access(namespace, user), namespace, "PUT", path, body)
        late = unavailable("the password is changed, and not read back yet", "log in again")
        opened = [
            await read_back(rating, namespace, name, partial(_has_another_password, user), late)
            for namespace, user in standing.items()
        ]
    except Denied as denied:
        raise of_denial(denied) from None
    except Problem as problem:
        if problem.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        rating.login_tries.failed(address, time.monotonic(), name)
        log.warning("console: a password of %s is not changed from %s: %s", name, address, problem.detail)
        return _page(visit, f"{problem.detail}.", problem.status)
    log.info("console: %s has another password, from %s", name, address)
    answer = page_of(password_page(visit.frame, changed=True))
    set_session(answer, rating, opened, secure=request.url.scheme == "https")
    return answer


def _own_name(visit: Visit) -> str:
    """The visitor's name to log in with. Raises Problem (403): they log in by a key, or at a provider."""
    name = visit.access.key_id.removeprefix(USER_PREFIX)
    if not visit.frame.has_password:
        raise RatingProblem(HTTPStatus.FORBIDDEN, "you did not log in by a password, so there is none to change")
    return name


def _has_another_password(before: User, user: User) -> bool:
    return user.hash != before.hash


def _page(visit: Visit, problem: str, status: int) -> Response:
    return page_of(password_page(visit.frame, problem), status)
