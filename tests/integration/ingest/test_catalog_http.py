"""The catalog by HTTP: apply is idempotent, versions are claimed once, and what is answered is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ingest.catalog.catalog_publisher import CatalogPublisher, LostClaims
from ingest.catalog.document import load_document
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import read_document
from schemas.catalog.follower import CatalogFollower, read_catalog
from schemas.kafka.topics import inbox_topic, partition_count
from schemas.settings import Settings
from tests.integration.ingest.gateway_process import GatewayProcess, packed

pytestmark = pytest.mark.integration

DOCUMENT = """
meters: [{code: calls, profiles: [{code: n, aggregation: count}]}]
products: [{code: call, profile: calls}]
plans: [{code: pro, currency: USD, charges: [{product: call, price: {model: per_unit, unit_amount: 0.10}}]}]
accounts: [{code: a, time_zone: America/New_York}]
subscriptions: [{code: s, account: a, plan: pro, start: 2013-03-10}]
"""


def apply(gateway: httpx.Client, text: str, **parameters: Any) -> httpx.Response:
    return gateway.post(
        "/v1/catalog/apply", content=text, params=parameters, headers={"Content-Type": "application/yaml"}
    )


def test_apply_twice_is_unchanged_and_a_dry_run_changes_nothing(gateway: httpx.Client) -> None:
    dry = apply(gateway, DOCUMENT, dry_run="true")
    assert (dry.status_code, len(dry.json()["created"])) == (200, 5)
    assert gateway.get("/v1/meters").json() == {"items": [], "next_cursor": None}
    first = apply(gateway, DOCUMENT)
    assert (first.status_code, len(first.json()["created"])) == (201, 5)
    second = apply(gateway, DOCUMENT)
    assert second.status_code == 200
    assert (second.json()["created"], second.json()["changed"], len(second.json()["unchanged"])) == ([], [], 5)
    subscription = gateway.get("/v1/subscriptions/s").json()
    assert (subscription["plan_version"], subscription["start"]) == (1, "2013-03-10T05:00:00Z")


def test_json_is_taken_as_well_as_yaml(gateway: httpx.Client) -> None:
    assert gateway.post("/v1/catalog/apply", json=yaml.safe_load("accounts: [{code: a}]")).status_code == 201
    bad = gateway.post("/v1/catalog/apply", content=b"accounts: []", headers={"Content-Type": "application/json"})
    assert (bad.status_code, bad.json()["reason"]) == (400, "malformed")


def test_faults_come_all_at_once_with_their_paths(gateway: httpx.Client) -> None:
    answer = apply(gateway, DOCUMENT.replace("unit_amount: 0.10", "unit_amout: 1").replace("New_York", "Old_York"))
    problem = answer.json()
    assert answer.status_code == 422
    paths = [error["path"] for error in problem["errors"]]
    assert "$.plans[0].charges[0].price.unit_amout" in paths
    assert "$.accounts[0].time_zone" in paths


def test_an_event_after_the_answer_is_under_the_new_catalog(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client
) -> None:
    for number in range(1, 6):
        assert apply(gateway, f"meters: [{{code: m{number}, profiles: [{{code: n, aggregation: count}}]}}]").is_success
        event = {"event_name": "e", "account_id": "a", "idempotency_key": str(number)}
        assert gateway.post("/v1/events", json=event).status_code == 202
    catalog = read_catalog(kafka_settings)
    for _, batch in packed(kafka_settings, namespace):
        for key in batch.idempotency_keys:
            assert catalog.view(namespace, batch.catalog_offset).get("meter", f"m{key}") is not None


def test_two_writers_of_one_version_one_loses(kafka_settings: Settings, namespace: str) -> None:
    follower = CatalogFollower(kafka_settings).start()
    try:
        plans = [
            plan_document(
                follower.catalog.view(namespace),
                read_document(load_document(f"accounts: [{{code: a, name: {name}}}]".encode()), namespace),
            )
            for name in ("one", "two")
        ]
        writers = [CatalogPublisher(kafka_settings, follower, lambda name=name: name) for name in ("1", "2")]
        writers[0].publish(plans[0], "test")
        with pytest.raises(LostClaims, match="account a version 1"):
            writers[1].publish(plans[1], "test")
        entry = follower.catalog.view(namespace).get("account", "a")
        assert entry is not None
        assert (entry.version, entry.body["name"]) == (1, "one")
    finally:
        follower.stop()


def test_a_second_gateway_sees_what_the_first_has_answered(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client, tmp_path: Path, wait_until: Any
) -> None:
    with GatewayProcess(kafka_settings, tmp_path / "gateway.log") as other:
        headers = {"Authorization": gateway.headers["Authorization"], "Weir-Namespace": namespace}
        assert apply(gateway, DOCUMENT).status_code == 201
        with httpx.Client(base_url=other.url, headers=headers, timeout=30) as second:
            wait_until(lambda: second.get("/v1/subscriptions/s").status_code == 200, timeout=10)
            assert apply(second, DOCUMENT).status_code == 200


def test_a_resource_from_creation_to_retirement(gateway: httpx.Client) -> None:
    created = gateway.post("/v1/accounts", json={"code": "a", "name": "A"})
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    again = gateway.post("/v1/accounts", json={"code": "a"})
    assert (again.status_code, again.json()["reason"]) == (409, "exists")
    changed = {**created.json(), "name": "B"}
    assert gateway.put("/v1/accounts/a", json=changed).status_code == 428
    put = gateway.put("/v1/accounts/a", json=changed, headers={"If-Match": '"1"'})
    assert (put.status_code, put.headers["etag"], put.json()["name"]) == (200, '"2"', "B")
    assert gateway.put("/v1/accounts/a", json=changed, headers={"If-Match": '"1"'}).status_code == 412
    assert gateway.put("/v1/accounts/b", json={"code": "b"}, headers={"If-Match": "*"}).status_code == 404
    versions = gateway.get("/v1/accounts/a", params={"history": "true"}).json()["items"]
    assert [(entry["version"], entry["name"]) for entry in versions] == [(1, "A"), (2, "B")]
    assert gateway.delete("/v1/accounts/a").status_code == 204
    assert gateway.get("/v1/accounts/a").status_code == 404
    assert gateway.post("/v1/accounts", json={"code": "a"}).headers["etag"] == '"4"'


def test_what_is_in_use_is_not_retired(gateway: httpx.Client) -> None:
    assert apply(gateway, DOCUMENT).status_code == 201
    answer = gateway.delete("/v1/accounts/a")
    assert (answer.status_code, answer.json()["reason"]) == (409, "in_use")
    assert "subscription s" in answer.json()["detail"]
    assert gateway.get("/v1/accounts/a").status_code == 200


def test_lists_are_paged_by_cursor(gateway: httpx.Client) -> None:
    codes = [f"a{number:02}" for number in range(25)]
    assert gateway.post("/v1/catalog/apply", json={"accounts": [{"code": code} for code in codes]}).status_code == 201
    found: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        page = gateway.get("/v1/accounts", params={"limit": 10, "cursor": cursor}).json()
        found += [entry["code"] for entry in page["items"]]
        cursor = page["next_cursor"]
        pages += 1
    assert (found, pages) == (codes, 3)
    assert gateway.get("/v1/accounts", params={"cursor": "%"}).status_code == 422


def test_a_namespace_has_an_inbox_once_it_asks_for_one(
    kafka_settings: Settings, namespace: str, gateway: httpx.Client
) -> None:
    code = f"{namespace}-new"
    assert gateway.post("/v1/namespaces", json={"code": code, "sandbox": True}).status_code == 201
    with pytest.raises(LookupError):
        partition_count(kafka_settings, inbox_topic(code))
    assert not gateway.get(f"/v1/namespaces/{code}").json().get("inbox")
    asking = {"code": code, "sandbox": True, "inbox": True}
    assert gateway.put(f"/v1/namespaces/{code}", json=asking, headers={"If-Match": '"1"'}).is_success
    assert partition_count(kafka_settings, inbox_topic(code)) > 0
    assert gateway.get(f"/v1/namespaces/{code}").json()["sandbox"] is True
    assert code in [entry["code"] for entry in gateway.get("/v1/namespaces", params={"limit": 1000}).json()["items"]]
    assert gateway.delete(f"/v1/namespaces/{code}").status_code == 405
