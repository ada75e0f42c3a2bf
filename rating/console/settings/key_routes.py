"""Routes of a namespace's API keys, made and revoked through the gateway's API."""

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
from rating.console.settings.key_page import SCOPES, key_page
from schemas.http.problems import Problem
from schemas.values.json_text import JsonObject

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

PAGE: Final = 100
_SHOWN: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})


@router.get("/settings/keys")
async def keys(visit: Visiting, cursor: str = "") -> Response:
    return await _page(visit, cursor=cursor)


@router.post("/settings/keys")
async def make_key(request: Request, visit: Visiting) -> Response:
    fields = await form_of(request, visit, may=may_administer)
    scopes = [scope for scope, _ in SCOPES if fields.get(f"scope.{scope}") == "on"]
    body: JsonObject = {"name": fields.get("name", ""), "scopes": scopes}
    if until := fields.get("expires_at"):
        body["expires_at"] = until
    try:
        made = await visit.ask_gateway("POST", "/v1/api-keys", body)
    except Problem as problem:
        if problem.status not in _SHOWN:
            raise
        return await _page(visit, problem=problem)
    log.info("console: key %s of %s made by %s", made["id"], visit.view.namespace, visit.access.author)
    return await _page(visit, made=made)


@router.post("/settings/keys/revoke")
async def revoke_key(request: Request, visit: Visiting) -> Response:
    key_id = (await form_of(request, visit, may=may_administer)).get("id", "")
    try:
        await visit.ask_gateway("DELETE", f"/v1/api-keys/{quote(key_id, safe='')}")
    except Problem as problem:
        if problem.status not in _SHOWN:
            raise
        return await _page(visit, problem=problem)
    log.info("console: key %s of %s revoked by %s", key_id, visit.view.namespace, visit.access.author)
    return RedirectResponse(visit.frame.address("settings", "keys"), HTTPStatus.SEE_OTHER)


async def _page(
    visit: Visit, *, cursor: str = "", made: JsonObject | None = None, problem: Problem | None = None
) -> Response:
    query = urlencode({"limit": PAGE, **({"cursor": cursor} if cursor else {})})
    page: dict[str, Any] = await visit.ask_gateway("GET", f"/v1/api-keys?{query}")
    detail = problem.detail if problem is not None else ""
    body = key_page(visit.frame, page["items"], page["next_cursor"], made, detail)
    return page_of(body, problem.status if problem is not None else 200)
