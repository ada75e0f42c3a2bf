"""The rating API over the real stack and real HTTP."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from deploy.cli.connection import base_url
from rating.api.portal.portal_answer import of_customer
from rating.app import build_app
from schemas.http.api_keys import key_hash, key_text
from schemas.settings import Settings, SettingsError
from tests.integration.conftest import Waiting
from tests.integration.rating.closed_road import closed_road
from tests.integration.rating.getting import Get, getter
from tests.integration.rating.road import KEY, Road
from tests.integration.world import gateway_client

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def closed(settings: Settings) -> Iterator[Road]:
    """Read it only."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    yield closed_road(road)
    road.client.close()


@pytest.fixture(scope="module")
def get(service: httpx.Client, closed: Road) -> Get:
    return getter(service, closed)


def test_usage_by_local_day_has_every_day_and_a_total(get: Get) -> None:
    answer = get(
        "/v1/usage", metric="calls.seconds", account_id="acme/ü", from_="2013-01-01", to="2013-01-04", group_by="day"
    )
    assert answer["time_zone"] == "Asia/Kathmandu"
    assert answer["total"] == {"quantity": "13.5", "events": 3}
    assert [(row["from"], row["quantity"], row["events"]) for row in answer["rows"]] == [
        ("2012-12-31T18:15:00Z", "1.5", 1),
        ("2013-01-01T18:15:00Z", "12", 2),
        ("2013-01-02T18:15:00Z", "0", 0),
    ]


def test_usage_of_everybody_by_account_and_dimension_live_and_as_of_a_checkpoint(
    service: httpx.Client, road: Road
) -> None:
    closed = closed_road(road)
    get = getter(service, closed)
    question = {"metric": "calls.seconds", "from_": "2013-01-01", "to": "2013-02-01", "group_by": "account,way"}
    live = get("/v1/usage", **question)
    assert [(row["account_id"], row["dimensions"]["way"], row["quantity"]) for row in live["rows"]] == [
        ("acme/ü", None, "2"),
        ("acme/ü", "out", "10"),
        ("other", "in", "7"),
    ]
    number = get("/v1/invoices")["invoices"][0]["checkpoint"]
    assert get("/v1/usage", **question, checkpoint=number)["rows"] == live["rows"]
    closed.send([("call", "other", "6", "2013-01-02T18:14:59Z", {"s": 1, "way": "in"})])
    closed.close(dry_run=True)  # waits until it is metered
    assert get("/v1/usage", **question)["total"] == {"quantity": "20", "events": 4}
    assert get("/v1/usage", **question, checkpoint=number)["rows"] == live["rows"]


def test_several_accounts_are_totalled_together_and_without_dates_it_is_this_month(get: Get) -> None:
    accounts = ["acme/ü", "other", "acme/ü"]
    answer = get("/v1/usage", metric="calls.seconds", account_id=accounts, from_="2013-01")
    assert (answer["account_id"], answer["account_ids"]) == (None, ["acme/ü", "other"])
    assert (answer["total"], answer["time_zone"]) == ({"quantity": "19", "events": 3}, "UTC")
    present = get("/v1/usage", metric="calls.seconds", account_id="acme/ü")
    assert (present["account_id"], present["time_zone"]) == ("acme/ü", "Asia/Kathmandu")
    assert present["total"] == {"quantity": "0", "events": 0}


def test_a_maximum_without_usage_is_null(get: Get) -> None:
    answer = get("/v1/usage", metric="calls.longest", account_id="acme/ü", from_="2014")
    assert answer["total"] == {"quantity": None, "events": 0}


def test_csv_by_accept_or_by_parameter(get: Get, service: httpx.Client, closed: Road) -> None:
    text = get("/v1/usage", metric="calls.seconds", account_id="acme/ü", from_="2013-01", group_by="way", format="csv")
    assert text.splitlines() == [
        "from,to,way,quantity,events",
        "2012-12-31T18:15:00Z,2013-01-31T18:15:00Z,,2,1",
        "2012-12-31T18:15:00Z,2013-01-31T18:15:00Z,in,1.5,1",
        "2012-12-31T18:15:00Z,2013-01-31T18:15:00Z,out,10,1",
    ]
    answer = service.get(
        "/v1/usage", params={"metric": "calls.longest", "from": "2013"},
        headers={"Weir-Namespace": closed.namespace, "Accept": "text/csv"},
    )  # fmt: skip
    assert answer.text.splitlines()[1] == "2013-01-01T00:00:00Z,2014-01-01T00:00:00Z,10,3"


