"""POST /v1/portal-tokens makes a token for one account; GET /v1/portal is what it opens."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from rating.api.context import Authorized, View
from rating.api.portal.opened_portal import Portal
from rating.api.portal.portal_answer import portal_answer
from rating.api.portal.portal_token import MOST_SECONDS, PortalGrant, portal_token
from rating.api.rating_problems import unknown_account
from schemas.catalog.base import Identifier, Model
from schemas.http.api_keys import Access
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["portal"])


class PortalTokenRequest(Model):
    """Whose portal is to be opened, and for how long."""

    account_id: Identifier
    """the account that the token is for"""
    expires_in: Annotated[int, Field(ge=60, le=MOST_SECONDS)] = 3600
    """seconds that it is valid for"""


@router.post("/v1/portal-tokens", status_code=201, summary="A short-lived token for one account's portal")
async def make_token(request: Request, rating: Authorized, view: View, body: PortalTokenRequest) -> Response:
    """Give it to the customer's browser: `url` is a page of this service, `GET /v1/portal` the same as JSON. It sees
    this account alone and changes nothing. It ends when it expires, and when the key that made it is revoked."""
    if view.get("account", body.account_id) is None:
        raise unknown_account(view.namespace, body.account_id)
    access: Access = request.state.access
    expires_us = micros(rating.now()) + body.expires_in * 1_000_000
    grant = PortalGrant(view.namespace, body.account_id, access.key_id, expires_us)
    token = portal_token(rating.settings.admin_key.get_secret_value(), grant)
    answer = {"account_id": body.account_id, "token": token, "expires_at": rfc3339(expires_us),
              "url": f"/portal?token={token}"}  # fmt: skip
    return JSONResponse(answer, HTTPStatus.CREATED, headers={"Cache-Control": "no-store"})


@router.get("/v1/portal", summary="An account as its customer sees it, for the bearer of a portal token")
async def account_of_portal(portal: Portal) -> JsonObject:
    """The running periods with their estimate, usage by day, limits, prepaid credit and invoices, as the routes of each
    answer. `incomplete`: something cannot be told at present."""
    return await portal_answer(portal)
