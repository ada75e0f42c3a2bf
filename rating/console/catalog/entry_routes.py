"""Routes of the catalog's pages: lists, forms, and what is saved, through the gateway's API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from rating.api import simulations
from rating.api.rating_problems import missing
from rating.console.catalog.as_code import curl_of, shown_code, yaml_of
from rating.console.catalog.entry_forms import PLACES
from rating.console.catalog.entry_list import charges_of, create_link, entry_list, settings_page
from rating.console.catalog.entry_page import NOTHING, FormNotes, charge_page, entry_page
from rating.console.catalog.form_body import body_of_form
from rating.console.catalog.form_draft import (
    CODE,
    EntryDraft,
    filled,
    filled_charge,
    model_of,
    opened,
    opened_charge,
    version_of,
    without_charge,
)
from rating.console.catalog.form_view import field_of, place_faults
from rating.console.catalog.price_nodes import tried_nodes
from rating.console.html import Html, join
from rating.console.login.visit import Visit, Visiting, form_of
from rating.console.page_answers import page_of
from rating.pricing import PriceError
from rating.pricing.price_json import price_item
from schemas.catalog.audit_trail import Audited, audited_versions
from schemas.http.problems import Problem
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)

CHARGES: Final = "charges"
PAGE: Final = 100
TRIED_DAYS: Final = 7
"""Days, today included, whose events a metric is tried on."""
VERSIONS_SHOWN: Final = 10
_FORM_BYTES: Final = 131_072
_FRESH_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_REFUSED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


@router.get("/settings")
async def settings(visit: Visiting) -> Response:
    return page_of(settings_page(visit.frame))


@router.get("/catalog/{place}")
async def listed(visit: Visiting, place: str, after: str = "") -> Response:
    if place not in PLACES:
        raise missing(f"there is no place {place[:40]!r}; there are {', '.join(PLACES)}")
    if place == "accounts":
        return RedirectResponse(visit.frame.address("accounts"), HTTPStatus.SEE_OTHER)
    entries = list(islice(visit.view.after(PLACES[place].kind, after), PAGE + 1))
    following = entries[PAGE - 1].code if len(entries) > PAGE else None
    return page_of(entry_list(visit.frame, PLACES[place], entries[:PAGE], after, following))


@router.get("/catalog/{place}/form")
async def form(
    visit: Visiting,
    place: str,
    code: str = "",
    done: str = "",
    profile: str = "",
    product: str = "",
    account: str = "",
    plan: str = "",
    charge: str = "",
) -> Response:
    given = {"profile": profile, "account": account, "plan": plan}
    if place == CHARGES:
        draft = opened_charge(visit.view, plan, charge)
        if draft is not None and product and not charge:
            draft.shown["product"] = product
    else:
        draft = opened(visit.view, place, code, given) if place in PLACES else None
    if draft is None:
        raise missing(f"there is no {place[:40]} {(charge or code or plan)[:64]!r} in namespace {visit.view.namespace}")
    return _page(visit, draft, FormNotes(done=done))


@router.post("/catalog/{place}/form")
async def change(request: Request, visit: Visiting, place: str) -> Response:
    fields = await form_of(request, visit, _FORM_BYTES)
    draft = await visit.rating.compute(lambda: _filled(visit, place, fields))
    if draft is None:
        raise missing("what this form changes is not there (any more); open its list again")
    do = fields.get("do", "save")
    if do == "more":
        return _page(visit, draft)
    if do == "price":
        return _page(visit, draft, await _priced(visit, draft, fields))
    body = without_charge(draft) if do == "remove" and draft.charge else draft.body
    try:
        if do == "try" and draft.place.kind == "meter":
            return _page(visit, draft, await _tried_on_events(request, visit, draft))
        if do == "check":
            document = {draft.place.resource.replace("-", "_"): [body], "namespace": visit.view.namespace}
            answer = await visit.ask_gateway("POST", "/v1/catalog/apply?dry_run=true", document)
            return _page(visit, draft, FormNotes(planned=answer, warnings=_warnings(answer)))
        return await _saved(visit, draft, body)
    except Problem as problem:
        return _not_done(visit, draft, problem, _faulty)


@router.post("/catalog/{place}/retire")
async def retire(request: Request, visit: Visiting, place: str) -> Response:
    fields = await form_of(request, visit)
    code, version = fields.get(CODE, ""), version_of(fields)
    draft = opened(visit.view, place, code, {}) if place in PLACES and code else None
    if draft is None:
        raise missing("what this form retires is not there (any more); open its list again")
    try:
        await visit.ask_gateway("DELETE", f"/v1/{draft.place.resource}/{quote(code, safe='')}", version=version)
    except Problem as problem:
        return _not_done(visit, draft, problem, lambda _, told: FormNotes(general=[told.detail]))
    await _published(visit, draft.place.kind, code, version + 1)
    return RedirectResponse(visit.frame.address("catalog", place), HTTPStatus.SEE_OTHER)


def _filled(visit: Visit, path: str, fields: Mapping[str, str]) -> EntryDraft | None:
    if path == CHARGES:
        return filled_charge(visit.view, fields)
    return filled(visit.view, path, fields) if path in PLACES else None


async def _saved(visit: Visit, draft: EntryDraft, body: JsonObject) -> Response:
    catalog_place = draft.place
    if draft.code is None:
        answer = await visit.ask_gateway("POST", f"/v1/{catalog_place.resource}", body)
    else:
        path = f"/v1/{catalog_place.resource}/{quote(draft.code, safe='')}"
        answer = await visit.ask_gateway("PUT", path, body, draft.version)
    code, version = str(answer["code"]), int(answer["version"])
    await _published(visit, catalog_place.kind, code, version)
    log.info("console: %s %s of %s by %s", catalog_place.kind, code, visit.view.namespace, visit.access.author)
    done = "created" if draft.code is None else "changed"
    if warnings := _warnings(answer):
        view = visit.rating.view(visit.view.namespace)
        now = opened(view, catalog_place.path, code, {})
        if now is not None:
            return _page(replace(visit, view=view), now, FormNotes(warnings=warnings, done=done))
    return RedirectResponse(
        visit.frame.address("catalog", catalog_place.path, "form", code=code, done=done), HTTPStatus.SEE_OTHER
    )


async def _published(visit: Visit, kind: str, code: str, version: int) -> None:
    """Wait until this process' own catalog has what the gateway has published, so that the next page shows it."""
    for _ in range(int(_FRESH_SECONDS / _LOOK_SECONDS)):
        if len(visit.rating.view(visit.view.namespace).history(kind, code)) >= version:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _not_done(
    visit: Visit, draft: EntryDraft, problem: Problem, notes: Callable[[EntryDraft, Problem], FormNotes]
) -> Response:
    """The form with what the gateway said against it. Raises the problem where it is not about what was typed."""
    if problem.status == HTTPStatus.PRECONDITION_FAILED:
        return _met(visit, draft)
    if problem.status not in _REFUSED:
        raise problem
    return _page(visit, draft, notes(draft, problem), problem.status)


