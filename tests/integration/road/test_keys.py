"""API keys on the road: told once, bound to a namespace and to scopes, refused within seconds of their revocation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from schemas.catalog.follower import read_catalog
from tests.integration.world import World

pytestmark = pytest.mark.integration

EVENT = {"event_name": "e", "account_id": "a", "properties": {}}


def made(world: World, *scopes: str, **more: Any) -> dict[str, Any]:
    with world.http("gateway") as admin:
        answer = admin.post("/v1/api-keys", json={"scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


def bearer(world: World, key: str, service: str) -> httpx.Client:
    """A client with nothing but a key."""
    return world.http(service, headers={"authorization": f"Bearer {key}"})


def test_a_key_opens_what_its_scopes_say_in_its_namespace_alone(world: World) -> None:
    ingest, read, catalog = (made(world, scope) for scope in ("ingest", "read", "catalog"))
    with bearer(world, ingest["key"], "gateway") as client:
        assert client.post("/v1/events", json=EVENT).status_code == 202, "no header is needed: the key has a namespace"
        assert client.post("/v1/events", json=EVENT, headers={"Weir-Namespace": world.namespace}).status_code == 202
        other = client.post("/v1/events", json=EVENT, headers={"Weir-Namespace": "default"})
        assert (other.status_code, other.json()["reason"]) == (403, "other_namespace")
        denied = client.get("/v1/meters")
        assert (denied.status_code, denied.json()["reason"]) == (403, "scope")
        assert client.post("/v1/api-keys", json={"scopes": ["admin"]}).status_code == 403
    with bearer(world, catalog["key"], "gateway") as client:
        assert client.post("/v1/accounts", json={"code": "a"}).status_code == 201
        assert client.post("/v1/events", json=EVENT).status_code == 403
        foreign = client.post("/v1/catalog/apply", json={"namespace": "default", "accounts": [{"code": "x"}]})
        assert (foreign.status_code, foreign.json()["reason"]) == (403, "other_namespace")
        hook = {"code": world.namespace, "webhook": {"url": "https://example.com/all-invoices"}}
        taken = client.post("/v1/catalog/apply", json={"namespace": hook})
        assert (taken.status_code, taken.json()["path"]) == (403, "$.namespace.webhook")
    (entry,) = read_catalog(world.settings).view(world.namespace).history("account", "a")
    assert entry.author == catalog["id"]
    with bearer(world, read["key"], "rating") as client:
        world.wait(lambda: client.get("/v1/ledger").status_code == 200, timeout=10)
        assert client.get("/v1/ledger", headers={"Weir-Namespace": "default"}).status_code == 403
    with bearer(world, ingest["key"], "rating") as client:
        assert client.get("/v1/ledger").status_code == 403


def test_a_revoked_key_is_refused_at_once_here_and_within_seconds_elsewhere(world: World) -> None:
    key = made(world, "ingest", "read", name="backend")
    with bearer(world, key["key"], "gateway") as gateway, bearer(world, key["key"], "rating") as rating:
        assert gateway.post("/v1/events", json=EVENT).status_code == 202
        world.wait(lambda: rating.get("/v1/ledger").status_code == 200, timeout=10)
        with world.http("gateway") as admin:
            assert admin.delete(f"/v1/api-keys/{key['id']}").status_code == 204
            assert gateway.post("/v1/events", json=EVENT).status_code == 401
            world.wait(lambda: rating.get("/v1/ledger").status_code == 401, timeout=5)
            assert admin.delete(f"/v1/api-keys/{key['id']}").status_code == 404
            (listed,) = admin.get("/v1/api-keys").json()["items"]
    assert (listed["id"], listed["name"], listed["revoked_by"]) == (key["id"], "backend", "admin")
    assert listed["revoked_at"] is not None


def test_a_key_is_told_once_and_stands_in_no_list_log_or_topic(stack: Stack, world: World) -> None:
    key = made(world, "admin")
    secret = key["key"].rpartition(".")[2]
    with bearer(world, key["key"], "gateway") as client:
        page = client.get("/v1/api-keys", params={"limit": 1})
        assert page.status_code == 200
        assert [item["id"] for item in page.json()["items"]] == [key["id"]]
        assert secret not in page.text
        assert "hash" not in page.text
        assert client.post("/v1/events", content=b"{").status_code == 400
        assert client.get("/v1/namespaces").json()["items"][0]["code"] == world.namespace
        assert len(client.get("/v1/namespaces").json()["items"]) == 1
        assert client.get("/v1/namespaces/default").status_code == 403
        assert client.post("/v1/namespaces", json={"code": "mine-too"}).status_code == 403
    entry = read_catalog(world.settings).view(world.namespace).get("api_key", key["id"])
    assert entry is not None
    assert secret not in json.dumps(entry.body)
    for log in Path(stack.data_dir, "logs").glob("*"):
        assert secret not in log.read_text(errors="replace"), log.name
