"""A customer's portal: the token that opens one account, by a key that may read."""

from __future__ import annotations

from typing import Any

import httpx

from rating.api.portal.customer_view import of_customer
from rating.api.portal.portal_token import PortalGrant, portal_token
from tests.integration.rating.getting import Get
from tests.integration.rating.road import KEY


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
    assert "set-cookie" not in page.headers
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert (seen["metrics"][0]["metric"], seen["metrics"][0]["dimensions"]) == ("calls.seconds", ["way"])
    usage = {"metric": "calls.seconds", "from": "2013-01", "group_by": "way"}
    listed_usage = service.get("/v1/portal/usage", params=usage, headers=bearer).json()
    assert listed_usage == get("/v1/usage", account_id="acme/ü", **_named(usage))
    csv = service.get("/v1/portal/usage", params=usage | {"format": "csv"}, headers=bearer).text
    assert csv == get("/v1/usage", account_id="acme/ü", format="csv", **_named(usage))
    asked = _token(made) | {"metric": "calls.seconds", "from": "2013-01", "split": "way"}
    shown = service.get("/portal/usage", params=asked, headers=_NOBODY)
    assert (shown.status_code, [text for text in (">out<", "10 s", "13.5") if text not in shown.text]) == (200, [])
    assert service.get("/portal/usage.csv", params=_token(made) | usage, headers=_NOBODY).text == csv


def portal_leads_from_an_invoice_to_its_events(
    service: httpx.Client, get: Get, made: dict[str, Any], bearer: dict[str, str]
) -> None:
    """As JSON and as pages: the invoice, its PDF, a line, the events, all of a month as CSV."""
    head = get("/v1/invoices", account_id="acme/ü")["invoices"][0]
    path = f"invoices/{head['invoice_id']}"
    assert service.get("/v1/portal/invoices", headers=bearer).json()["invoices"] == [of_customer(head)]
    whole = service.get(f"/v1/portal/{path}", headers=bearer).json()
    assert (whole["invoice"], len(whole["lines"])) == (of_customer(head), len(get(f"/v1/{path}")["lines"]))
    pdf = service.get(f"/v1/portal/{path}.pdf", headers=bearer).content
    assert pdf.startswith(b"%PDF-")
    assert service.get(f"/portal/{path}.pdf", params=_token(made), headers=_NOBODY).content == pdf
    assert "8.38 USD" in service.get(f"/portal/{path}", params=_token(made), headers=_NOBODY).text
    number = next(line["number"] for line in whole["lines"] if line["profile"] == "calls.seconds")
    line = service.get(f"/v1/portal/{path}/lines/{number}/explain", headers=bearer).json()
    assert (line["quantity"]["billed"], line["event_names"]) == ("13.5", ["call"])
    events = service.get(f"/v1/portal/{path}/lines/{number}/explain/events", headers=bearer).json()["events"]
    of_seller = get(f"/v1/{path}/lines/{number}/explain/events")["events"]
    assert [event["idempotency_key"] for event in events] == [event["idempotency_key"] for event in of_seller]
    page = service.get(f"/portal/{path}/lines/{number}", params=_token(made), headers=_NOBODY).text
    assert all(event["idempotency_key"] in page for event in events)
    first = service.get("/v1/portal/events", params={"from": "2013-01", "limit": 1}, headers=bearer).json()
    rest = {"from": "2013-01", "cursor": first["next_cursor"]}
    everything = first["events"] + service.get("/v1/portal/events", params=rest, headers=bearer).json()["events"]
    assert {event["idempotency_key"] for event in events} <= {event["idempotency_key"] for event in everything}
    csv = service.get("/portal/events.csv", params=_token(made) | {"from": "2013-01"}, headers=_NOBODY).text
    assert [row.split(",")[2] for row in csv.splitlines()[1:]] == [event["idempotency_key"] for event in everything]
    assert service.get("/v1/portal/events", params={"cursor": "x"}, headers=bearer).status_code == 422


def portal_of_another_sees_nothing_of_it(
    service: httpx.Client, get: Get, key: dict[str, str], bearer: dict[str, str]
) -> None:
    """A token of ``other`` beside invoices and events of acme/ü, and metrics that nobody bills it by."""
    other = portal_token(KEY, PortalGrant(key["Weir-Namespace"], "other", "", 1 << 60))
    headers = bearer | {"Authorization": f"Bearer {other}"}
    path = f"invoices/{get('/v1/invoices', account_id='acme/ü')['invoices'][0]['invoice_id']}"
    for part in (path, f"{path}.pdf", f"{path}/lines/1/explain", f"{path}/lines/1/explain/events"):
        assert service.get(f"/v1/portal/{part}", headers=headers).status_code == 404, part
    for part in (path, f"{path}.pdf", f"{path}/lines/1"):
        assert service.get(f"/portal/{part}", params={"token": other}, headers=_NOBODY).status_code == 404, part
    assert service.get("/v1/portal/invoices", headers=headers).json()["invoices"] == []
    month = {"from": "2013-01"}
    theirs = service.get("/v1/portal/events", params=month, headers=bearer).json()["events"]
    others = service.get("/v1/portal/events", params=month, headers=headers).json()["events"]
    assert theirs
    assert others
    assert not {event["idempotency_key"] for event in theirs} & {event["idempotency_key"] for event in others}
    for unknown in ("calls.longest", "nothing"):
        refused = service.get("/v1/portal/usage", params={"metric": unknown}, headers=bearer)
        assert (refused.status_code, "calls.longest;" in refused.text) == (404, False)
        assert "they are: calls.seconds" in refused.json()["detail"]


_NOBODY = {"Authorization": ""}


def _token(made: dict[str, Any]) -> dict[str, str]:
    return {"token": made["token"]}


def _named(usage: dict[str, str]) -> dict[str, str]:
    return {"from_" if name == "from" else name: value for name, value in usage.items()}


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