def _met(visit: Visit, draft: EntryDraft) -> Response:
    """Somebody else was quicker: the form with what was typed, over the version that stands now."""
    view = visit.rating.view(visit.view.namespace)
    newest = next(audited_versions(view, draft.place.kind, draft.code or ""), None)
    if newest is None or newest.entry.retired:
        raise missing(f"{draft.place.what} {draft.code} was retired meanwhile; create it again if it is to stay")
    anew = replace(draft, standing=newest.entry)
    return _page(visit, anew, FormNotes(meanwhile=newest), HTTPStatus.PRECONDITION_FAILED)


def _faulty(draft: EntryDraft, problem: Problem) -> FormNotes:
    listed = problem.members.get("errors") or [{"path": "", "detail": problem.detail}]
    faults = [(field_of(str(item["path"]), draft.within), str(item["detail"])) for item in listed]
    shown, general = place_faults(draft.nodes, faults, draft.shown)
    return FormNotes(shown, general)


async def _priced(visit: Visit, draft: EntryDraft, fields: Mapping[str, str]) -> FormNotes:
    """What a quantity costs, by the code that bills."""
    nodes = tried_nodes(model_of(draft.shown))
    tried = body_of_form(nodes, fields, {}, "try.")
    item = {"price": draft.shown.get("price", {}), "currency": draft.body.get("currency"), **tried}
    try:
        priced = await visit.rating.compute(lambda: price_item(item))
    except PriceError as error:
        faults = [(field_path, detail) for field_path, _, detail in (line.partition(": ") for line in error.problems)]
        below = [
            (field_path if field_path.startswith("price") else f"try.{field_path}", detail)
            for field_path, detail in faults
        ]
        known = {f"try.{name}" for name in ("quantity", "events", "quantities")}
        shown, general = place_faults(draft.nodes, [fault for fault in below if fault[0] not in known], draft.shown)
        return FormNotes(
            shown | {field_path: detail for field_path, detail in below if field_path in known}, general, tried=tried
        )
    return FormNotes(priced=priced, tried=tried)


