"""No namespace sees, counts or changes what is another's: every endpoint of both OpenAPI documents, every query of
rating.

A new endpoint is tested as soon as it is in its service's document; a parameter of a new name has to be told to
isolationkit.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.client import Client as ClickHouse
from clickhouse_connect.driver.httpclient import HttpClient

from rating.app import build_app
from rating.verify.verification import verify
from schemas.http.scopes import Service
from schemas.settings import Settings
from tests.integration.tenants import Operation, Tenant, in_table, operations, settle
from tests.integration.world import World

pytestmark = pytest.mark.integration

# usage_identities has no namespace to bind: its identities are hashes that begin with it.
TABLES = (
    "usage_batches",
    "usage_events",
    "usage_records",
    "usage_windows",
    "usage_window_folds",
    "usage_voids",
    "voided_events",
    "duplicate_events",
    "rejected_events",
    "invoices",
    "invoice_lines",
    "invoice_lists",
    "invoice_numbers",
    "catalog_entries",
    "profile_versions",
    "usage_alerts",
    "webhook_deliveries",
    "webhook_replays",
    "invoice_drafts",
    "invoice_draft_lines",
    "credit_note_numbers",
)
WHOLE = {
    "sum(sipHash64(hex(identity)": "`weir verify` compares a count and a hash of all "
    "events with those of usage_identities",
    "FROM usage_batches WHERE generation = {g:UInt32}": "… and which offsets of a partition are not there",
    "HAVING accepted_ != counted_": "what a close and `weir verify` count by offset tells positions "
    "and numbers of rows, and no tenant's name",
}
SERVICES: tuple[Service, ...] = ("gateway", "rating")


@dataclass
class Two:
    """What ``ann`` was answered before ``bob`` had anything, and both as they stand."""

    ann: Tenant
    bob: Tenant
    before: dict[Operation, Any]
    all: list[Operation] = field(default_factory=list)


def answers(tenant: Tenant, asked: list[Operation]) -> dict[Operation, Any]:
    """What the tenant's own key is answered by every GET."""
    found: dict[Operation, Any] = {}
    for service in SERVICES:
        with tenant.client(service) as client:
            for operation in asked:
                if operation.service == service and operation.method == "GET" and not operation.is_open:
                    answer = client.get(operation.url(tenant))
                    # Some say the moment of the question, or how many checkpoints all have cut and how far the log is
                    # that all share, which is nobody's secret.
                    text = re.sub(r'"at": ?"[^"]*"', '"at": …', answer.text)
                    text = re.sub(r'"positions": ?\[[^]]*\]', '"positions": …', text)
                    text = re.sub(r'("as_of": ?{"at": …, ?(?:"positions": …, ?)?"checkpoint": ?)\d+', r"\1…", text)
                    found[operation] = (answer.status_code, re.sub(r'"last_checkpoint": ?\d+', "…", text))
    return found


@pytest.fixture(scope="module")
def two(settings: Settings, wait_until: Any) -> Two:
    worlds = [World(settings, f"iso-{name}-{uuid.uuid4().hex[:8]}", wait_until) for name in ("ann", "bob")]
    documents = {}
    for service in SERVICES:
        with worlds[0].http(service) as client:
            documents[service] = client.get("/openapi.json").json()
    every = [operation for service in SERVICES for operation in operations(service, documents[service])]
    ann = settle(worlds[0], "Annmarker", "3")
    before = answers(ann, every)
    bob = settle(worlds[1], "Bobmarker", "7")
    return Two(ann, bob, before, every)


def test_every_endpoint_of_both_documents_is_tested_here_and_has_scopes(two: Two) -> None:
    assert [f"{one.method} {one.path}" for one in two.all if not in_table(one)] == []
    assert {one.service for one in two.before} == set(SERVICES)
    assert len(two.before) >= 20
    broken = {f"{one.method} {one.path}": answer for one, answer in two.before.items() if answer[0] >= 500}
    assert broken == {}


def test_what_another_namespace_does_changes_no_answer(two: Two) -> None:
    for operation, answer in answers(two.ann, two.all).items():
        assert answer == two.before[operation], operation
        assert two.bob.marker not in answer[1], operation
    told = [operation for operation, (status, text) in two.before.items() if two.ann.marker in text and status == 200]
    assert len(told) >= 10, "the markers show in what the answers say, so a leak would show too"


def test_the_same_keys_are_other_events_in_another_namespace(two: Two) -> None:
    for tenant, quantity in ((two.ann, "60"), (two.bob, "140")):
        with tenant.client("rating") as client:
            usage = client.get("/v1/usage", params={"metric": "m.sum", "from": "2026-05"}).json()
            books = client.get("/v1/ledger").json()
        assert usage["total"] == {"quantity": quantity, "events": 20}
        assert (books["metered"], books["duplicates"], books["conflicts"]) == (20, 0, 0)


def test_a_key_with_the_header_of_another_namespace_is_refused_by_every_endpoint(two: Two) -> None:
    for service in SERVICES:
        with two.ann.client(service, **{"weir-namespace": two.bob.world.namespace}) as client:
            for operation in two.all:
                if operation.service == service and not operation.is_open:
                    answer = client.request(operation.method, operation.url(two.bob))
                    assert answer.status_code == (401 if operation.by_token else 403), (operation, answer.text)


