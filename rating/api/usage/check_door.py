"""Answers checks of entitlements before the application does: what is plain, from memory, at a quarter of the cost.
Everything else, and every refusal, is the route's (``api.usage.entitlements``), which is asked the same again.

    GET /v1/accounts/{account_id}/entitlements/{feature}[?quantity=…]
    GET /v1/accounts/{account_id}/entitlements
    POST /v1/entitlements/check
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rating.api.context import Rating
from rating.api.entitlements.checks import FeatureCheck
from rating.api.usage.check_answer import (
    MOST_FEATURES,
    CheckRequest,
    account_json,
    check_answer,
    checks_answer,
    quantity_of,
    unknown_decision,
)
from schemas.catalog.state import NamespaceView
from schemas.http.api_keys import Denied
from schemas.http.exchange import ANSWERED, exchange_of
from schemas.http.problems import Problem
from schemas.http.scopes import RATING
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

ROUTE: Final = "/v1/accounts/{account_id:path}/entitlements/{feature}"
LIST: Final = "/v1/accounts/{account_id:path}/entitlements"
CHECKS: Final = "/v1/entitlements/check"
_PATH: Final = re.compile("/v1/accounts/(.*)/entitlements/([^/]+)")
_LIST_PATH: Final = re.compile("/v1/accounts/(.*)/entitlements")
_OTHERS: Final = {route.rpartition("/")[2] for route in RATING if route.startswith("GET /v1/accounts/")}
"""The last words of other routes of accounts: an account's name may end in /entitlements."""
_SMALL_BODY: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Route:
    """What metrics ask of the route that answered."""

    path: str


@dataclass(frozen=True, slots=True)
class _Plain:
    """A plain request: the route that it would have, and its answer, JSON, which may raise Problem."""

    route: str
    answer: Awaitable[bytes]


class CheckDoor:
    """An application in front of which plain checks are answered."""

    def __init__(self, app: ASGIApp, rating: Rating) -> None:
        self._app = app
        self._rating = rating

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or "/entitlements" not in scope["path"]:
            await self._app(scope, receive, send)
            return
        replayed, real_us = _Replayed(receive), micros(self._rating.now())
        plain = response = None
        try:
            plain = await self._plain(scope, replayed, real_us)
        except (Denied, Problem):
            pass  # the route says why
        if plain is not None:
            try:
                response = Response(await plain.answer, media_type="application/json")
            except Problem as problem:
                response = problem.response()
            except Exception:  # whatever it is, the route meets it too, and tells
                log.debug("the route is asked in place of the door", exc_info=True)
        if plain is None or response is None:
            await self._app(scope, replayed.receive, send)
            return
        scope["route"] = _Route(plain.route)
        exchange = exchange_of(scope)
        if exchange is not None and exchange.answer(response):
            scope[ANSWERED] = response.status_code
        else:
            await response(scope, receive, send)

    async def _plain(self, scope: Scope, replayed: _Replayed, real_us: int) -> _Plain | None:
        """What is asked; None where the route has to look at it. Raises Denied, Problem: the route refuses it."""
        path, method = scope["path"], scope["method"]
        if method == "POST" and path == CHECKS:
            return await self._of_many(scope, replayed, real_us)
        if method != "GET":
            return None
        match = _PATH.fullmatch(path)
        if match is not None:
            return None if match[2] in _OTHERS else self._of_feature(scope, match[1], match[2], real_us)
        match = _LIST_PATH.fullmatch(path)
        if match is not None and not scope["query_string"]:
            return self._of_account(scope, match[1], real_us)
        return None

    def _of_feature(self, scope: Scope, account_id: str, feature: str, real_us: int) -> _Plain | None:
        view = self._view(scope, ROUTE, real_us)
        now_us = view.settings.now_us(real_us)
        if view.get("account", account_id) is None or view.get("feature", feature) is None:
            return None
        granted = self._rating.grants.known(view, account_id, now_us)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if granted is None or [name for name, _ in query] not in ([], ["quantity"]):
            return None
        check = FeatureCheck(account_id, feature, quantity_of(query[0][1] if query else None))
        return _Plain(ROUTE, check_answer(self._rating, view, check, granted, now_us))

    def _of_account(self, scope: Scope, account_id: str, real_us: int) -> _Plain | None:
        view = self._view(scope, LIST, real_us)
        now_us = view.settings.now_us(real_us)
        if view.get("account", account_id) is None:
            return None
        granted = self._rating.grants.known(view, account_id, now_us)
        if granted is None:
            return None
        page = account_json(self._rating, view, granted, None, MOST_FEATURES, now_us)
        return _Plain(LIST, _encoded(page))

    async def _of_many(self, scope: Scope, replayed: _Replayed, real_us: int) -> _Plain | None:
        fields = dict(scope["headers"])
        length = fields.get(b"content-length", b"")
        plain = fields.get(b"content-type") == b"application/json" and not scope["query_string"]
        if not plain or not length.isdigit() or len(length) > 5 or int(length) > _SMALL_BODY:
            return None
        view = self._view(scope, CHECKS, real_us, "POST")
        now_us = view.settings.now_us(real_us)
        body = await replayed.body()
        if body is None:
            return None
        try:
            checks = CheckRequest.model_validate(msgspec.json.decode(body)).of_features
        except (msgspec.DecodeError, ValidationError, RecursionError):  # the last where it is nested too deeply
            return None
        granted = {}
        for check in checks:
            if check.account_id not in granted and unknown_decision(view, check) is None:
                known = self._rating.grants.known(view, check.account_id, now_us)
                if known is None:
                    return None
                granted[check.account_id] = known
        return _Plain(CHECKS, checks_answer(self._rating, view, checks, granted, now_us))

    def _view(self, scope: Scope, route: str, real_us: int, method: str = "GET") -> NamespaceView:
        """The catalog of the key's namespace. Raises Denied, Problem."""
        authorization = namespace = None
        for name, value in scope["headers"]:
            if name == b"authorization" and authorization is None:
                authorization = value.decode("latin-1")
            elif name == b"weir-namespace" and namespace is None:
                namespace = value.decode("latin-1")
        access = self._rating.keys.access(authorization, real_us)
        access.require(RATING[f"{method} {route}"])
        return self._rating.view(access.choose(namespace, self._rating.settings.namespace))


class _Replayed:
    """What comes of a request, also for whoever comes after the one that has read its body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: deque[Message] = deque()

    async def body(self) -> bytes | None:
        """The body, whose length is bounded; None where the client has gone."""
        more = True
        while more:
            message = await self._receive()
            self._read.append(message)
            if message["type"] != "http.request":
                return None
            more = bool(message.get("more_body"))
        return b"".join(message.get("body", b"") for message in self._read)

    async def receive(self) -> Message:
        """ASGI."""
        return self._read.popleft() if self._read else await self._receive()


async def _encoded(answer: Awaitable[JsonObject]) -> bytes:
    return msgspec.json.encode(await answer)
