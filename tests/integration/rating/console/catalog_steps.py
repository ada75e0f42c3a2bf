"""A catalog made by the console's forms alone, as the gateway's API has it afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from tests.integration.conftest import Waiting


def form_token(page: str) -> str:
    """The token that a form of the page sends."""
    return page.split('name="token" value="', 1)[1].partition('"')[0]


@dataclass(frozen=True, slots=True)
class CatalogForms:
    """The forms of the catalog in a browser that is logged in. Those of charges are plan clicked's."""

    browser: httpx.Client

    def submit(self, place: str, status: int, **fields: str) -> str:
        """Send the form of ``place`` (as metrics) with its token; the page that answers, after its redirection."""
        page = self.browser.get(f"/catalog/{place}/form", params={"plan": "clicked"} if place == "charges" else {})
        answer = self.browser.post(f"/catalog/{place}/form", data={"token": form_token(page.text)} | fields)
        assert answer.status_code == status, answer.text
        return self.browser.get(answer.headers["location"]).text if status == 303 else answer.text

    def save(self, place: str, **fields: str) -> str:
        """The page after the form has saved."""
        return self.submit(place, 303, do="save", **fields)


def metric_is_tried_and_saved(forms: CatalogForms, gateway: httpx.Client, wait_until: Waiting) -> None:
    """Words of the namespace's events, with a filter, which the form tries on them before it saves."""
    metric = {"code": "words", "name": "Words <b>", "profiles.0.code": "total", "profiles.0.aggregation": "sum"}
    assert "needs a property" in forms.submit("metrics", 422, **metric)
    filtered = {"profiles.0.filters.0.property": "to.country", "profiles.0.filters.0.operator": "in",
                "profiles.0.filters.0.value": "DE, 7"}  # fmt: skip
    measured = metric | filtered | {"profiles.0.property": "words"}
    events = [
        {
            "event_name": "words",
            "account_id": "clara",
            "properties": {"words": value, "to": {"country": country}},
        }
        for value, country in ((5, "DE"), (6, "FR"), ("many", "DE"))
    ]
    assert gateway.post("/v1/events/batch", json={"events": events}).status_code == 202
    wait_until(lambda: "Of 3 events words" in forms.submit("metrics", 200, do="try", **measured))
    counted = '<td class="number">1</td><td class="number">1</td><td>1 '  # one by no filter, one for its value
    assert counted in forms.submit("metrics", 200, do="try", **measured)
    assert "needs a property" in forms.submit("metrics", 200, do="try", **metric)
    page = forms.save("metrics", **measured)
    assert "Words &lt;b&gt;" in page
    assert "Create a product of words.total" in page
    assert gateway.get("/v1/meters/words").json()["profiles"][0]["filters"][0]["value"] == ["DE", 7]


def plan_is_priced(forms: CatalogForms, author: str) -> str:
    """A product of words and plan clicked with its price, which is published by ``author`` once; the token that the
    session's forms send."""
    forms.save("products", code="words", kind="metered", profile="words.total")
    page = forms.save("plans", code="clicked", currency="USD", interval="month")
    assert "it bills nothing" in page
    price = {"product": "words", "prorated": "on", "price.model": "tiered", "price.tiers.0.up_to": "10",
             "price.tiers.0.unit_amount": "0.5", "price.tiers.1.unit_amount": "x"}  # fmt: skip
    plan = {"~code": "clicked", "~version": "1"} | price
    wrong = forms.submit("charges", 422, do="save", **plan)
    assert 'aria-describedby="d-price.tiers.1.unit_amount" aria-invalid="true"' in wrong
    plan["price.tiers.1.unit_amount"] = "0.1"
    assert "6 USD" in forms.submit("charges", 200, do="price", **plan, **{"try.quantity": "20"}).replace(".00", "")
    assert "plan clicked will be changed, as version 2" in forms.submit("charges", 200, do="check", **plan)
    assert "2 tiers" in forms.save("charges", **plan)
    again = forms.submit("charges", 412, do="save", **plan)
    assert f"{author} has published version 2 meanwhile" in again
    assert 'name="~version" value="2"' in again
    return form_token(wrong)


def customer_subscribes(forms: CatalogForms, gateway: httpx.Client, author: str) -> None:
    """Clara in Berlin, to plan clicked, in the name of ``author``."""
    forms.save("accounts", code="clara", name="Clara", time_zone="Europe/Berlin")
    forms.save("subscriptions", code="clara-clicked", account="clara", plan="clicked", start="2026-01-01")
    held = gateway.get("/v1/subscriptions/clara-clicked").json()
    assert (held["plan_version"], held["start"]) == (2, "2025-12-31T23:00:00Z")
    audited = gateway.get("/v1/catalog/audit", params={"kind": "subscription", "code": "clara-clicked"}).json()
    assert audited["items"][0]["author"] == author
    assert "clara-clicked" in forms.browser.get("/accounts/clara").text


def subscription_is_retired(forms: CatalogForms, gateway: httpx.Client, token: str) -> None:
    """Before it its plan cannot be, and with another token than the session's nothing can."""
    retired = {"~code": "clara-clicked", "~version": "1"}
    refused = forms.browser.post("/catalog/plans/retire", data={"token": token, "~code": "clicked", "~version": "2"})
    assert (refused.status_code, "clara-clicked" in refused.text) == (409, True)
    assert forms.browser.post("/catalog/subscriptions/retire", data={"token": token} | retired).status_code == 303
    assert gateway.get("/v1/subscriptions/clara-clicked").status_code == 404
    assert forms.browser.post("/catalog/plans/form", data={"code": "x", "token": "other"}).status_code == 403
