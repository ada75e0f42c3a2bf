"""The console's usage report beside the API's answer to the same question."""

from __future__ import annotations

import io
from decimal import Decimal

import httpx
import pyarrow.parquet as pq

from tests.integration.rating.console.catalog_steps import form_token
from tests.integration.rating.getting import Get


def reports_say_what_the_api_says(browser: httpx.Client, service: httpx.Client, namespace: str, get: Get) -> None:
    """As a page, as CSV and as Parquet, byte for byte; wrong questions are answered in words."""
    opened = browser.get("/reports/usage")
    assert (opened.status_code, "group_by=day" in opened.headers["location"]) == (303, True)
    assert browser.get(opened.headers["location"]).status_code == 200
    question = {
        "metric": "calls.seconds",
        "from": "2013-01-01",
        "to": "2013-02-01",
        "group_by": ["account", "way", "day"],
    }
    page = browser.get("/reports/usage", params=question).text
    whole = get("/v1/usage", **{name.replace("from", "from_"): of for name, of in question.items()})
    assert f"<b>{whole['total']['quantity']} s</b>" in page
    header = {"Weir-Namespace": namespace}
    for form in ("csv", "parquet"):
        document = browser.get(f"/reports/usage.{form}", params=question).content
        assert document == service.get("/v1/usage", params=question | {"format": form}, headers=header).content
        if form == "parquet":
            rows = pq.read_table(io.BytesIO(document)).to_pylist()
            assert [(row["account_id"], row["way"], row["quantity"], row["events"]) for row in rows] == [
                (row["account_id"], row["dimensions"]["way"], Decimal(row["quantity"]), row["events"])
                for row in whole["rows"]
            ]
        else:
            assert document.decode().count("\n") == len(whole["rows"]) + 1
    chosen = browser.get("/reports/usage", params=question | {"customer": "CME/"})
    assert "account_id=acme%2F%C3%BC" in chosen.headers["location"]
    assert browser.get("/reports/usage", params=question | {"customer": "nobody at all"}).status_code == 404
    assert "is no date" in browser.get("/reports/usage", params=question | {"from": "soon"}).text
    assert "is no dimension" in browser.get("/reports/usage", params=question | {"group_by": "colour"}).text


def simulation_says_what_the_api_says(browser: httpx.Client, service: httpx.Client, namespace: str) -> None:
    """Dearer seconds of January 2013: as a page and as CSV, byte for byte; a price that is none at its field."""
    opened = browser.get("/simulate", params={"plan": "basic", "charge": "time"}).text
    assert 'name="price.unit_amount"' in opened
    fields = {"token": form_token(opened), "period": "2013-01", "plan": "basic", "charge": "time",
              "price.model": "per_unit", "price.unit_amount": "0.5"}  # fmt: skip
    body = {"period": "2013-01", "plan": "basic", "prices": {"time": {"model": "per_unit", "unit_amount": "0.5"}}}
    header = {"Weir-Namespace": namespace}
    (total,) = service.post("/v1/simulations", json=body, headers=header).json()["totals"]
    assert (total["before"], total["after"], total["pay_more"]) == ("8.38", "11.75", 1)
    page = browser.post("/simulate", data=fields).text
    assert all(f"<b>{text}</b>" in page for text in ("8.38 USD", "11.75 USD", "+3.37 USD"))
    document = browser.post("/simulate", data=fields | {"do": "csv"}).content
    assert document == service.post("/v1/simulations?format=csv", json=body, headers=header).content
    assert document.decode().splitlines()[1:] == ["acme/ü,s,USD,8.38,11.75,3.37,more"]
    wrong = browser.post("/simulate", data=fields | {"price.unit_amount": "much"})
    assert (wrong.status_code, 'href="#f-price.unit_amount"' in wrong.text) == (422, True)
    assert browser.post("/simulate", data=fields | {"period": "soon"}).status_code == 422
    assert browser.post("/simulate", data=fields | {"token": "x"}).status_code == 403