async def _tried_on_events(request: Request, visit: Visit, draft: EntryDraft) -> FormNotes:
    """What the metric would have made of the last days' events, by the code that meters. Raises Problem."""
    today = visit.rating.now().date()
    period = f"{today - timedelta(days=TRIED_DAYS - 1)}..{today + timedelta(days=1)}"
    try:
        trial_request = simulations.TryRequest.model_validate({"meter": draft.body, "period": period, "limit": 1})
    except ValidationError as error:
        faults = [(".".join(map(str, item["loc"][1:])), item["msg"]) for item in error.errors()]
        shown, general = place_faults(draft.nodes, faults, draft.shown)
        return FormNotes(shown, general)
    return FormNotes(trial=await simulations.tried(request, visit.rating, visit.view, trial_request))


def _warnings(answer: JsonObject) -> list[str]:
    return [f"{item['path']}: {item['detail']}" for item in answer.get("warnings", ())]


def _page(visit: Visit, draft: EntryDraft, notes: FormNotes = NOTHING, status: int = 200) -> Response:
    frame, namespace = visit.frame, visit.view.namespace
    catalog_place, resource = draft.place, draft.place.resource
    curl = curl_of(visit.rating.gateway.url, namespace, resource, draft.body, draft.code, draft.version)
    code = shown_code(curl, yaml_of(namespace, resource, draft.body))
    if draft.within:
        name = frame.name_of("plan", draft.code or "") or (draft.code or "")
        return page_of(charge_page(frame, draft, notes, code, name), status)
    versions: list[Audited] = []
    if draft.code is not None:
        versions = list(islice(audited_versions(visit.view, catalog_place.kind, draft.code), VERSIONS_SHOWN))
    return page_of(entry_page(frame, draft, notes, code, versions, _following(visit, draft)), status)


def _following(visit: Visit, draft: EntryDraft) -> Html | None:
    """What is done next with an entry that is there."""
    frame, view, standing = visit.frame, visit.view, draft.standing
    if standing is None:
        return None
    code, kind = standing.code, draft.place.kind
    if kind == "meter":
        sold = {entry.body.get("profile") for entry in view.referring("product", "meter", code)}
        profiles = [f"{code}.{profile['code']}" for profile in standing.body["profiles"]]
        return join(
            [
                create_link(frame, "products", f"Create a product of {profile}", profile=profile)
                for profile in profiles[:5]
                if profile not in sold
            ]
        )
    if kind == "plan":
        return join(charges_of(frame, standing), create_link(frame, "subscriptions", "Subscribe a customer", plan=code))
    if kind == "account":
        return join(
            frame.link("Usage and invoices", "accounts", code),
            create_link(frame, "subscriptions", "Subscribe to a plan", account=code),
        )
    return None
