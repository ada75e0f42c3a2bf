"""Every route of both services has its scopes in the one table, and says so to whoever has no key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import SecretStr

from ingest.app import create_app
from rating.app import build_app
from schemas.http.scopes import TABLE, Service, scopes_of
from schemas.settings import Settings

SETTINGS = Settings(admin_key=SecretStr("root"))
DOCUMENTATION = {"/openapi.json"}


def app_of(service: Service) -> FastAPI:
    return create_app(SETTINGS).app if service == "gateway" else build_app(SETTINGS)


def leaves(routes: Any) -> Iterator[Any]:
    """All routes, those of included routers too, however the framework keeps them."""
    for route in routes:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        yield from leaves(inner) if inner is not None else [route]


def routes_of(service: Service) -> Iterator[tuple[str, str]]:
    for route in leaves(app_of(service).routes):
        if route.path not in DOCUMENTATION:
            assert isinstance(route, APIRoute), f"{route.path} has no dependencies, so nothing guards it"
            for method in route.methods:
                yield method, route.path


@pytest.mark.parametrize("service", ["gateway", "rating"])
def test_every_route_has_scopes_and_the_table_has_no_others(service: Service) -> None:
    routes = set(routes_of(service))
    assert len(routes) > 10
    missing = sorted(f"{method} {path}" for method, path in routes if scopes_of(service, method, path) is None)
    assert missing == [], "give these their scopes in schemas/http/scopes.py"
    stale = sorted(TABLE[service].keys() - {f"{method} {path}" for method, path in routes})
    assert stale == [], "these lines of schemas/http/scopes.py lead to no route"


def ask(app: FastAPI, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """The answer of an application that was never started, so that it can look at nothing but keys."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://weir") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(request())


def test_who_has_no_key_or_a_wrong_one_is_told_nothing_by_the_rating_service() -> None:
    app = build_app(SETTINGS)
    count = 0
    for line, scopes in TABLE["rating"].items():
        method, _, path = line.partition(" ")
        if not scopes:
            continue
        count += 1
        for header in ({}, {"Authorization": "Bearer"}, {"Authorization": "Basic root"}, {"Authorization": "root"}):
            answer = ask(app, method, path.replace("{", "").replace("}", ""), header)
            assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer"), line
    assert count >= 5


def test_a_route_that_the_table_does_not_name_answers_nobody() -> None:
    app = build_app(SETTINGS)

    @app.get("/v1/forgotten")
    async def forgotten() -> dict[str, str]:
        return {"secret": "told"}

    answer = ask(app, "GET", "/v1/forgotten", {"Authorization": "Bearer root"})
    assert answer.status_code == 403
    assert "told" not in answer.text
