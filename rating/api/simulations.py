"""POST /v1/simulations: another price or plan over a past period's real usage. POST /v1/profiles/try: a draft meter on
past events.

Both only read.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import IO, Annotated, Any, Literal, TypeVar

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import Field, ValidationError, WrapValidator

from rating.api.context import Authorized, Rating, View
from rating.api.downloads import document_file, download
from rating.api.query_scheduler import GoOn
from rating.api.rating_problems import RatingProblem
from rating.periods import parse_range, parse_zone
from rating.whatif import PeriodSimulation, Scenario, ScenarioError, simulate
from rating.whatif.draft import TooManyEvents, try_meter
from rating.whatif.simulation_document import write_simulation
from schemas.catalog.base import Model
from schemas.catalog.meters import Meter
from schemas.catalog.models import Plan
from schemas.catalog.state import NamespaceView
from schemas.prices.json_schema import PriceJson
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["what if"])

MAX_EVENTS = 1_000_000

T = TypeVar("T")


class SimulationRequest(Model):
    """What would be different, and over which past period."""

    period: Annotated[str, Field(description="2013, 2013-Q1, 2013-03 or A..B, in local dates of each account")]
    prices: Annotated[dict[str, PriceJson], Field(default_factory=dict, description="charge → the price it would have")]
    to_plan: Annotated[
        str | Plan | None,
        WrapValidator(lambda value, judge: value if isinstance(value, dict) else judge(value)),
        Field(description="a plan's code, or a whole plan that is not published"),
    ] = None  # a whole plan is judged by ``scenario``: bodies are judged in the event loop
    to_version: Annotated[int | None, Field(ge=1, description="version of to_plan; the newest where none is given")] = (
        None
    )
    account_id: Annotated[str | None, Field(description="only this account")] = None
    plan: Annotated[str | None, Field(description="only subscriptions on this plan")] = None
    limit: Annotated[int, Field(ge=1, le=1_000_000, description="subscriptions in the answer; totals are of all")] = (
        1000
    )

    def scenario(self) -> Scenario:
        """The change that is simulated; judges a whole plan, a quarter of a second's work for one of a megabyte.
        Raises RequestValidationError."""
        to_plan: Any = self.to_plan
        if isinstance(to_plan, dict):
            try:
                to_plan = Plan.model_validate(to_plan)
            except ValidationError as error:
                faults = [{**fault, "loc": ("body", "to_plan", *fault["loc"])} for fault in error.errors()]
                raise RequestValidationError(faults) from None
        return Scenario(self.prices, to_plan, self.to_version, self.account_id, self.plan)


class TryRequest(Model):
    """A meter as it would be published, and the past events to try it on."""

    meter: Meter
    period: Annotated[str, Field(description="2013-03, 2013-03-10 or A..B")]
    time_zone: Annotated[
        str | None, Field(description="of the dates; by default the account's, for all accounts UTC")
    ] = None
    account_id: Annotated[str | None, Field(description="only this account's events")] = None
    limit: Annotated[int, Field(ge=1, le=10_000, description="accounts in the answer; totals are of all")] = 1000


@router.post(
    "/v1/simulations", summary="Another price or plan over a past period: before, after, who pays less and more"
)
async def simulations(
    request: Request,
    rating: Authorized,
    view: View,
    body: SimulationRequest,
    form: Annotated[
        Literal["json", "csv"], Query(alias="format", description="csv: one row a subscription, all of them")
    ] = "json",
) -> Response:
    """By the close's own code, from present usage; nothing is written. Sorted by difference: who would pay less comes
    first. Prepaid credits are left out, since they pay and are no price."""
    if form == "csv":
        return await simulation_document(request, rating, view, body)
    return JSONResponse(await simulation_answer(request, rating, view, body))


async def simulation_answer(
    request: Request, rating: Rating, view: NamespaceView, body: SimulationRequest
) -> JsonObject:
    """What the route answers as JSON. Raises Problem."""
    return await _simulated(
        request, rating, view, body, lambda simulation: {"namespace": view.namespace, **simulation.to_json(body.limit)}
    )


async def simulation_document(
    request: Request, rating: Rating, view: NamespaceView, body: SimulationRequest
) -> Response:
    """The same of all subscriptions as CSV. Raises Problem."""

    def written(simulation: PeriodSimulation) -> IO[bytes]:
        out = document_file()
        write_simulation(out, simulation)
        return out

    document = await _simulated(request, rating, view, body, written)
    return download(document, "text/csv; charset=utf-8", f"{view.namespace}-simulation.csv")


async def _simulated(
    request: Request,
    rating: Rating,
    view: NamespaceView,
    body: SimulationRequest,
    told: Callable[[PeriodSimulation], T],
) -> T:
    """``told`` of the simulation, both in the thread of one long question. Raises Problem."""

    def question(client: Client, go_on: GoOn) -> T:
        now_us = micros(rating.now_of(view))
        return told(simulate(client, view, body.scenario(), body.period, now_us, lambda *_: go_on()))

    try:
        return await rating.ask_long(question, request)
    except ScenarioError as error:
        raise wrong_field(error.field_path, str(error)) from None


@router.post("/v1/profiles/try", summary="A draft meter on past events: how many match, what total, by account")
async def tried(request: Request, rating: Authorized, view: View, body: TryRequest) -> JsonObject:
    """Matches with the code that meters. Nothing is published or written; `current` is what the profile measures
    now."""
    default_zone = "UTC" if body.account_id is None else view.time_zone(body.account_id)
    try:
        zone = parse_zone(body.time_zone or default_zone)
        interval = parse_range(body.period, zone)
    except ValueError as error:
        raise wrong_field("period" if body.time_zone is None else "time_zone, period", str(error)) from None
    try:
        trial = await rating.ask_long(
            lambda client, go_on: try_meter(
                client,
                view,
                body.meter,
                interval,
                account_id=body.account_id,
                at_most=MAX_EVENTS,
                on_progress=lambda *_: go_on(),
            ),
            request,
        )
    except TooManyEvents as error:
        raise wrong_field("period", str(error)) from None
    return {"namespace": view.namespace, "time_zone": zone.key, **trial.to_json(body.limit)}


def wrong_field(path: str, detail: str) -> RatingProblem:
    """The refusal of one field of the body: 422."""
    return RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{path}: {detail}", [(f"body.{path}", detail)])