@pytest.mark.parametrize(
    ("parameters", "status", "part"),
    [
        ({"metric": "calls", "from": "2013"}, 404, "say which: calls.longest, calls.seconds"),
        ({"metric": "calls.seconds", "to": "2013"}, 422, "query.from"),
        ({"metric": "calls.seconds", "from": "2013-13"}, 422, "not in the calendar"),
        ({"metric": "calls.seconds", "from": "2013-02-01", "to": "2013-01-01"}, 422, "empty"),
        ({"metric": "calls.seconds", "from": "2013-02-01T00:00:00Z"}, 422, "to: is missing"),
        ({"metric": "calls.seconds", "from": "2013", "time_zone": "Mars"}, 422, "no IANA time zone"),
        ({"metric": "calls.seconds", "from": "2013", "to": "2016", "group_by": "hour"}, 422, "more than 20000 hours"),
        ({"metric": "calls.seconds", "from": "2013", "group_by": "color"}, 422, "no dimension of calls.seconds"),
        ({"metric": "calls.seconds", "from": "2013", "checkpoint": "999999"}, 404, "no checkpoint 999999"),
    ],
)
def test_a_wrong_question_is_a_problem_that_names_the_place(
    service: httpx.Client, closed: Road, parameters: dict[str, str], status: int, part: str
) -> None:
    answer = service.get("/v1/usage", params=parameters, headers={"Weir-Namespace": closed.namespace})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert part in answer.text


def test_the_running_period_is_estimated_as_an_invoice_would_be(get: Get) -> None:
    path = "/v1/accounts/acme%2F%C3%BC/usage/current"
    running = get(path, at="2013-01-31T00:00:00Z")["subscriptions"]
    assert [(one["period_start"], one["estimated_total"]) for one in running] == [("2012-12-31T18:15:00Z", "8.38")]
    billed = get("/v1/invoices")["invoices"][0]
    assert (billed["total"], billed["period_start"]) == ("8.38", "2012-12-31T18:15:00Z")
    charge = running[0]["charges"][1]
    assert (charge["metric"], charge["quantity"], charge["amount"], charge["unit"]) == (
        "calls.seconds",
        "13.5",
        "3.38",
        "s",
    )
    half = get(path, at="2013-01-16T06:15:00Z")
    (one,) = half["subscriptions"]  # half of January in Kathmandu is over
    assert (one["charges"][1]["projected_quantity"], one["charges"][1]["projected_amount"]) == ("27", "6.75")
    assert (one["charges"][0]["projected_amount"], one["projected_total"]) == ("5.00", "11.75")
    assert one["charges"][1]["trend"] is None
    assert "seconds elapsed" in half["projection"]
    (february,) = get(path, at="2013-02-10T00:00:00Z")["subscriptions"]
    trend = february["charges"][1]["trend"]
    assert (trend["invoice_id"], trend["amount"], trend["change_percent"]) == (billed["invoice_id"], "3.38", "-100.0")
    assert get(path, at="2013-06-01T00:00:00Z")["subscriptions"] == []
    assert "no account" in get("/v1/accounts/nobody/usage/current", 404)["detail"]


def test_invoices_are_listed_by_pages_and_read_whole(service: httpx.Client, road: Road) -> None:
    get = getter(service, closed_road(road))
    road.close()
    first = get("/v1/invoices", limit=1)
    second = get("/v1/invoices", limit=1, cursor=first["next_cursor"])
    assert [page["invoices"][0]["period_start"] for page in (first, second)] == [
        "2013-01-31T18:15:00Z",
        "2012-12-31T18:15:00Z",
    ]
    assert second["next_cursor"] is None
    assert first["invoices"][0]["predecessor"] == second["invoices"][0]["invoice_id"]
    whole = get(f"/v1/invoices/{second['invoices'][0]['invoice_id']}")
    assert [(line["charge"], line["quantity"], line["amount"], line["unrounded"]) for line in whole["lines"]] == [
        ("fee", None, "5.00", "5"),
        ("time", "13.5", "3.38", "3.375"),
    ]
    assert whole["lines"][1]["steps"][0]["amount"] == "3.375"
    assert get("/v1/invoices", account_id="nobody")["invoices"] == []
    assert get("/v1/invoices", state="void")["invoices"] == []
    assert "no cursor" in get("/v1/invoices", 422, cursor="zzz")["detail"]
    assert get("/v1/invoices/inv_none", 404)["status"] == 404