def test_without_a_key_every_endpoint_says_so(two: Two) -> None:
    for service in SERVICES:
        with two.ann.world.http(service, headers={}) as client:
            for operation in two.all:
                if operation.service == service and not operation.is_open:
                    answer = client.request(operation.method, operation.url(two.ann))
                    assert answer.status_code == 401, (operation, answer.text)


def test_the_names_of_anothers_things_lead_nowhere(two: Two) -> None:
    """Things whose names are made by Weir (keys, invoices), and the namespace itself, asked for with the wrong key, and
    with the portal token of a customer of the wrong namespace whose account has the same name."""
    asked = 0
    with two.ann.client("rating") as client:
        token = client.post("/v1/portal-tokens", json={"account_id": "acme"}).json()["token"]
    for operation in two.all:
        path = operation.url(two.bob)
        if not any(name in path for name in (two.bob.invoice, two.bob.key_id, two.bob.world.namespace)):
            continue
        asked += 1
        with two.ann.client(operation.service) as client:
            bearer = {"authorization": f"Bearer {token}"} if operation.by_token else {}
            answer = client.request(operation.method, path, content=b"{}", headers=bearer)
            assert answer.status_code in (403, 404, 405, 422), (operation, answer.text)
            assert two.bob.marker not in answer.text, operation
    assert asked >= 5
    with two.bob.client("gateway") as client:
        assert client.get("/v1/api-keys").json()["items"][0]["revoked_at"] is None


def test_changes_go_to_the_keys_own_namespace_alone(two: Two) -> None:
    catalog = [one for one in two.all if one.service == "gateway" and one.method == "GET"]
    before = answers(two.bob, catalog)
    with two.ann.client("gateway") as client:
        foreign = {"namespace": {"code": two.bob.world.namespace, "name": "stolen"}, "accounts": [{"code": "acme"}]}
        assert client.post("/v1/catalog/apply", json=foreign).status_code == 403
        assert client.post("/v1/catalog/apply", json={**foreign, "prune": True}).status_code == 403
        assert client.post("/v1/namespaces", json={"code": two.bob.world.namespace}).status_code == 403
        url = f"/v1/namespaces/{two.bob.world.namespace}"
        body = {"code": two.bob.world.namespace, "name": "stolen"}
        assert client.put(url, json=body, headers={"if-match": "*"}).status_code == 403
        assert client.post("/v1/features", json={"code": "own"}).status_code == 201
        assert client.delete("/v1/features/own").status_code == 204
        assert client.delete(f"/v1/api-keys/{two.bob.key_id}").status_code == 404
    assert answers(two.bob, catalog) == before


def test_every_query_of_the_rating_service_binds_the_namespace(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read of a tenants' table stands beside ``namespace = {…}`` whose value is the namespace that was asked
    for."""
    seen: list[tuple[str, dict[str, Any]]] = []
    for name in [name for name in vars(ClickHouse) if name.startswith("query") and callable(getattr(ClickHouse, name))]:
        real = getattr(HttpClient, name)

        def recorded(self: Any, query: Any = None, *args: Any, _real: Any = real, **more: Any) -> Any:
            if isinstance(query, str):
                seen.append((query, dict(more.get("parameters") or {})))
            return _real(self, query, *args, **more)

        monkeypatch.setattr(HttpClient, name, recorded)

    async def every_endpoint() -> None:
        app = build_app(two.ann.world.settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            headers = {"authorization": f"Bearer {two.ann.key}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://weir", headers=headers) as client:
                for operation in two.all:
                    if operation.service == "rating" and not operation.is_open:
                        await client.request(operation.method, operation.url(two.ann))

    asyncio.run(every_endpoint())
    verify(two.ann.world.settings, namespace=two.ann.world.namespace)
    two.ann.world.close("2026-06-02T00:00:00+00:00")
    two.ann.world.invoices()
    reads = [(sql, parameters) for sql, parameters in seen if re.search(rf"\b({'|'.join(TABLES)})\b", sql)]
    assert len(reads) >= 20
    loose = [sql for sql, parameters in reads if not bound(sql, parameters, two.ann.world.namespace)]
    loose = [sql for sql in loose if not any(part in sql for part in WHOLE)]
    assert loose == []


def bound(sql: str, parameters: dict[str, Any], namespace: str) -> bool:
    """Whether there are at least as many bindings of the namespace as reads of tenants' tables."""
    own = [name for name, value in parameters.items() if value == namespace or value == [namespace]]
    bindings = sum(len(re.findall(rf"namespace\s*(?:=|IN)\s*\(?\{{{name}:", sql)) for name in own)
    return bindings >= len(re.findall(rf"(?:FROM|JOIN)\s+(?:{'|'.join(TABLES)})\b", sql))


def test_the_check_of_queries_finds_a_loose_one() -> None:
    loose = "SELECT 1 FROM invoices WHERE namespace = {n:String} UNION ALL SELECT 1 FROM usage_events"
    assert not bound(loose, {"n": "a"}, "a")
    assert not bound("SELECT 1 FROM invoices WHERE namespace = {n:String}", {"n": "b"}, "a")
    assert bound(json.loads('"SELECT 1 FROM invoices WHERE namespace = {n:String}"'), {"n": "a"}, "a")
