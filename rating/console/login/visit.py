"""What a page knows of its visitor: whose key it is, the namespace, and the frame around it. Every page but the login
asks for the cookie that the login sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from rating.console.login.rights import may_administer, may_change, may_decide
from schemas.catalog.access.users import PROVIDER_PREFIX
from schemas.catalog.state import NamespaceView
from schemas.http.api_keys import USER_PREFIX, Access, Denied, KeyName
from schemas.http.scopes import READ
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

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

    async def ask_gateway(
        self, method: str, path: str, body: JsonObject | None = None, version: int | None = None
    ) -> JsonObject:
        """The gateway's answer about this namespace, with the visitor's rights; see GatewayClient.ask."""
        gateway, namespace = self.rating.gateway, self.view.namespace
        return (await gateway.ask(self.access, namespace, method, path, body, version=version)).body


@dataclass(frozen=True, slots=True)
class OpenedConsole:
    """What a cookie opens now: the rights in the namespace that was asked for, and the namespaces that may be."""

    access: Access
    namespaces: tuple[str, ...]


async def _visit(request: Request, namespace: str | None = None) -> Visit:
    rating = rating_of(request)
    cookie = request.cookies.get(session.COOKIE, "")
    opened = opened_by(rating, cookie, namespace)
    if opened is None:
        raise NotLoggedIn
    access = opened.access
    fallback = _first_namespace(rating, access)
    secret = rating.settings.admin_key.get_secret_value()
    token = session.form_token(secret, cookie)
    # What goes wrong from here on is told in a frame, of the visitor's own namespace.
    request.state.frame = frame_of(rating, opened, rating.view(fallback), token)
    try:
        view = rating.view(access.reach(namespace) if namespace else fallback)
    except Denied as denied:
        raise of_denial(denied) from None
    request.state.frame = frame = frame_of(rating, opened, view, token)
    request.state.access = access
    bound = rating.on_behalf_of(request, view.namespace, access.key_id or "console")
    return Visit(bound, access, view, frame)


Visiting = Annotated[Visit, Depends(_visit)]


def opened_by(rating: Rating, cookie: str, namespace: str | None) -> OpenedConsole | None:
    """The rights, as they are now, of the key or user that a cookie was issued for: in ``namespace``, where they have
    some there, else in their first; None where it opens nothing. Raises Problem (503) where keys cannot be checked."""
    now_us = micros(rating.now())
    held = session.session_of(rating.settings.admin_key.get_secret_value(), cookie, now_us)
    if held is None or rating.ended_sessions.has(cookie):
        return None
    if not held.keys:
        return OpenedConsole(rating.keys.root, tuple(rating.namespaces()))
    opened: dict[str, Access] = {}
    for key in held.keys:
        try:
            access = _access(rating, key, held.since_us, now_us)
            access.require(READ)
        except Denied as denied:
            if denied.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise of_denial(denied) from None
            continue  # revoked, removed or expired since
        opened[key.namespace] = access
    if not opened:
        return None
    return OpenedConsole(opened.get(namespace or "") or next(iter(opened.values())), tuple(opened))


def _access(rating: Rating, key: session.SessionKey, since_us: int, now_us: int) -> Access:
    if key.key_id.startswith(USER_PREFIX):
        return rating.keys.of_user(key.namespace, key.key_id.removeprefix(USER_PREFIX), key.digest, since_us)
    return rating.keys.of_verified(KeyName(key.namespace, key.key_id), key.digest, now_us)


def frame_of(rating: Rating, opened: OpenedConsole, view: NamespaceView, token: str) -> Frame:
    """The frame of a namespace as somebody with these rights sees it."""
    settings, access = view.settings, opened.access
    return Frame(
        namespace=view.namespace,
        namespaces=opened.namespaces,
        title=settings.name,
        sandbox=settings.sandbox,
        clock=f"{rating.now_of(view):%Y-%m-%d %H:%M} UTC" if settings.seconds_ahead else "",
        visitor=access.author,
        may_change=may_change(access),
        may_decide=may_decide(access),
        may_hold=may_decide(access, "hold"),
        may_administer=may_administer(access),
        has_password=access.key_id.startswith(USER_PREFIX)
        and not access.key_id.removeprefix(USER_PREFIX).startswith(PROVIDER_PREFIX),
        token=token,
        name_of=lambda kind, code: display_name(view, kind, code),
        standing=tuple(
            f"{stage.stage.title.capitalize()} has stood still since {rfc3339(stage.since_us)}"
            for stage in rating.pipeline.standing
            if stage.concerns(view.namespace)
        ),
    )


async def form_of(
    request: Request, visit: Visit, most_bytes: int = MOST_FORM_BYTES, *, may: Callable[[Access], bool] = may_change
) -> Mapping[str, str]:
    """The fields of a form that this session was given. ``may``: whether the visitor may do what it does. Raises
    Problem (403): it is another site's, or they may not; 413, 422: it is larger than one of ours."""
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
    if not may(visit.access):
        who = f"the role {visit.access.role}" if visit.access.role else "this key"
        raise RatingProblem(HTTPStatus.FORBIDDEN, f"{who} may not do this; an admin of the namespace may")
    # A login takes a password as it is typed.
    return {name: values[0] if "password" in name else values[0].strip() for name, values in fields.items()}


def _first_namespace(rating: Rating, access: Access) -> str:
    """Where a visitor who names none begins: the key's own, the settings' where it has accounts, else the first that
    has."""
    if access.namespace is not None:
        return access.namespace
    default = rating.settings.namespace
    names = [default, *(name for name in rating.namespaces() if name != default)]
    return next((name for name in names if rating.view(name).indexes.in_force["account"]), default)
