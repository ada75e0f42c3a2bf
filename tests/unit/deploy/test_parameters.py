"""No route of either service answers a query that it does not understand: it names the parameter, and the one that was
meant."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.requests import Request

from ingest.app import Application, create_app
from ingest.events.events_api import BATCH, EVENT
from ingest.protocols.detection import Foreign
from rating.app import build_app
from schemas.http.parameters import nearest, unknown, wrong_parameters
from schemas.http.scopes import Service
from schemas.settings import Settings

SETTINGS = Settings(admin_key=SecretStr("root"))
METHODS = ("get", "post", "put", "delete")


def application(service: Service) -> tuple[Any, FastAPI]:
    """(what is asked, the FastAPI application), never started: there is no Kafka that a request could reach."""
    if service == "rating":
        app = build_app(SETTINGS)
        return app, app
    result: Application = create_app(SETTINGS)
    no_keys: Any = SimpleNamespace(guard=SimpleNamespace(route=_without_access))
    result._state["gateway"] = no_keys
    return result.app, result.app  # without the short cut of events, which the last test is about


async def _without_access(_request: object) -> None:
    """The rights of an open route."""


def ask(app: Any, method: str, path: str) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://weir") as client:
            return await client.request(method, path, headers={"Authorization": "Bearer root"})

    return asyncio.run(request())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, bool]]]:
    """(method, path, query parameter → whether it is a list) of an OpenAPI document."""
    collected = []
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                parameters = [item for item in methods[method].get("parameters", ()) if item["in"] == "query"]
                lists = {parameter["name"]: "array" in str(parameter["schema"]) for parameter in parameters}
                collected.append((method, path, lists))
    return collected


@pytest.mark.parametrize("service", ["gateway", "rating"])
def test_every_route_of_the_document_refuses_what_it_does_not_know(service: Service) -> None:
    result, app = application(service)
    walked = operations(app.openapi())
    assert len(walked) > 20
    for method, template, parameters in walked:
        path = template.replace("{", "").replace("}", "")
        response = ask(result, method, f"{path}?certainly_unknown=1")
        assert response.status_code == 422, f"{method} {template}: {response.text}"
        assert response.headers["content-type"].startswith("application/problem+json")
        assert [error["path"] for error in response.json()["errors"]] == ["query.certainly_unknown"], (
            f"{method} {template}"
        )
        for name, is_list in parameters.items():
            assert name in response.json()["detail"]
            typo = name[:-1] + "_"
            if len(name) > 3:
                assert f"did you mean {name}?" in ask(result, method, f"{path}?{typo}=1").json()["detail"]
            if not is_list:
                twice = ask(result, method, f"{path}?{name}=1&{name}=2").json()
                assert {"path": f"query.{name}", "detail": "stands 2 times; send it once"} in twice["errors"]
        assert "Weir-Namespace" in ask(result, method, f"{path}?namespace=shop").json()["detail"]


def test_pages_of_the_console_say_it_for_people() -> None:
    result, _ = application("rating")
    response = ask(result, "get", "/login?aftr=/")
    assert (response.status_code, "text/html" in response.headers["content-type"]) == (422, True)
    assert "did you mean after?" in response.text
    assert ask(result, "get", "/login?after=/").status_code == 200
    for page in ("/", "/runs", "/runs/r", "/invoices/i", "/invoices/i/lines/1", "/accounts/a"):
        assert ask(result, "get", f"{page}?certainly_unknown=1").status_code == 422, page


def request(query: str) -> Request:
    scope = {"type": "http", "path": "/api/v1/events", "headers": [], "query_string": query.encode()}
    return Request(scope)


def test_event_doors_take_no_parameters_but_let_the_sink_of_a_cloudevents_sender_be() -> None:
    for door in (EVENT, BATCH):
        assert [item.name for item in door.wrong_query(request("acount=1&x=2"))] == ["acount", "x"]
    foreign = Foreign(request(""), lambda: 0)
    assert foreign.wrong_query(request("name=orders&subject=x&route=eu&code=abc")) == []
    for name in ("namespace", "Weir-Namespace", "namspace"):
        (wrong,) = foreign.wrong_query(request(f"{name}=shop"))
        assert "Weir-Namespace" in wrong.detail


def test_names_that_are_meant_are_found_and_a_list_may_have_several() -> None:
    accepted_document = {"group_by": True, "account_id": False, "from": False}
    assert wrong_parameters(request("group_by=day&group_by=account&from=2026"), accepted_document) == []
    assert [
        wrong_parameter.name for wrong_parameter in wrong_parameters(request("from=1&from=2&=3"), accepted_document)
    ] == ["", "from"]
    assert [nearest(name, accepted_document) for name in ("account", "GroupBy", "grup_by", "customer")] == [
        "account_id", "group_by", "group_by", None,
    ]  # fmt: skip
    assert unknown("x", ()) == "there is no parameter 'x' here, nor any other"
    assert len(unknown("y" * 9000, accepted_document)) < 200
