"""Pages of the console, each beside what the API says of the same: an invoice, an account, runs, alerts, the doctor."""

from __future__ import annotations

import httpx

from tests.integration.rating.getting import Get


def invoice_and_account_show_what_the_api_says(
    browser: httpx.Client, namespace: str, get: Get, overview: httpx.Response
) -> None:
    """From the overview's link to the bill's arithmetic, and the account's usage by day; of another, 404."""
    head = get("/v1/invoices")["invoices"][0]
    assert f'href="/invoices/{head["invoice_id"]}?namespace={namespace}"' in overview.text
    whole = browser.get(f"/invoices/{head['invoice_id']}", params={"namespace": namespace}).text
    assert "13.5 × 0.25 = 3.375" in whole
    assert "8.38 USD" in whole
    assert f'href="/invoices/{head["invoice_id"]}.pdf?namespace={namespace}"' in whole
    pdf = browser.get(f"/invoices/{head['invoice_id']}.pdf", params={"namespace": namespace})
    assert (pdf.status_code, pdf.headers["content-type"]) == (200, "application/pdf")
    assert get(f"/v1/invoices/{head['invoice_id']}.pdf") == pdf.text
    assert browser.get("/invoices/none.pdf").status_code == 404
    parameters = {
        "namespace": namespace,
        "metric": "calls.seconds",
        "from": "2013-01-01",
        "to": "2013-01-04",
        "step": "day",
    }
    account = browser.get("/accounts/acme%2F%C3%BC", params=parameters).text
    assert (account.count('class="bar"'), account.count('class="past"')) == (3, 3)
    assert "sum: 13.5 s from 3 events" in account
    assert "is no date" in browser.get("/accounts/acme%2F%C3%BC", params=parameters | {"from": "soon"}).text
    assert browser.get("/accounts/nobody", params=parameters).status_code == 404
    assert browser.get("/", params={"namespace": "nowhere"}).status_code == 404
    assert browser.get("/invoices/none").status_code == 404


def runs_show_their_invoices(browser: httpx.Client, namespace: str, get: Get) -> None:
    """The newest run is listed and links each invoice that it made."""
    newest = get("/v1/runs")["runs"][0]
    assert newest["invoices"] >= 1
    assert newest["run_id"] in browser.get("/runs", params={"namespace": namespace}).text
    page = browser.get(f"/runs/{newest['run_id']}", params={"namespace": namespace}).text
    listed = get("/v1/invoices", run_id=newest["run_id"])["invoices"]
    assert len(listed) == newest["invoices"]
    assert all(f'href="/invoices/{head["invoice_id"]}?' in page for head in listed)
    assert browser.get("/runs/none").status_code == 404


def alerts_and_anomalies_open(browser: httpx.Client, namespace: str) -> None:
    """Each list has its page, and refuses a cursor that is none."""
    for path in ("/alerts", "/anomalies"):
        assert browser.get(path, params={"namespace": namespace, "cursor": ""}).status_code == 422
        assert "<h1>A" in browser.get(path, params={"namespace": namespace}).text


def account_shows_its_usage(browser: httpx.Client, account: str) -> None:
    """``account``: the path of the page of acme/ü, whose misspelt neighbour leads there."""
    # The page opens on the month of now, and goes back to the time of the events: what came by metric and by value.
    january = {"from": "2013-01", "metric": "calls.seconds", "split": "way"}
    page = browser.get(account, params=january).text
    assert "sum: 13.5 s from 3 events" in page
    assert "As a table" in page
    assert '>out</td><td class="number">10</td>' in page
    assert ">calls.seconds</a>" in page
    assert ">calls.longest</a>" in page
    assert 'value="calls.longest" selected' in browser.get(account, params={"from": "2013-01"}).text, "has usage"
    unknown = browser.get("/accounts/acme%2Fu")
    assert (unknown.status_code, "Did you mean" in unknown.text, account in unknown.text) == (404, True, True)


def doctor_counts_every_event(browser: httpx.Client) -> None:
    """Of acme/ü in January 2013."""
    diagnosis = browser.get("/doctor", params={"account_id": "acme/ü", "metric": "calls.seconds", "period": "2013-01"})
    assert "All 3 events in the interval count" in diagnosis.text
