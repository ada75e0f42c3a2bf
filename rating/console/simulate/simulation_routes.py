"""Routes of the page that simulates another price."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError

from rating.api import simulations
from rating.console.login.visit import Visit, Visiting, form_of
from rating.console.page_answers import page_of
from rating.console.simulate.simulation_draft import SimulationDraft, filled_simulation, opened_simulation
from rating.console.simulate.simulation_page import SHOWN, simulation_page
from schemas.http.problems import Problem

router = APIRouter(include_in_schema=False)

_FORM_BYTES = 131_072
_ALL = 1_000_000


@router.get("/simulate")
async def simulation_form(visit: Visiting, plan: str = "", charge: str = "") -> Response:
    draft = await visit.rating.compute(
        lambda: opened_simulation(visit.view, plan, charge, visit.rating.now_of(visit.view))
    )
    return page_of(simulation_page(visit.frame, draft))


@router.post("/simulate")
async def simulate(request: Request, visit: Visiting) -> Response:
    """Whoever may look may simulate: nothing is written."""
    fields = await form_of(request, visit, _FORM_BYTES, may=lambda _: True)
    draft = await visit.rating.compute(lambda: filled_simulation(visit.view, fields))
    if fields.get("do") == "more":
        return page_of(simulation_page(visit.frame, SimulationDraft(draft.nodes, draft.shown)))
    if draft.faults or draft.general:
        return _refused(visit, draft)
    as_document = fields.get("do") == "csv"
    try:
        body = simulations.SimulationRequest.model_validate(draft.request(_ALL if as_document else SHOWN))
        if as_document:
            return await simulations.simulation_document(request, visit.rating, visit.view, body)
        answer = await simulations.simulation_answer(request, visit.rating, visit.view, body)
    except (ValidationError, RequestValidationError) as error:
        faults = [(".".join(map(str, fault["loc"])).removeprefix("body."), fault["msg"]) for fault in error.errors()]
        return _refused(visit, draft.with_faults(faults))
    except Problem as problem:
        if problem.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        listed = problem.members.get("errors") or [{"path": "", "detail": problem.detail}]
        faults = [(str(item["path"]).removeprefix("body."), str(item["detail"])) for item in listed]
        return _refused(visit, draft.with_faults(faults))
    return page_of(simulation_page(visit.frame, draft, answer))


def _refused(visit: Visit, draft: SimulationDraft) -> Response:
    return page_of(simulation_page(visit.frame, draft), HTTPStatus.UNPROCESSABLE_ENTITY)
