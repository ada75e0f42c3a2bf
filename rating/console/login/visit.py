"""What a page knows of its visitor: whose key it is, the namespace, and the frame around it. Every page but the login
asks for the cookie that the login sets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import Depends, Request

from rating.api.context import Rating, rating_of
from rating.api.rating_problems import RatingProblem, of_denial
from rating.console.frame import Frame
from rating.console.login import session
from rating.console.login.display_names import display_name
from schemas.catalog.state import NamespaceView
from schemas.http.api_keys import Access, Denied, KeyName
from schemas.http.scopes import ADMIN, READ
from schemas.values.instants import micros

MOST_FORM_BYTES: Final = 16_384
MOST_FIELDS: Final = 3_000


class NotLoggedIn(Exception):
    """Becomes a redirect to the login, which comes back to the page."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is logged in; ``rating`` asks on behalf of their key."""

    rating: Rating
    access: Access
    view: NamespaceView
    frame: Frame


async def _visit(request: Request, namespace: str | None = None) -> Visit:
    rating = rating_of(request)
    cookie = request.cookies.get(session.COOKIE, "")
    access = access_of(rating, cookie)
    if access is None:
        raise NotLoggedIn
    fallback = _first_namespace(rating, access)
    secret = rating.settings.admin_key.get_secret_value()
    token = session.form_token(secret, cookie)
    # What goes wrong from here on is told in a frame, of the visitor's own namespace.
    request.state.frame = frame_of(rating, access, rating.view(fallback), token)
    try:
        view = rating.view(access.reach(namespace) if namespace else fallback)
    except Denied as denied:
        raise of_denial(denied) from None
    request.state.frame = frame = frame_of(rating, access, view, token)
    request.state.access = access
    bound = rating.on_behalf_of(request, view.namespace, access.key_id or "console")
    return Visit(bound, access, view, frame)


Visiting = Annotated[Visit, Depends(_visit)]


def access_of(rating: Rating, cookie: str) -> Access | None:
    """The rights, as they are now, of the key that a cookie was issued for; None where it opens nothing. Raises Problem
    (503) where keys cannot be checked."""
    key = session.key_of(rating.settings.admin_key.get_secret_value(), cookie, int(time.time()))
    if key is None:
        return None
    if key == session.ADMIN:
        return rating.keys.root
    try:
        access = rating.keys.of_verified(KeyName(key.namespace, key.key_id), key.digest, micros(rating.now()))
        access.require(READ)
    except Denied as denied:
        if denied.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise of_denial(denied) from None
        return None  # revoked or expired since
    return access


def frame_of(rating: Rating, access: Access, view: NamespaceView, token: str) -> Frame:
    """The frame of a namespace as somebody with these rights sees it."""
    settings = view.settings
    return Frame(
        namespace=view.namespace,
        namespaces=tuple(rating.namespaces()) if access.namespace is None else (access.namespace,),
        title=settings.name,
        sandbox=settings.sandbox,
        visitor=access.author,
        may_change=may_change(access),
        token=token,
        name_of=lambda kind, code: display_name(view, kind, code),
    )


def may_change(access: Access) -> bool:
    """Whether the key may decide on invoices."""
    return bool(ADMIN & access.scopes)


async def form_of(request: Request, visit: Visit, most_bytes: int = MOST_FORM_BYTES) -> Mapping[str, str]:
    """The fields of a form that this session was given. Raises Problem (403): it is another site's, or the key may only
    look; 413, 422: it is larger than one of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise RatingProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form has at most {most_bytes} bytes")
    try:
        text = body.decode("utf-8", "replace")
        fields: dict[str, Any] = parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise RatingProblem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"a form has at most {MOST_FIELDS} fields; send what is larger to the API"
        ) from None
    secret = visit.rating.settings.admin_key.get_secret_value()
    token = fields.get("token", [""])[0]
    if not session.is_form_token(secret, request.cookies.get(session.COOKIE, ""), token):
        raise RatingProblem(HTTPStatus.FORBIDDEN, "this form is of an earlier login; open the page again and repeat it")
    try:
        visit.access.require(ADMIN)
    except Denied as denied:
        raise of_denial(denied) from None
    return {name: values[0].strip() for name, values in fields.items()}


def _first_namespace(rating: Rating, access: Access) -> str:
    """Where a visitor who names none begins: the key's own, the settings' where it has accounts, else the first that
    has."""
    if access.namespace is not None:
        return access.namespace
    default = rating.settings.namespace
    names = [default, *(name for name in rating.namespaces() if name != default)]
    return next((name for name in names if rating.view(name).indexes.in_force["account"]), default)
