"""Answers the check of one entitlement before the application does: what is plain, from memory, at a quarter of the
cost. Everything else, and every refusal, is the route's (``api.usage.entitlements``), which is asked the same again.

    GET /v1/accounts/{account_id}/entitlements/{feature}[?quantity=…]
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from rating.api.context import Rating
from rating.api.entitlements.checks import FeatureCheck
from rating.api.usage.check_answer import check_answer, quantity_of
from rating.entitlements.granted import Granted
from schemas.catalog.state import NamespaceView
from schemas.http.api_keys import Denied
from schemas.http.problems import Problem
from schemas.http.scopes import RATING
from schemas.values.instants import micros

log = logging.getLogger(__name__)

ROUTE: Final = "/v1/accounts/{account_id:path}/entitlements/{feature}"
_SUFFICIENT: Final = RATING[f"GET {ROUTE}"]
_PATH: Final = re.compile("/v1/accounts/(.*)/entitlements/([^/]+)")
_OTHERS: Final = {route.rpartition("/")[2] for route in RATING if route.startswith("GET /v1/accounts/")}
"""The last words of other routes of accounts: an account's name may end in /entitlements."""


@dataclass(frozen=True, slots=True)
class _Route:
    """What metrics ask of the route that answered."""

    path: str = ROUTE


class CheckDoor:
    """An application in front of which plain checks are answered."""

    def __init__(self, app: ASGIApp, rating: Rating) -> None:
        self._app = app
        self._rating = rating
        self._route = _Route()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        plain = None
        if scope["type"] == "http" and scope["method"] == "GET" and "/entitlements/" in scope["path"]:
            now_us = micros(self._rating.now())
            plain = self._plain(scope, now_us)
        body = None
        if plain is not None:
            try:
                body = await check_answer(self._rating, *plain, now_us)
            except Problem as problem:
                scope["route"] = self._route
                await problem.response()(scope, receive, send)
                return
            except Exception:  # whatever it is, the route meets it too, and tells
                log.debug("the route is asked in place of the door", exc_info=True)
        if body is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _plain(self, scope: Scope, now_us: int) -> tuple[NamespaceView, FeatureCheck, Granted] | None:
        """What is asked; None where the route has to look at it."""
        asked = _PATH.fullmatch(scope["path"])
        if asked is None or asked[2] in _OTHERS:
            return None
        account_id, feature = asked.groups()
        try:
            view = self._view(scope, now_us)
            if view.get("account", account_id) is None or view.get("feature", feature) is None:
                return None
            granted = self._rating.grants.known(view, account_id, now_us)
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if granted is None or [name for name, _ in query] not in ([], ["quantity"]):
                return None
            return view, FeatureCheck(account_id, feature, quantity_of(query[0][1] if query else None)), granted
        except (Denied, Problem):
            return None

    def _view(self, scope: Scope, now_us: int) -> NamespaceView:
        """The catalog of the key's namespace. Raises Denied, Problem."""
        authorization = namespace = None
        for name, value in scope["headers"]:
            if name == b"authorization" and authorization is None:
                authorization = value.decode("latin-1")
            elif name == b"weir-namespace" and namespace is None:
                namespace = value.decode("latin-1")
        access = self._rating.keys.access(authorization, now_us)
        access.require(_SUFFICIENT)
        return self._rating.view(access.choose(namespace, self._rating.settings.namespace))
