"""The rating API over the real stack and real HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from deploy.cli.connection import base_url
from rating.app import build_app
from schemas.http.api_keys import key_hash, key_text
from schemas.settings import Settings, SettingsError
from tests.integration.conftest import Waiting
from tests.integration.rating import portal_steps
from tests.integration.rating.closed_road import closed_road
from tests.integration.rating.console import (
    catalog_steps,
    list_steps,
    login_steps,
    page_steps,
    provider_steps,
    report_steps,
    settings_steps,
)
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
        overview = login_steps.enter_with_the_root_key(browser, closed.namespace)
        page_steps.invoice_and_account_show_what_the_api_says(browser, closed.namespace, get, overview)
        page_steps.runs_show_their_invoices(browser, closed.namespace, get)
        page_steps.alerts_and_anomalies_open(browser, closed.namespace)
        login_steps.leave(browser)


def test_a_key_opens_the_console_for_its_namespace_and_its_pages_find_everything(
    service: httpx.Client, closed: Road, get: Get, wait_until: Waiting
) -> None:
    read, ingest = (key_text(closed.namespace, name, name.ljust(32).encode()) for name in ("looks", "sends"))
    for code, text, scope in (("looks", read, "read"), ("sends", ingest, "ingest")):
        closed.publish("api_key", code=code, hash=key_hash(text), scopes=[scope])
    head = get("/v1/invoices")["invoices"][0]
    known = {"Authorization": f"Bearer {ingest}"}
    wait_until(lambda: service.get("/v1/runs", headers=known).status_code == 403)
    with httpx.Client(base_url=service.base_url, timeout=60) as browser:
        login_steps.enter_with_keys_of_the_namespace(browser, closed.namespace, read, ingest)
        account = "/accounts/acme%2F%C3%BC"
        list_steps.search_leads_to_pages(browser, account, head)
        list_steps.events_are_listed(browser)
        list_steps.accounts_are_listed(browser, account)
        page_steps.account_shows_its_usage(browser, account)
        list_steps.invoices_are_listed(browser, head)
        report_steps.reports_say_what_the_api_says(browser, service, closed.namespace, get)
        report_steps.simulation_says_what_the_api_says(browser, service, closed.namespace)
        page_steps.doctor_counts_every_event(browser)
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
            author = f"Ada ({made['id']})"
            forms = catalog_steps.CatalogForms(browser)
            catalog_steps.metric_is_tried_and_saved(forms, gateway, wait_until)
            token = catalog_steps.plan_is_priced(forms, author)
            catalog_steps.customer_subscribes(forms, gateway, author)
            catalog_steps.subscription_is_retired(forms, gateway, token)
            settings_steps.key_is_made_and_revoked(browser, gateway, namespace, token, author)
            settings_steps.user_acts_until_removed(browser, gateway, token, wait_until)
        settings_steps.users_are_audited(gateway)
        settings_steps.key_asks_on_nobodys_behalf(gateway, made)


def test_people_log_in_at_an_openid_connect_provider(settings: Settings, namespace: str, wait_until: Waiting) -> None:
    with (
        provider_steps.console_with_a_provider(settings, namespace) as url,
        gateway_client(settings, namespace) as gateway,
    ):
        other_url = base_url(settings, "rating")
        provider_steps.person_of_the_provider_acts_until_ended(url, other_url, gateway, wait_until)
        provider_steps.person_without_a_role_is_refused(url, gateway)


def test_a_portal_token_opens_one_account_and_nothing_else(
    service: httpx.Client, closed: Road, get: Get, wait_until: Waiting
) -> None:
    text = key_text(closed.namespace, "portals", b"p".ljust(32))
    closed.publish("api_key", code="portals", hash=key_hash(text), scopes=["read"])
    key = {"Authorization": f"Bearer {text}", "Weir-Namespace": closed.namespace}
    wait_until(lambda: service.get("/v1/runs", headers=key).status_code == 200)
    made = portal_steps.made_token(service, key)
    bearer = {"Authorization": f"Bearer {made['token']}"}
    portal_steps.portal_shows_the_account(service, get, made, bearer)
    portal_steps.portal_leads_from_an_invoice_to_its_events(service, get, made, bearer)
    portal_steps.portal_of_another_sees_nothing_of_it(service, get, key, bearer)
    portal_steps.token_opens_nothing_else(service, closed.namespace, text, made, bearer)
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
