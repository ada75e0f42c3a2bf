"""A customer's portal: the token that opens one account, by a key that may read."""

from __future__ import annotations

from typing import Any

import httpx

from rating.api.portal.portal_answer import of_customer
from tests.integration.rating.getting import Get


def made_token(service: httpx.Client, key: dict[str, str]) -> dict[str, Any]:
    """The answer with a token of acme/ü and the address of its page. ``key``: headers of the key and its namespace."""
    assert service.post("/v1/portal-tokens", json={"account_id": "nobody"}, headers=key).status_code == 404
    assert (
        service.post("/v1/portal-tokens", json={"account_id": "other", "expires_in": 5}, headers=key).status_code == 422
    )
    made = service.post("/v1/portal-tokens", json={"account_id": "acme/ü"}, headers=key)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    return dict(made.json())


def portal_shows_the_account(service: httpx.Client, get: Get, made: dict[str, Any], bearer: dict[str, str]) -> None:
    """As the API says, and as a page that leads nowhere else. ``bearer``: headers of the token."""
    seen = service.get("/v1/portal", headers=bearer).json()
    assert (seen["account_id"], seen["time_zone"], seen["incomplete"]) == ("acme/ü", "Asia/Kathmandu", False)
    listed = get("/v1/invoices", account_id="acme/ü")["invoices"]
    assert seen["invoices"] == [of_customer(head) for head in listed]
    page = service.get(made["url"], headers={"Authorization": ""})
    assert page.status_code == 200
    assert listed[0]["number"] in page.text
    assert "<a " not in page.text
    assert "set-cookie" not in page.headers


def token_opens_nothing_else(
    service: httpx.Client, namespace: str, key: str, made: dict[str, Any], bearer: dict[str, str]
) -> None:
    """Neither the API, nor is ``key`` (its text) or a damaged token taken for the token."""
    for path in ("/v1/invoices", "/v1/accounts/acme%2F%C3%BC/balance", "/v1/usage"):
        assert service.get(path, headers=bearer | {"Weir-Namespace": namespace}).status_code == 401
    for wrong in (
        "",
        "Bearer",
        f"Bearer {key}",
        f"Bearer {made['token'][:-1]}",
        "Bearer weirp_.",
        "Bearer weirp_",
    ):
        assert service.get("/v1/portal", headers={"Authorization": wrong}).status_code == 401
    assert service.get("/portal", params={"token": "x"}, headers={"Authorization": ""}).status_code == 401
