"""/docs of both services loads nothing from elsewhere, and nothing but the very bytes that are named."""

from __future__ import annotations

import re

import pytest

from schemas.http.api_docs import ASSETS, content, digest
from schemas.http.scopes import Service
from tests.unit.deploy.test_parameters import application, ask


def test_the_files_are_those_that_were_published() -> None:
    for asset in ASSETS:
        assert asset.sha384 in ("", digest(content(asset.name))), f"{asset.name}: {digest(content(asset.name))}"
    assert [asset.name for asset in ASSETS if not asset.sha384] == ["start.js"]


@pytest.mark.parametrize("service", ["gateway", "rating"])
def test_the_page_and_all_that_it_loads_come_from_the_service(service: Service) -> None:
    result, _ = application(service)
    response = ask(result, "get", "/docs")
    assert response.status_code == 200
    assert "http" not in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)" integrity="sha384-([^"]+)"', response.text)
    assert [path for path, _ in loaded] == [f"/docs/{asset.name}" for asset in ASSETS]
    assert response.text.count("<script") == 2  # none of them inline
    for path, integrity in loaded:
        item = ask(result, "get", path)
        assert (item.status_code, digest(item.content)) == (200, integrity)
        assert item.headers["x-content-type-options"] == "nosniff"
    assert ask(result, "get", "/docs/other.js").status_code == 404
    assert ask(result, "get", "/docs/..%2F__init__.py").status_code == 404
    assert ask(result, "get", "/openapi.json").json()["openapi"].startswith("3.")
