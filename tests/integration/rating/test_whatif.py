"""What if, on the real stack: other prices and plans over real usage, and draft meters on past events; nothing is
written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from deploy.cli.connection import base_url
from schemas.settings import Settings
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

Post = Callable[..., Any]


@pytest.fixture(scope="module")
def road(settings: Settings) -> Iterator[Road]:
    """Three accounts in three zones with calls in January 2013; nothing is billed."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    profiles = [{"code": "seconds", "aggregation": "sum", "property": "s"}]
    road.publish("meter", code="calls", unit="s", event_name="call", profiles=profiles)
    road.publish("product", code="time", profile="calls.seconds")
    road.publish("product", code="fee", kind="flat")
    usage = {"product": "time", "price": {"model": "per_unit", "unit_amount": "0.10"}}
    road.publish(
        "plan",
        code="basic",
        currency="USD",
        charges=[{"product": "fee", "price": {"model": "flat", "amount": "5"}}, usage],
    )
    road.publish(
        "plan", code="pro", currency="USD", charges=[usage | {"price": {"model": "per_unit", "unit_amount": "0.2"}}]
    )
    road.publish("plan", code="euro", currency="EUR", charges=[usage])
    for account, zone in (("a", "UTC"), ("b", "Asia/Kathmandu"), ("c", "America/New_York")):
        road.publish("account", code=account, time_zone=zone)
        road.publish(
            "subscription",
            code=f"sub-{account}",
            account=account,
            plan="basic",
            plan_version=1,
            start="2013-01-01",
            end="2013-03-01",
        )
    terms = {"discounts": [{"code": "tenth", "percent": "10"}], "minimum_commitment": "4"}
    road.publish("plan", code="gold", currency="USD", charges=[usage], **terms)
    road.publish("account", code="d")
    road.publish("subscription", code="sub-d", account="d", plan="gold", plan_version=1, start="2013-06-01")
    road.send(
        [
            ("call", "d", "6", "2013-06-02T00:00:00Z", {"s": 30, "to": "y"}),
            ("call", "a", "1", "2013-01-01T00:00:00Z", {"s": 30, "to": "x"}),
            ("call", "a", "2", "2013-01-31T23:59:59Z", {"s": 20, "to": "y"}),
            ("call", "b", "3", "2012-12-31T18:15:00Z", {"s": 100, "to": "x"}),  # January in Kathmandu
            ("call", "c", "4", "2013-02-01T04:59:59Z", {"s": "0.5", "to": "x"}),  # January in New York
            ("call", "c", "5", "2013-02-01T05:00:00Z", {"s": "none", "to": "z"}),
        ]
    )
    road.close(dry_run=True)  # waits until all is metered
    yield road
    road.client.close()


