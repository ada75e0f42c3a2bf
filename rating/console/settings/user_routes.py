"""Routes of a namespace's users, made and changed through the gateway's API."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from rating.console.login.rights import may_administer
from rating.console.login.visit import Visit, Visiting, form_of
from rating.console.page_answers import page_of
from rating.console.settings.user_page import user_page
from schemas.http.problems import Problem
from schemas.values.json_text import JsonObject

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

PAGE: Final = 100
_SHOWN: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})


@router.get("/settings/users")
async def users(visit: Visiting, cursor: str = "") -> Response:
    return await _page(visit, cursor)


@router.post("/settings/users")
async def change_user(request: Request, visit: Visiting) -> Response:
    fields = await form_of(request, visit, may=may_administer)
    code, do = fields.get("code", ""), fields.get("do", "save")
    path = f"/v1/users/{quote(code, safe='')}"
    given: JsonObject = {name: text for name in ("name", "role", "password") if (text := fields.get(name))}
    try:
        if do == "remove":
            await visit.ask_gateway("DELETE", path)
        else:
            await visit.ask_gateway("PUT", path, {"end_sessions": True} if do == "end" else given)
    except Problem as problem:
        if problem.status not in _SHOWN:
            raise
        return await _page(visit, "", problem)
    log.info("console: %s of user %s of %s by %s", do, code, visit.view.namespace, visit.access.author)
    return RedirectResponse(visit.frame.address("settings", "users"), HTTPStatus.SEE_OTHER)


async def _page(visit: Visit, cursor: str, problem: Problem | None = None) -> Response:
    query = urlencode({"limit": PAGE, **({"cursor": cursor} if cursor else {})})
    page: dict[str, Any] = await visit.ask_gateway("GET", f"/v1/users?{query}")
    detail = problem.detail if problem is not None else ""
    return page_of(
        user_page(visit.frame, page["items"], page["next_cursor"], detail),
        problem.status if problem is not None else 200,
    )
