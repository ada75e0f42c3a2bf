"""Who may set a namespace's bounds, and where those of keys and documents hold: at the service behind every door of the
catalog."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.catalog.catalog_problems import Caller
from ingest.catalog.catalog_service import CatalogService
from ingest.http.gateway_problems import Problem
from schemas.catalog.keys import ApiKey
from schemas.http.api_keys import ALL_SCOPES, KIND, Access
from tests.unit.ingest.catalog.test_catalog_service import Shared, catalog, service

__all__ = ["catalog", "service"]  # fixtures

OPERATOR = Caller("default", Access(None, ALL_SCOPES, "admin"))
OWNER = Caller("default", Access("default", frozenset({"admin"}), "owner (key_1)", "key_1"))


def apply(service: CatalogService, document: dict[str, Any], caller: Caller = OPERATOR) -> None:
    service.apply(json.dumps(document).encode(), caller, json_only=True, dry_run=False)


def refused(call: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        call()
    return raised.value


def set_bounds(service: CatalogService, **bounds: int) -> None:
    apply(service, {"namespace": {"code": "default", "bounds": bounds}})


@pytest.mark.parametrize("bounds", [{"profiles": 10**6}, {"events_per_second": 10**9}, {}, {"profiles": 1}])
def test_a_namespaces_own_admin_sets_no_bounds_by_any_door(
    service: CatalogService, catalog: Shared, bounds: dict[str, int]
) -> None:
    set_bounds(service, profiles=5, events_per_second=10)
    stored = catalog.view("default").settings.bounds
    body = {"code": "default", "bounds": bounds}
    problems = [
        refused(lambda: apply(service, {"namespace": body}, OWNER)),
        refused(lambda: service.replace("namespace", "default", body, OWNER, '"1"')),
    ]
    assert {(problem.status, problem.members.get("path")) for problem in problems} == {(403, "$.namespace.bounds")}
    assert refused(lambda: service.create("namespace", body, OWNER)).status == 409
    assert refused(lambda: service.retire("namespace", "default", OWNER, None)).status == 405
    assert refused(lambda: service.create("namespace", {"code": "second", "bounds": bounds}, OWNER)).status == 403
    service.replace("namespace", "default", {"code": "default", "name": "without bounds"}, OWNER, '"1"')
    apply(service, {"namespace": {"code": "default", "name": "again"}}, OWNER)
    assert catalog.view("default").settings.bounds == stored


def test_keys_beyond_their_bound_are_refused_until_some_are_revoked(service: CatalogService) -> None:
    set_bounds(service, api_keys=2)
    for number in range(2):
        service.add(KIND, ApiKey(code=f"key_{number}", hash="ab" * 32, scopes=("read",)), OWNER)
    third = ApiKey(code="key_2", hash="ab" * 32, scopes=("read",))
    problem = refused(lambda: service.add(KIND, third, OWNER))
    assert (problem.status, problem.reason) == (422, "bound")
    assert "the operator, who alone can raise it" in problem.detail
    service.retire(KIND, "key_0", OWNER, None)
    service.add(KIND, third, OWNER)


def test_a_document_is_counted_with_its_aliases_against_the_namespaces_own_bound(service: CatalogService) -> None:
    set_bounds(service, document_nodes=40)
    text = "x: &x [1, 2, 3, 4, 5, 6, 7, 8, 9]\nfeatures: [{code: a}]\ny: [*x, *x, *x]\n"
    problem = refused(lambda: service.apply(text.encode(), OWNER, json_only=False, dry_run=False))
    assert problem.status == 422
    assert "more than 40 nodes" in problem.detail
    apply(service, {"features": [{"code": "a"}]}, OWNER)
