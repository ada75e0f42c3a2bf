"""The route of decisions on an invoice or draft: what the API's routes do, asked by a form of this session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from rating.api.invoices import changes, drafts
from rating.api.rating_problems import RatingProblem, missing
from rating.console.invoices.decision_forms import DONE
from rating.console.invoices.invoice_page import invoice
from rating.console.login.rights import may_decide
from rating.console.login.visit import Visit, Visiting, form_of
from rating.console.page_answers import page_of
from rating.invoices.read import read_invoice
from schemas.http.problems import Problem
from schemas.values.json_text import JsonObject

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)


async def _approve(request: Request, visit: Visit, name: str, fields: Mapping[str, str]) -> JsonObject:
    body = drafts.Approval(version=int(fields["version"]))
    return await drafts.approve(request, visit.rating, visit.view, name, body)


async def _hold(request: Request, visit: Visit, name: str, fields: Mapping[str, str]) -> JsonObject:
    return await drafts.hold(request, visit.rating, visit.view, name, drafts.Hold(reason=fields["reason"]))


async def _release(request: Request, visit: Visit, name: str, fields: Mapping[str, str]) -> JsonObject:
    return await drafts.release(visit.rating, visit.view, name)


async def _void(request: Request, visit: Visit, name: str, fields: Mapping[str, str]) -> JsonObject:
    return await changes.void(request, visit.rating, visit.view, name, changes.Void(reason=fields["reason"]))


async def _pay(request: Request, visit: Visit, name: str, fields: Mapping[str, str]) -> JsonObject:
    given: Any = {field: fields[field] for field in ("amount", "currency", "reference")}
    return await changes.payments(request, visit.rating, visit.view, name, changes.Paid.model_validate(given))


_DECISIONS: Final[dict[str, Callable[[Request, Visit, str, Mapping[str, str]], Awaitable[JsonObject]]]] = {
    "approve": _approve,
    "hold": _hold,
    "release": _release,
    "void": _void,
    "payments": _pay,
}
assert _DECISIONS.keys() == DONE.keys()


@router.post("/invoices/{invoice_id}/{decision}")
async def decide(request: Request, visit: Visiting, invoice_id: str, decision: str) -> Response:
    if decision not in _DECISIONS:
        raise missing(f"there is no decision {decision[:64]!r}; there are {', '.join(_DECISIONS)}")
    fields = await form_of(request, visit, may=lambda access: may_decide(access, decision))
    try:
        await _DECISIONS[decision](request, visit, invoice_id, fields)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return await _refused(visit, invoice_id, RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, told))
    except (KeyError, ValueError) as error:
        detail = f"this form lacks or misspells a field ({error}); open the page again and repeat it"
        return await _refused(visit, invoice_id, RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, detail))
    except Problem as problem:
        return await _refused(visit, invoice_id, problem)
    namespace = visit.view.namespace
    log.info("console: %s of %s in %s by %s", decision, invoice_id, namespace, visit.access.author)
    return RedirectResponse(visit.frame.address("invoices", invoice_id, done=decision), 303)


async def _refused(visit: Visit, invoice_id: str, problem: Problem) -> Response:
    """The invoice as it stands, with why it stays so."""
    whole = await visit.rating.ask(lambda client: read_invoice(client, visit.view.namespace, invoice_id))
    if whole is None:
        raise problem
    return page_of(invoice(visit.frame, whole, problem=problem.detail), problem.status)
