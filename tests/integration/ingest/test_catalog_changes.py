"""The catalog by HTTP, kind by kind: versions, history, who changed what; event types at the door; two writers at
once."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.stack import settings_environment
from schemas.settings import Settings
from tests.integration.ingest.gateway_process import GatewayProcess
from tests.integration.world import declare, gateway_client

pytestmark = pytest.mark.integration

SCHEMA = {"type": "record", "name": "Call", "fields": [
    {"name": "seconds", "type": "double"},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
]}  # fmt: skip
PRICE = {"model": "per_unit", "unit_amount": "0.10"}
# Kind in the path: a body to create, and what a second version changes.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "event-types": ({"code": "call made"}, {"description": "a call"}),
    "meters": ({"code": "m2", "profiles": [{"code": "n", "aggregation": "count"}]}, {"unit": "call"}),
    "features": ({"code": "f", "profile": "calls.n", "limit": "10", "reset": "month"}, {"limit": "20"}),
    "products": ({"code": "p2", "profile": "calls.n"}, {"unit": "call"}),
    "plans": ({"code": "l2", "currency": "USD", "charges": [{"product": "p", "price": PRICE}]}, {"interval": "year"}),
    "accounts": ({"code": "a/2"}, {"time_zone": "Europe/Oslo"}),
    "subscriptions": ({"code": "s", "account": "a", "plan": "l", "start": "2026-01-01"}, {"end": "2026-07-01"}),
    "credit-grants": ({"code": "g", "account": "a", "currency": "USD", "amount": "5"}, {"amount": "6"}),
    "alert-rules": ({"code": "r", "measure": "usage", "profile": "calls.n", "thresholds": ["5"]}, {"name": "many"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(settings: Settings) -> Iterator[httpx.Client]:
    """A namespace that takes known events only, with something of each kind to refer to."""
    code = f"t{uuid.uuid4().hex[:12]}"
    declare(settings, {
        "namespace": {"code": code, "max_event_age_seconds": None, "unknown_events": "reject"},
        "meters": [{"code": "calls", "event_name": "call", "profiles": [{"code": "n", "aggregation": "count"}]}],
        "products": [{"code": "p", "profile": "calls"}],
        "plans": [{"code": "l", "currency": "USD", "charges": [{"product": "p", "price": PRICE}]}],
        "accounts": [{"code": "a"}],
        "event_types": [{"code": "call", "schema": SCHEMA}],
    })  # fmt: skip
    with gateway_client(settings, code) as client:
        yield client


def send(client: httpx.Client, name: str, properties: str) -> httpx.Response:
    body = f'{{"event_name":{json.dumps(name)},"account_id":"a","properties":{properties}}}'
    return client.post("/v1/events", content=body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_from_creation_to_retirement(shop: httpx.Client, kind: str) -> None:
    body, change = KINDS[kind]
    path = f"/v1/{kind}/{quote(body['code'], safe='')}"
    created = shop.post(f"/v1/{kind}", json=body)
    assert (created.status_code, created.headers["etag"]) == (201, '"1"'), created.text
    assert shop.get(path).json() == created.json()
    wrong = shop.post(f"/v1/{kind}", json=body | {"code": "other", "colour": "red"})
    assert (wrong.status_code, wrong.json()["path"]) == (422, "$.colour")
    assert shop.put(path, json=created.json() | change, headers={"If-Match": '"7"'}).status_code == 412
    put = shop.put(path, json=created.json() | change, headers={"If-Match": '"1"'})
    assert (put.status_code, put.headers["etag"]) == (200, '"2"'), put.text
    versions = shop.get(path, params={"history": "true"}).json()["items"]
    assert [entry["version"] for entry in versions] == [1, 2]
    pages = []
    cursor: str | None = ""
    while cursor is not None:
        page = shop.get(f"/v1/{kind}", params={"limit": 1, "cursor": cursor}).json()
        pages += [entry["code"] for entry in page["items"]]
        cursor = page["next_cursor"]
    assert pages == sorted(pages)
    assert body["code"] in pages
    assert shop.delete(path, headers={"If-Match": '"1"'}).status_code == 412
    assert shop.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert shop.get(path).status_code == 404
    name = kind.replace("-", "_").removesuffix("s")
    trail = shop.get("/v1/catalog/audit", params={"kind": name, "code": body["code"]}).json()["items"]
    assert [(one["action"], one["version"]) for one in trail] == [("retired", 3), ("changed", 2), ("created", 1)]
    assert [one["path"] for one in trail[1]["changes"]] == list(change)


def test_events_are_held_against_their_type_at_the_door(shop: httpx.Client) -> None:
    assert send(shop, "call", '{"seconds": 0.1000000000000000000001}').status_code == 202
    refused = send(shop, "call", '{"seconds": 1, "tags": ["x", 5]}')
    problem = refused.json()
    assert (refused.status_code, problem["reason"], problem["path"], problem["index"]) == (
        422,
        "schema",
        "$.properties.tags[1]",
        0,
    )
    assert problem["detail"].startswith("expected text, found number 5")
    refused = send(shop, "cal", "{}")
    assert (refused.json()["reason"], refused.json()["path"]) == ("unknown_event", "$.event_name")
    assert "did you mean 'call'?" in refused.json()["detail"]


def test_a_schema_changes_only_as_its_compatibility_allows_and_is_in_force_at_once(shop: httpx.Client) -> None:
    name = "trip"
    kind: dict[str, Any] = {"code": name, "schema": SCHEMA}
    assert shop.post("/v1/event-types", json=kind).status_code == 201
    assert send(shop, name, '{"seconds": 1.5}').status_code == 202
    narrow = {**SCHEMA, "fields": [{"name": "seconds", "type": "long"}]}
    refused = shop.put(f"/v1/event-types/{name}", json={**kind, "schema": narrow}, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["path"]) == (422, "$.schema")
    assert "properties.seconds: was a number, is now a whole number of 64 bits" in refused.json()["detail"]
    broken = shop.put(
        f"/v1/event-types/{name}",
        json={**kind, "schema": {**SCHEMA, "fields": [{"name": "n", "type": "lnog"}]}},
        headers={"If-Match": "*"},
    )
    assert (broken.status_code, broken.json()["path"]) == (422, "$.schema.fields[0].type")
    forced = {**kind, "schema": narrow, "compatibility": "none"}
    assert shop.put(f"/v1/event-types/{name}", json=forced, headers={"If-Match": '"1"'}).status_code == 200
    assert send(shop, name, '{"seconds": 1.5}').status_code == 422
    assert send(shop, name, '{"seconds": 2.0}').status_code == 202


def test_the_trail_names_the_key_and_is_paged_and_the_command_tells_it(
    shop: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shop.post("/v1/api-keys", json={"name": "deploy robot", "scopes": ["catalog"]}).json()
    with httpx.Client(base_url=shop.base_url, headers={"authorization": f"Bearer {key['key']}"}, timeout=30) as robot:
        account = robot.post("/v1/accounts", json={"code": "robot-1", "name": "One"}).json()
        assert (
            robot.put("/v1/accounts/robot-1", json=account | {"name": "Two"}, headers={"If-Match": '"1"'}).status_code
            == 200
        )
        first = robot.get("/v1/catalog/audit", params={"limit": 1}).json()
        second = robot.get("/v1/catalog/audit", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    (newest,), (oldest,) = first["items"], second["items"]
    assert newest["author"].startswith("deploy robot")
    assert newest["changes"] == [{"path": "name", "before": "One", "after": "Two"}]
    assert (oldest["action"], oldest["code"], oldest["at"] <= newest["at"]) == ("created", "robot-1", True)
    assert shop.get("/v1/catalog/audit", params={"kind": "metre"}).status_code == 422
    assert shop.get("/v1/catalog/audit", params={"cursor": "x"}).status_code == 422
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    namespace = shop.headers["weir-namespace"]
    told = CliRunner().invoke(app, ["audit", "-n", namespace, "--code", "robot-1"])
    assert told.exit_code == 0, told.output
    assert "changed account robot-1 version 2" in told.output
    assert 'name: "One" -> "Two"' in told.output
    listed = json.loads(CliRunner().invoke(app, ["audit", "-n", namespace, "--limit", "3", "--json"]).output)
    assert len(listed) == 3


def test_two_gateways_at_once_one_writer_of_a_version_and_both_see_it(
    shop: httpx.Client, settings: Settings, tmp_path: Path, wait_until: Any
) -> None:
    with (
        GatewayProcess(settings, tmp_path / "gateway.log") as other,
        httpx.Client(base_url=other.url, headers=shop.headers, timeout=30) as second,
        ThreadPoolExecutor(2) as pool,
    ):
        assert shop.post("/v1/accounts", json={"code": "contested"}).status_code == 201
        rounds = 5
        for version in range(1, rounds + 1):
            wait_until(
                lambda version=version: second.get("/v1/accounts/contested").headers["etag"] == f'"{version}"',
                timeout=10,
            )
            start = threading.Barrier(2)

            def write(client: httpx.Client, version: int = version, start: threading.Barrier = start) -> int:
                start.wait(10)
                body = {"code": "contested", "name": f"{client.base_url.port} {version}"}
                return client.put("/v1/accounts/contested", json=body, headers={"If-Match": f'"{version}"'}).status_code

            answers = sorted(pool.map(write, (shop, second)))
            assert answers in ([200, 409], [200, 412])
        assert [entry["version"] for entry in shop.get("/v1/accounts/contested?history=true").json()["items"]] == list(
            range(1, rounds + 2)
        )
        # What one gateway answered is at the other's door within a second or so, without a restart.
        assert shop.post("/v1/event-types", json={"code": "brand new"}).status_code == 201
        assert send(shop, "brand new", "{}").status_code == 202
        wait_until(lambda: send(second, "brand new", "{}").status_code == 202, timeout=10)
