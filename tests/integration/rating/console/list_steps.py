"""Where the console lists and searches: what leads to a page, and what is in none."""

from __future__ import annotations

from typing import Any

import httpx


def search_leads_to_pages(browser: httpx.Client, account: str, head: dict[str, Any]) -> None:
    """By account, part of it, invoice (``head`` as the API lists it), its number and an event's key; else 404."""

    def lands(text: str) -> str:
        return browser.get("/search", params={"q": text}).headers.get("location", "").partition("?")[0]

    assert lands("acme/ü") == lands("CME/") == account
    assert lands(head["invoice_id"]) == lands(head["number"]) == f"/invoices/{head['invoice_id']}"
    assert lands("3") == "/event"
    lost = browser.get("/search", params={"q": "nothing of this"})
    assert (lost.status_code, "What is looked for" in lost.text) == (404, True)


def events_are_listed(browser: httpx.Client) -> None:
    """Those counted and those refused, and one with what it counts for."""
    event = browser.get("/event", params={"key": "3"}).text
    assert "way" in event
    assert event.count(">counts</span>") >= 1
    listed = browser.get("/events", params={"account_id": "acme/ü"}).text
    assert "/event?namespace=" in listed
    assert "calls.seconds" in listed
    assert "No event of this kind" in browser.get("/events", params={"name": "none"}).text
    assert "Nothing is refused" in browser.get("/events/refused", params={"reason": "none"}).text
    assert browser.get("/events/refused", params={"cursor": "x"}).status_code == 422


def accounts_are_listed(browser: httpx.Client, account: str) -> None:
    """By a part of the code and by the plan; ``account``: the path of the page of acme/ü."""
    assert account in browser.get("/accounts", params={"q": "ACME", "plan": "basic"}).text
    assert "No customer has this" in browser.get("/accounts", params={"q": "b/ü"}).text


def invoices_are_listed(browser: httpx.Client, head: dict[str, Any]) -> None:
    """``head``, the namespace's one invoice, by each filter that it meets and by none other, and as CSV."""
    listed = {"account_id": "acme/ü", "month": "2013-01", "state": "open", "number": ""}
    for parameters in ({}, listed, listed | {"number": head["number"]}, {"state": "finalized"}):
        assert head["number"] in browser.get("/invoices", params=parameters).text, parameters
    for parameters in ({"month": "2012-12"}, {"month": "2013-02"}, {"state": "void"}, {"account_id": "other"}):
        assert "No invoice has this" in browser.get("/invoices", params=parameters).text, parameters
    assert "is no month" in browser.get("/invoices", params={"month": "soon"}).text
    rows = browser.get("/invoices.csv", params=listed).text.splitlines()
    assert [row.split(",")[:3] for row in rows[1:]] == [[head["number"], head["invoice_id"], "acme/ü"]]