@pytest.fixture(scope="module")
def client(settings: Settings, road: Road) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}", "Weir-Namespace": road.namespace}
    with httpx.Client(base_url=base_url(settings, "rating"), headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def post(client: httpx.Client) -> Post:
    def ask(path: str, status: int = 200, /, **body: Any) -> Any:
        answer = client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def rows(answer: Any) -> list[tuple[str, str, str, str, str]]:
    names = ("account_id", "before", "after", "difference", "pays")
    return [tuple(one[name] for name in names) for one in answer["subscriptions"]]


def test_another_price_says_who_would_pay_less_and_who_more(post: Post) -> None:
    tiers = [{"up_to": "10", "unit_amount": "0.30"}, {"up_to": None, "unit_amount": "0.05"}]
    answer = post("/v1/simulations", period="2013-01", prices={"time": {"model": "tiered", "tiers": tiers}})
    # 100 s: 3 + 4.5 in place of 10; 50 s: 3 + 2 in place of 5; 0.5 s: 0.15 in place of 0.05; and 5 for the fee each
    assert rows(answer) == [
        ("b", "15.00", "12.50", "-2.50", "less"),
        ("a", "10.00", "10.00", "0.00", "the same"),
        ("c", "5.05", "5.15", "0.10", "more"),
    ]
    assert answer["totals"] == [
        {
            "currency": "USD", "before": "30.05", "after": "27.65", "difference": "-2.40", "subscriptions": 3,
            "pay_less": 1, "pay_more": 1, "pay_the_same": 1,
        }
    ]  # fmt: skip
    assert answer["subscriptions"][0]["charges"][1] == {
        "charge": "time", "quantity": "100", "before": "10.00", "after": "7.50", "difference": "-2.50",
    }  # fmt: skip
    assert answer["problems"] == []
    short = post("/v1/simulations", period="2013-01", prices={"time": {"model": "tiered", "tiers": tiers}}, limit=1)
    assert (short["totals"], len(short["subscriptions"]), short["left_out"]) == (answer["totals"], 1, 2)


def test_another_plan_for_one_or_all_and_one_that_nobody_has_published(post: Post) -> None:
    assert rows(post("/v1/simulations", period="2013-01", to_plan="pro", account_id="b")) == [
        ("b", "15.00", "20.00", "5.00", "more")
    ]
    inline = {
        "code": "flat-rate",
        "currency": "USD",
        "charges": [{"product": "fee", "price": {"model": "flat", "amount": "12"}}],
    }
    assert [row[3] for row in rows(post("/v1/simulations", period="2013-01", to_plan=inline))] == [
        "-3.00",
        "2.00",
        "6.95",
    ]
    euro = post("/v1/simulations", period="2013-01", to_plan="euro")
    assert euro["subscriptions"] == []
    assert len(euro["problems"]) == 3
    assert "EUR and USD" in euro["problems"][0]


def test_what_cannot_be_simulated_names_the_field(post: Post) -> None:
    assert "body.to_plan" in str(post("/v1/simulations", 422, period="2013-01", to_plan="platinum"))
    assert "body.period" in str(post("/v1/simulations", 422, period="soon", to_plan="pro"))
    assert "body.prices.time" in str(post("/v1/simulations", 422, period="2013-01", prices={"time": {"model": "flat"}}))
    assert "no such field" in str(post("/v1/simulations", 422, period="2013-01", to_plan="pro", typo=1)).lower()


def test_a_draft_meter_is_tried_on_past_events(post: Post) -> None:
    filters = [{"property": "to", "operator": "in", "value": ["x", "z"]}]
    profiles = [
        {"code": "seconds", "aggregation": "sum", "property": "s", "filters": filters},
        {"code": "targets", "aggregation": "count_unique", "property": "to"},
    ]
    draft = {"code": "calls", "unit": "s", "event_name": "call", "profiles": profiles}
    answer = post("/v1/profiles/try", meter=draft, period="2012-12-31..2013-03-01")
    seconds, targets = answer["profiles"]
    assert answer["events"] == 5
    assert (seconds["matched"], seconds["not_matched"], seconds["unmeterable"]) == (3, 1, {"not_a_number": 1})
    assert seconds["quantity"] == "130.5"
    assert [(one["account_id"], one["quantity"]) for one in seconds["accounts"]] == [
        ("b", "100"),
        ("a", "30"),
        ("c", "0.5"),
    ]
    assert seconds["current"] == {"quantity": "150.5", "events": 4}
    assert (targets["quantity"], targets["current"], targets["matched"]) == ("3", None, 5)
    local = post("/v1/profiles/try", meter=draft, period="2013-01", account_id="c")
    assert (local["time_zone"], local["events"], local["profiles"][0]["quantity"]) == ("America/New_York", 1, "0.5")


def test_nothing_was_written(post: Post, road: Road) -> None:
    before = road.client.query("SELECT count() FROM invoices").result_rows
    post("/v1/simulations", period="2013-01", to_plan="pro")
    assert road.client.query("SELECT count() FROM invoices").result_rows == before
    assert road.client.query(
        "SELECT count() FROM invoices WHERE namespace = {n:String}", parameters={"n": road.namespace}
    ).result_rows == [(0,)]


def test_a_running_period_is_estimated_and_projected_with_its_discounts_and_true_up(client: httpx.Client) -> None:
    answer = client.get("/v1/accounts/d/usage/current", params={"at": "2013-06-16T00:00:00Z"}).json()
    (running,) = answer["subscriptions"]  # half of June is over
    (charge,) = running["charges"]
    assert [charge[name] for name in ("quantity", "amount", "projected_quantity", "projected_amount")] == [
        "30",
        "3.00",
        "60",
        "6.00",
    ]
    assert [(one["kind"], one["amount"]) for one in running["reductions"]] == [
        ("discount", "-0.30"),
        ("commitment", "1.30"),
    ]
    assert (running["estimated_total"], running["projected_total"]) == ("4.00", "5.40")
