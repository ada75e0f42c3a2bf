"""Both OpenAPI documents say of each route what it answers, whom it asks for a key, and what an error looks like; their
examples hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from ingest.answers import ANSWERS as GATEWAY
from rating.api.answers import ANSWERS as RATING
from schemas.http.scopes import TABLE, Service
from schemas.prices.models import MODELS
from tests.golden.made import DOCUMENTS
from tests.openapi_check import closed, fault
from tests.unit.deploy.test_parameters import application, ask, operations

TABLES: dict[Service, Any] = {"gateway": GATEWAY, "rating": RATING}
SERVICES: list[Service] = ["gateway", "rating"]


@cache
def document(service: Service) -> dict[str, Any]:
    return DOCUMENTS[f"openapi_{service}.json"]()


def each(service: Service) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document(service)["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize("service", SERVICES)
def test_each_route_says_what_it_answers(service: Service) -> None:
    assert {name for name, _ in each(service)} == TABLES[service].keys(), (
        "answers.py has a line for each route, and no other"
    )
    for name, operation in each(service):
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                described = content["schema"]
                assert described not in ({}, {"type": "object"}), f"{name}: {status} {media_type} is not described"
        assert {"4XX", "5XX"} <= operation["responses"].keys(), name


@pytest.mark.parametrize("service", SERVICES)
def test_a_route_that_asks_for_a_key_says_so(service: Service) -> None:
    scopes = {name.replace(":path}", "}"): needed for name, needed in TABLE[service].items()}
    for name, operation in each(service):
        assert bool(operation.get("security")) == bool(scopes[name]), name
        for scope in scopes[name]:
            assert f"`{scope}`" in operation["description"], name
    assert document(service)["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


@pytest.mark.parametrize("service", SERVICES)
def test_operations_have_names_of_their_own(service: Service) -> None:
    names = [operation["operationId"] for _, operation in each(service)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not name.isidentifier() or "_v1_" in name] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_reference_leads_somewhere_and_every_example_holds(service: Service) -> None:
    full_document = document(service)
    components = full_document["components"]
    for name, schema in components["schemas"].items():
        jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})
        assert schema.get("description"), f"{name} says nothing of itself"
    examples = 0
    for name, operation in each(service):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media_type, content in (
            (kind, value) for body in bodies for kind, value in body.get("content", {}).items()
        ):
            if "example" in content and "ndjson" not in media_type:
                examples += 1
                schema = closed(content["schema"]) | {"components": closed(components)}
                errors = [
                    error.message
                    for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(content["example"])
                ]
                assert errors == [], f"{name}: {media_type}"
    assert examples


@pytest.mark.parametrize("service", SERVICES)
def test_a_price_is_one_of_all_models(service: Service) -> None:
    price = document(service)["components"]["schemas"]["Price"]
    assert price["discriminator"]["propertyName"] == "model"
    assert price["discriminator"]["mapping"].keys() == MODELS.keys()
    assert len(price["oneOf"]) == len(MODELS)


@pytest.mark.parametrize("service", SERVICES)
def test_errors_are_as_the_document_has_them(service: Service) -> None:
    result, app = application(service)
    for method, template, _ in operations(app.openapi()):
        path = template.replace("{", "").replace("}", "")
        response = ask(result, method, f"{path}?certainly_unknown=1")
        assert response.json()["reason"] == "unknown_parameter"
        media_type = response.headers["content-type"].partition(";")[0]
        assert fault(method.upper(), path, response.status_code, media_type, response.json()) is None
    missing = ask(result, "get", "/nowhere")
    assert (missing.status_code, missing.json()["reason"]) == (404, "not_found")
    assert missing.headers["content-type"] == "application/problem+json"


def test_what_the_document_does_not_say_is_told() -> None:
    known = {"alive": True}
    assert "declared nowhere" in str(fault("GET", "/v1/usage", 203, "application/json", known))
    assert "declared nowhere" in str(fault("GET", "/v1/usage", 200, "text/html", known))
    assert "required" in str(fault("GET", "/v1/ledger", 200, "application/json", known))
    assert fault("GET", "/hook", 200, "application/json", known) is None
    key = {
        "id": "key_1",
        "name": "",
        "scopes": ["read"],
        "expires_at": None,
        "limits": {},
        "created_at": "2026-01-01T00:00:00Z",
        "created_by": "root",
        "revoked_at": None,
        "revoked_by": None,
    }
    page = {"items": [key], "next_cursor": None}
    assert fault("GET", "/v1/api-keys", 200, "application/json", page) is None
    assert "secret" in str(
        fault("GET", "/v1/api-keys", 200, "application/json", {"items": [key | {"secret": 1}], "next_cursor": None})
    )
    assert "date-time" in str(
        fault(
            "GET",
            "/v1/api-keys",
            200,
            "application/json",
            {"items": [key | {"created_at": "soon"}], "next_cursor": None},
        )
    )