def test_the_ledger_balances(get: Get) -> None:
    books = get("/v1/ledger")
    assert (books["received"], books["refused"], books["accepted"]) == (5, 0, 5)
    assert (books["metered"], books["unmatched"], books["duplicates"], books["conflicts"]) == (5, 0, 0, 0)
    assert books["balanced"] is True


def test_the_console_shows_what_the_api_says_to_those_who_logged_in(
    service: httpx.Client, closed: Road, get: Get
) -> None:
    with httpx.Client(base_url=service.base_url, timeout=60) as browser:
        asked = browser.get("/", params={"namespace": closed.namespace})
        login = f"/login?after=%2F%3Fnamespace%3D{closed.namespace}"
        assert (asked.status_code, asked.headers["location"]) == (303, login)
        assert browser.post("/login", data={"key": "wrong"}).status_code == 401
        entered = browser.post("/login", data={"key": KEY, "after": f"/?namespace={closed.namespace}"})
        assert (entered.status_code, entered.headers["location"]) == (303, f"/?namespace={closed.namespace}")
        assert "HttpOnly" in entered.headers["set-cookie"]
        assert KEY not in entered.headers["set-cookie"]
        overview = browser.get(entered.headers["location"])
        assert "default-src 'none'" in overview.headers["content-security-policy"]
        head = get("/v1/invoices")["invoices"][0]
        assert f'href="/invoices/{head["invoice_id"]}?namespace={closed.namespace}"' in overview.text
        whole = browser.get(f"/invoices/{head['invoice_id']}", params={"namespace": closed.namespace}).text
        assert "13.5 × 0.25 = 3.375" in whole
        assert "8.38 USD" in whole
        parameters = {
            "namespace": closed.namespace,
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
        newest = get("/v1/runs")["runs"][0]
        assert newest["invoices"] >= 1
        assert newest["run_id"] in browser.get("/runs", params={"namespace": closed.namespace}).text
        page = browser.get(f"/runs/{newest['run_id']}", params={"namespace": closed.namespace}).text
        listed = get("/v1/invoices", run_id=newest["run_id"])["invoices"]
        assert len(listed) == newest["invoices"]
        assert all(f'href="/invoices/{one["invoice_id"]}?' in page for one in listed)
        assert browser.get("/runs/none").status_code == 404
        for path in ("/alerts", "/anomalies"):
            assert browser.get(path, params={"namespace": closed.namespace, "cursor": ""}).status_code == 422
            assert "<h1>A" in browser.get(path, params={"namespace": closed.namespace}).text
        assert browser.post("/logout").status_code == 303
        assert browser.get("/").status_code == 303


def test_a_key_opens_the_console_for_its_namespace_and_its_pages_find_everything(
    service: httpx.Client, closed: Road, wait_until: Waiting
) -> None:
    read, ingest = (key_text(closed.namespace, name, name.ljust(32).encode()) for name in ("looks", "sends"))
    for code, text, scope in (("looks", read, "read"), ("sends", ingest, "ingest")):
        closed.publish("api_key", code=code, hash=key_hash(text), scopes=[scope])
    head = getter(service, closed)("/v1/invoices")["invoices"][0]

    known = {"Authorization": f"Bearer {ingest}"}
    wait_until(lambda: service.get("/v1/runs", headers=known).status_code == 403)
    with httpx.Client(base_url=service.base_url, timeout=60) as browser:
        assert browser.post("/login", data={"key": read}).status_code == 303
        assert browser.post("/login", data={"key": ingest}).status_code == 403
        overview = browser.get("/").text
        assert "looks, may look only" in overview
        assert f"<b>{closed.namespace}</b>" in overview, "the key's own, though none was named"
        assert browser.get("/", params={"namespace": "default"}).status_code == 403

        def lands(text: str) -> str:
            return browser.get("/search", params={"q": text}).headers.get("location", "").partition("?")[0]

        account = "/accounts/acme%2F%C3%BC"
        assert lands("acme/ü") == lands("CME/") == account
        assert lands(head["invoice_id"]) == lands(head["number"]) == f"/invoices/{head['invoice_id']}"
        assert lands("3") == "/event"
        event = browser.get("/event", params={"key": "3"}).text
        assert "way" in event
        assert event.count(">counts</span>") >= 1
        listed = browser.get("/events", params={"account_id": "acme/ü"}).text
        assert "/event?namespace=" in listed
        assert "calls.seconds" in listed
        assert "No event of this kind" in browser.get("/events", params={"name": "none"}).text
        assert "Nothing is refused" in browser.get("/events/refused", params={"reason": "none"}).text
        assert browser.get("/events/refused", params={"cursor": "x"}).status_code == 422
        lost = browser.get("/search", params={"q": "nothing of this"})
        assert (lost.status_code, "What is looked for" in lost.text) == (404, True)
        assert account in browser.get("/accounts", params={"q": "ACME", "plan": "basic"}).text
        assert "No customer has this" in browser.get("/accounts", params={"q": "b/ü"}).text
        # The page opens on the month of now, and goes back to the time of the events: what came by metric and by value.
        asked = {"from": "2013-01", "metric": "calls.seconds", "split": "way"}
        page = browser.get(account, params=asked).text
        assert "sum: 13.5 s from 3 events" in page
        assert "As a table" in page
        assert '>out</td><td class="number">10</td>' in page
        assert ">calls.seconds</a>" in page
        assert ">calls.longest</a>" in page
        assert 'value="calls.longest" selected' in browser.get(account, params={"from": "2013-01"}).text, "has usage"
        unknown = browser.get("/accounts/acme%2Fu")
        assert (unknown.status_code, "Did you mean" in unknown.text, account in unknown.text) == (404, True, True)
        listed = {"account_id": "acme/ü", "month": "2013-01", "state": "open", "number": ""}
        for asked in ({}, listed, listed | {"number": head["number"]}, {"state": "finalized"}):
            assert head["number"] in browser.get("/invoices", params=asked).text, asked
        for asked in ({"month": "2012-12"}, {"month": "2013-02"}, {"state": "void"}, {"account_id": "other"}):
            assert "No invoice has this" in browser.get("/invoices", params=asked).text, asked
        assert "is no month" in browser.get("/invoices", params={"month": "soon"}).text
        rows = browser.get("/invoices.csv", params=listed).text.splitlines()
        assert [row.split(",")[:3] for row in rows[1:]] == [[head["number"], head["invoice_id"], "acme/ü"]]
        _reports_say_what_the_api_says(browser, service, closed)
        told = browser.get("/doctor", params={"account_id": "acme/ü", "metric": "calls.seconds", "period": "2013-01"})
        assert "All 3 events in the interval count" in told.text
        closed.publish("api_key", code="looks", hash=key_hash(read), scopes=["ingest"])
        assert wait_until(lambda: browser.get("/").status_code == 303), "what the key may do is looked up anew"


def test_a_catalog_is_made_by_clicking_alone(settings: Settings, closed: Road, wait_until: Waiting) -> None:
    """A metric, its product, a plan with its price, a customer and a subscription: each by its form, in the name of a
    key of the namespace, as the gateway's API has it afterwards."""
    namespace = closed.namespace
    with gateway_client(settings, namespace) as gateway:
        made = gateway.post("/v1/api-keys", json={"scopes": ["admin"], "name": "Ada"}).json()
        with httpx.Client(base_url=base_url(settings, "rating"), timeout=60) as browser:
            wait_until(lambda: browser.post("/login", data={"key": made["key"]}).status_code == 303)

            def sent(place: str, status: int, **fields: str) -> str:
                page = browser.get(f"/catalog/{place}/form", params={"plan": "clicked"} if place == "charges" else {})
                token = page.text.split('name="token" value="', 1)[1].partition('"')[0]
                answer = browser.post(f"/catalog/{place}/form", data={"token": token} | fields)
                assert answer.status_code == status, answer.text
                return browser.get(answer.headers["location"]).text if status == 303 else answer.text

            def saved(place: str, **fields: str) -> str:
                return sent(place, 303, do="save", **fields)

            metric = {"code": "words", "name": "Words <b>", "profiles.0.code": "total", "profiles.0.aggregation": "sum"}
            assert "needs a property" in sent("metrics", 422, **metric)
            filtered = {"profiles.0.filters.0.property": "to.country", "profiles.0.filters.0.operator": "in",
                        "profiles.0.filters.0.value": "DE, 7"}  # fmt: skip
            measured = metric | filtered | {"profiles.0.property": "words"}
            sent_events = [
                {
                    "event_name": "words",
                    "account_id": "clara",
                    "properties": {"words": value, "to": {"country": country}},
                }
                for value, country in ((5, "DE"), (6, "FR"), ("many", "DE"))
            ]
            assert gateway.post("/v1/events/batch", json={"events": sent_events}).status_code == 202
            wait_until(lambda: "Of 3 events words" in sent("metrics", 200, do="try", **measured))
            counted = '<td class="number">1</td><td class="number">1</td><td>1 '  # one by no filter, one for its value
            assert counted in sent("metrics", 200, do="try", **measured)
            assert "needs a property" in sent("metrics", 200, do="try", **metric)
            page = saved("metrics", **measured)
            assert "Words &lt;b&gt;" in page
            assert "Create a product of words.total" in page
            assert gateway.get("/v1/meters/words").json()["profiles"][0]["filters"][0]["value"] == ["DE", 7]
            saved("products", code="words", kind="metered", profile="words.total")
            page = saved("plans", code="clicked", currency="USD", interval="month")
            assert "it bills nothing" in page
            price = {"product": "words", "prorated": "on", "price.model": "tiered", "price.tiers.0.up_to": "10",
                     "price.tiers.0.unit_amount": "0.5", "price.tiers.1.unit_amount": "x"}  # fmt: skip
            plan = {"~code": "clicked", "~version": "1"} | price
            wrong = sent("charges", 422, do="save", **plan)
            assert 'aria-describedby="d-price.tiers.1.unit_amount" aria-invalid="true"' in wrong
            plan["price.tiers.1.unit_amount"] = "0.1"
            assert "6 USD" in sent("charges", 200, do="price", **plan, **{"try.quantity": "20"}).replace(".00", "")
            assert "plan clicked will be changed, as version 2" in sent("charges", 200, do="check", **plan)
            assert "2 tiers" in saved("charges", **plan)
            again = sent("charges", 412, do="save", **plan)
            assert f"Ada ({made['id']}) has published version 2 meanwhile" in again
            assert 'name="~version" value="2"' in again
            saved("accounts", code="clara", name="Clara", time_zone="Europe/Berlin")
            saved("subscriptions", code="clara-clicked", account="clara", plan="clicked", start="2026-01-01")
            held = gateway.get("/v1/subscriptions/clara-clicked").json()
            assert (held["plan_version"], held["start"]) == (2, "2025-12-31T23:00:00Z")
            audited = gateway.get("/v1/catalog/audit", params={"kind": "subscription", "code": "clara-clicked"}).json()
            assert audited["items"][0]["author"] == f"Ada ({made['id']})"
            assert "clara-clicked" in browser.get("/accounts/clara").text
            retired = {"~code": "clara-clicked", "~version": "1"}
            token = wrong.split('name="token" value="', 1)[1].partition('"')[0]
            refused = browser.post("/catalog/plans/retire", data={"token": token, "~code": "clicked", "~version": "2"})
            assert (refused.status_code, "clara-clicked" in refused.text) == (409, True)
            assert browser.post("/catalog/subscriptions/retire", data={"token": token} | retired).status_code == 303
            assert gateway.get("/v1/subscriptions/clara-clicked").status_code == 404
            assert browser.post("/catalog/plans/form", data={"code": "x", "token": "other"}).status_code == 403
            assert "has 0 items" in browser.post("/settings/keys", data={"token": token, "name": "Bo"}).text
            new_key = {"token": token, "name": "Bo", "scope.read": "on"}
            made_page = browser.post("/settings/keys", data=new_key).text
            text = made_page.split(f"weir_{namespace}.", 1)[1].partition("<")[0]
            bo = {"Authorization": f"Bearer weir_{namespace}.{text}"}
            assert gateway.get("/v1/plans", headers=bo).status_code == 200
            assert f"by Ada ({made['id']})" in browser.get("/settings/keys").text
            revoked = browser.post("/settings/keys/revoke", data={"token": token, "id": text.partition(".")[0]})
            assert revoked.status_code == 303
            assert gateway.get("/v1/plans", headers=bo).status_code == 401
            assert text not in browser.get("/settings/keys").text
            saved_user = {"token": token, "code": "bo@example.com", "name": "Bo", "role": "support"}
            assert "needs it" in browser.post("/settings/users", data=saved_user).text
            secret = {"password": "correct horse battery"}
            assert browser.post("/settings/users", data=saved_user | secret).status_code == 303
            assert "bo@example.com" in browser.get("/settings/users").text
            login = {"user": "bo@example.com", **secret}
            with httpx.Client(base_url=browser.base_url, timeout=60) as bo_browser:
                assert bo_browser.post("/login", data=login | {"password": "wrong"}).status_code == 401
                assert bo_browser.post("/login", data=login).status_code == 303
                assert "Bo (bo@example.com)" in bo_browser.get("/").text
                assert bo_browser.get("/settings/keys").status_code == 403
                assert browser.post("/settings/users", data=saved_user | {"role": "billing"}).status_code == 303
                wait_until(lambda: "Create a plan" in bo_browser.get("/catalog/plans").text)
                page = bo_browser.get("/catalog/accounts/form").text
                new = {"token": page.split('name="token" value="', 1)[1].partition('"')[0], "code": "dora"}
                assert bo_browser.post("/catalog/accounts/form", data=new).status_code == 303
                audited = gateway.get("/v1/catalog/audit", params={"kind": "account", "code": "dora"}).json()
                assert audited["items"][0]["author"] == "Bo (bo@example.com)"
                kept = bo_browser.cookies["weir_console"]
                bo_browser.post("/logout")
                assert bo_browser.get("/", headers={"Cookie": f"weir_console={kept}"}).status_code == 303
                assert bo_browser.post("/login", data=login).status_code == 303
                ended = {"token": token, "code": "bo@example.com", "do": "end"}
                assert browser.post("/settings/users", data=ended).status_code == 303
                assert wait_until(lambda: bo_browser.get("/").status_code == 303)
                assert bo_browser.post("/login", data=login).status_code == 303
                assert browser.post("/settings/users", data=ended | {"do": "remove"}).status_code == 303
                assert wait_until(lambda: bo_browser.get("/").status_code == 303)
                assert bo_browser.post("/login", data=login).status_code == 401
        trail = gateway.get("/v1/catalog/audit", params={"kind": "user"}).json()
        assert [item["action"] for item in trail["items"]] == ["retired", "changed", "changed", "created"]
        assert "argon2" not in str(trail)
        behalf = {"Authorization": f"Bearer {made['key']}", "Weir-On-Behalf-Of": made["id"]}
        assert "alone asks on behalf" in gateway.get("/v1/plans", headers=behalf).json()["detail"]
        assert gateway.get("/v1/plans", headers={"Weir-On-Behalf-Of": "key_none"}).status_code == 401


def _reports_say_what_the_api_says(browser: httpx.Client, service: httpx.Client, closed: Road) -> None:
    opened = browser.get("/reports/usage")
    assert (opened.status_code, "group_by=day" in opened.headers["location"]) == (303, True)
    assert browser.get(opened.headers["location"]).status_code == 200
    asked = {"metric": "calls.seconds", "from": "2013-01-01", "to": "2013-02-01", "group_by": ["account", "way", "day"]}
    page = browser.get("/reports/usage", params=asked).text
    whole = getter(service, closed)("/v1/usage", **{name.replace("from", "from_"): of for name, of in asked.items()})
    assert f"<b>{whole['total']['quantity']} s</b>" in page
    header = {"Weir-Namespace": closed.namespace}
    for form in ("csv", "parquet"):
        document = browser.get(f"/reports/usage.{form}", params=asked).content
        assert document == service.get("/v1/usage", params=asked | {"format": form}, headers=header).content
        if form == "parquet":
            rows = pq.read_table(io.BytesIO(document)).to_pylist()
            assert [(row["account_id"], row["way"], row["quantity"], row["events"]) for row in rows] == [
                (row["account_id"], row["dimensions"]["way"], Decimal(row["quantity"]), row["events"])
                for row in whole["rows"]
            ]
        else:
            assert document.decode().count("\n") == len(whole["rows"]) + 1
    chosen = browser.get("/reports/usage", params=asked | {"customer": "CME/"})
    assert "account_id=acme%2F%C3%BC" in chosen.headers["location"]
    assert browser.get("/reports/usage", params=asked | {"customer": "nobody at all"}).status_code == 404
    assert "is no date" in browser.get("/reports/usage", params=asked | {"from": "soon"}).text
    assert "is no dimension" in browser.get("/reports/usage", params=asked | {"group_by": "colour"}).text


def test_a_portal_token_opens_one_account_and_nothing_else(
    service: httpx.Client, closed: Road, get: Get, wait_until: Waiting
) -> None:
    text = key_text(closed.namespace, "portals", b"p".ljust(32))
    closed.publish("api_key", code="portals", hash=key_hash(text), scopes=["read"])
    key = {"Authorization": f"Bearer {text}", "Weir-Namespace": closed.namespace}
    wait_until(lambda: service.get("/v1/runs", headers=key).status_code == 200)
    assert service.post("/v1/portal-tokens", json={"account_id": "nobody"}, headers=key).status_code == 404
    assert (
        service.post("/v1/portal-tokens", json={"account_id": "other", "expires_in": 5}, headers=key).status_code == 422
    )
    made = service.post("/v1/portal-tokens", json={"account_id": "acme/ü"}, headers=key)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    seen = service.get("/v1/portal", headers=bearer).json()
    assert (seen["account_id"], seen["time_zone"], seen["incomplete"]) == ("acme/ü", "Asia/Kathmandu", False)
    listed = get("/v1/invoices", account_id="acme/ü")["invoices"]
    assert seen["invoices"] == [of_customer(head) for head in listed]
    page = service.get(made.json()["url"], headers={"Authorization": ""})
    assert page.status_code == 200
    assert listed[0]["number"] in page.text
    assert "<a " not in page.text
    assert "set-cookie" not in page.headers
    for path in ("/v1/invoices", "/v1/accounts/acme%2F%C3%BC/balance", "/v1/usage"):
        assert service.get(path, headers=bearer | {"Weir-Namespace": closed.namespace}).status_code == 401
    for wrong in (
        "",
        "Bearer",
        f"Bearer {text}",
        f"Bearer {made.json()['token'][:-1]}",
        "Bearer weirp_.",
        "Bearer weirp_",
    ):
        assert service.get("/v1/portal", headers={"Authorization": wrong}).status_code == 401
    assert service.get("/portal", params={"token": "x"}, headers={"Authorization": ""}).status_code == 401
    closed.publish("api_key", code="portals", hash=key_hash(text), scopes=["ingest"])
    assert wait_until(lambda: service.get("/v1/portal", headers=bearer).status_code == 401), (
        "its key may not look any more"
    )


def test_without_the_key_nothing_is_told(service: httpx.Client) -> None:
    for header in ("", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"):
        answer = service.get("/v1/invoices", headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert service.get("/v1/invoices", headers={"Weir-Namespace": "nowhere"}).status_code == 404


def test_operation_needs_no_key(service: httpx.Client) -> None:
    bare = {"Authorization": ""}
    assert service.get("/healthz", headers=bare).status_code == 200
    assert service.get("/readyz", headers=bare).json() == {"status": "ready"}
    assert "weir_rating_requests_total" in service.get("/metrics", headers=bare).text
    assert "/v1/usage" in service.get("/openapi.json", headers=bare).json()["paths"]


def test_no_admin_key_no_service(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="WEIR_ADMIN_KEY is empty"):
        build_app(settings.model_copy(update={"admin_key": SecretStr("")}))
