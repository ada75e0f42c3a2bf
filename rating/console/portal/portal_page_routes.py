"""The route of the portal's page, which a portal token opens: no login, no cookie."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rating.api.portal.portal_answer import portal_answer
from rating.api.portal.portal_routes import opened_portal
from rating.console.login.display_names import display_name
from rating.console.page_answers import page_of
from rating.console.portal.portal_page import portal_page

router = APIRouter(include_in_schema=False)


@router.get("/portal")
async def portal_of(request: Request, token: str = "") -> Response:
    rating, view, account_id = opened_portal(request, token)
    answer = await portal_answer(rating, view, account_id)
    seller = view.settings.name or view.namespace
    return page_of(portal_page(seller, answer, lambda kind, code: display_name(view, kind, code)))
