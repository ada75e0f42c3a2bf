"""The console's usage report beside the API's answer to the same question."""

from __future__ import annotations

import io
from decimal import Decimal

import httpx
import pyarrow.parquet as pq

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
