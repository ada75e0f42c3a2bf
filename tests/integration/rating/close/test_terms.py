"""Discounts, a commitment, an override and prepaid credits on the real stack, through late usage, down to the API and
verification."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from rating.close.checkpoint import end_offsets, wait_metered
from rating.invoices.lists import list_invoices
from rating.invoices.read import with_lines
from rating.verify.verification import verify
from schemas.settings import Settings
from schemas.values.time_zones import VERSION
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def agreed(settings: Settings) -> Iterator[Road]:
    """Calls at 1 each, for acme 0.5, less 10 %, at least 20; 25 prepaid. January billed, then two late calls, then
    February."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    road.publish("meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "count"}])
    road.publish("product", code="call", profile="calls.n")
    charges = [{"product": "call", "price": {"model": "per_unit", "unit_amount": "1"}}]
    road.publish(
        "plan", code="basic", currency="USD", grace_seconds=0, charges=charges, minimum_commitment="20",
        discounts=[{"code": "ten", "name": "Ten off", "percent": "10", "product": "call"}],
    )  # fmt: skip
    for account in ("acme", "beta"):
        road.publish("account", code=account)
        own = (
            {"overrides": [{"charge": "call", "price": {"model": "per_unit", "unit_amount": "0.5"}}]}
            if account == "acme"
            else {}
        )
        road.publish(
            "subscription", code=account, account=account, plan="basic", start="2013-01-01T00:00:00Z",
            end="2013-03-01T00:00:00Z", **own,
        )  # fmt: skip
    road.publish("credit_grant", code="paid", account="acme", amount="25", currency="USD")
    road.send(
        [("call", name, f"{name}{n}", "2013-01-10T00:00:00Z", {}) for name in ("acme", "beta") for n in range(30)]
    )
    road.close("2013-02-01T00:00:00+00:00")
    road.send(
        [("call", name, f"late{name}{n}", "2013-01-20T00:00:00Z", {}) for name in ("acme", "beta") for n in range(20)]
    )
    road.close("2013-03-01T00:00:00+00:00")
    yield road
    road.client.close()


def lines(road: Road, account: str) -> list[list[tuple[str, str, str]]]:
    page = list_invoices(road.client, road.namespace, account_id=account)
    found = with_lines(road.client, road.namespace, page.invoices)
    return [[(line.kind, line.charge, line.amount) for line in one.lines] for one in reversed(found)]


def test_bills_follow_what_was_agreed_and_late_usage_changes_discount_and_true_up(agreed: Road) -> None:
    assert lines(agreed, "acme") == [
        [
            ("usage", "call", "15.00"),
            ("discount", "discount:ten", "-1.50"),
            ("commitment", "commitment:", "6.50"),
            ("credit", "credit:paid", "-20.00"),
        ],
        [
            ("usage", "call", "0.00"),
            ("commitment", "commitment:", "20.00"),
            ("adjustment", "call", "10.00"),
            ("adjustment", "commitment:", "-6.50"),
            ("adjustment", "discount:ten", "-1.00"),
            ("credit", "credit:paid", "-5.00"),
        ],
    ]
    # 30 − 3 = 27, then 50 − 5 = 45: late usage of 18 in all, and nothing to true up in January.
    assert lines(agreed, "beta") == [
        [("usage", "call", "30.00"), ("discount", "discount:ten", "-3.00")],
        [
            ("usage", "call", "0.00"), ("commitment", "commitment:", "20.00"),
            ("adjustment", "call", "20.00"), ("adjustment", "discount:ten", "-2.00"),
        ],
    ]  # fmt: skip


def test_verification_agrees(agreed: Road) -> None:
    assert verify(agreed.settings, namespace=agreed.namespace) == []
    assert verify(agreed.settings, namespace=agreed.namespace, invoices=True) == []


def test_the_live_balance_is_what_a_close_leaves(agreed: Road, service: httpx.Client) -> None:
    named = {"Weir-Namespace": agreed.namespace}
    for account in ("gamma", "delta"):
        agreed.publish("account", code=account)
        agreed.publish(
            "subscription", code=account, account=account, plan="basic", start="2013-01-01T00:00:00Z",
            end="2013-02-01T00:00:00Z",
        )  # fmt: skip
    agreed.publish(
        "credit_grant", code="monthly", account="delta", amount="15", currency="USD", effective="2013-01-01",
        expires="2013-03-01", recurrence={"every": "month", "rollover": "5"}, cost_basis="12",
    )  # fmt: skip
    agreed.publish("credit_grant", code="gift", account="gamma", amount="25", currency="USD")
    agreed.send([("call", "gamma", "gamma", "2013-01-10T00:00:00Z", {})])
    wait_metered(agreed.client, end_offsets(agreed.settings), lambda *_: None)

    def amounts() -> list[str]:
        (total,) = service.get("/v1/accounts/gamma/balance", headers=named).json()["balances"]
        return [total[name] for name in ("settled", "pending", "running", "live")]

    assert amounts() == ["25.00", "20.00", "0.00", "5.00"]
    agreed.close("2013-03-02T00:00:00+00:00")
    assert amounts() == ["5.00", "0.00", "0.00", "5.00"]

    def entries(**page: str) -> dict[str, Any]:
        answer = service.get("/v1/accounts/gamma/balance/entries", params=page, headers=named)
        return dict(answer.json())

    draw, grant = entries()["entries"]
    assert (grant["kind"], grant["amount"], grant["balance"], grant["version"]) == ("grant", "25.00", "25.00", 1)
    assert (draw["kind"], draw["amount"], draw["balance"], draw["total"]) == ("draw", "-20.00", "5.00", "5.00")
    (invoice,) = service.get("/v1/invoices", params={"account_id": "gamma"}, headers=named).json()["invoices"]
    assert (draw["invoice_id"], draw["line"]) == (invoice["invoice_id"], 4)
    first = entries(limit="1")
    assert first["entries"] == [draw]
    assert entries(limit="1", cursor=first["next_cursor"]) | {"at": ""} == first | {
        "at": "", "entries": [grant], "next_cursor": None,
    }  # fmt: skip
    assert "next_cursor of the page before" in entries(cursor="x")["detail"]
    (monthly,) = service.get("/v1/accounts/delta/credits", headers=named).json()["grants"]
    shown = [monthly[name] for name in ("state", "granted", "used", "left", "expired", "cost_basis")]
    assert shown == ["expired", "30.00", "15.00", "0.00", "15.00", "12.00"]
    ((*_, credit),) = lines(agreed, "delta")
    assert credit == ("credit", "credit:monthly@2013-01-01", "-15.00")
    assert verify(agreed.settings, namespace=agreed.namespace, invoices=True) == []
    # The account of another namespace has none of it.
    assert service.get("/v1/accounts/gamma/balance/entries").status_code == 404


def test_the_api_tells_balances_subtotals_and_prices(agreed: Road, service: httpx.Client) -> None:
    named = {"Weir-Namespace": agreed.namespace}
    found = service.get("/v1/accounts/acme/credits", headers=named).json()
    assert found["balances"] == {"USD": "0.00"}
    (grant,) = found["grants"]
    assert (grant["state"], grant["granted"], grant["used"], grant["left"]) == ("used", "25.00", "25.00", "0.00")
    assert service.get("/v1/accounts/nobody/credits", headers=named).status_code == 404
    balance = service.get("/v1/accounts/acme/balance", headers=named).json()
    (live,) = balance["grants"]
    assert [live[name] for name in ("code", "settled", "pending", "running", "live")] == ["paid", *["0.00"] * 4]
    assert (balance["problems"], balance["as_of"]["checkpoint"] is None) == ([], False)
    assert balance["as_of"]["positions"]
    assert service.get("/v1/accounts/nobody/balance", headers=named).status_code == 404
    january = service.get("/v1/invoices", params={"account_id": "acme"}, headers=named).json()["invoices"][-1]
    assert (january["subtotal"], january["tax_amount"], january["total"]) == ("20.00", None, "0.00")
    # As of then: the grant of 25 was whole in January, and January's invoice drew 20 of it.
    for at, total, kinds in (
        ("2013-01-15", "0.00", ["discount", "credit"]), ("2013-02-15", "15.00", ["commitment", "credit"]),
    ):  # fmt: skip
        asked = service.get("/v1/accounts/acme/usage/current", params={"at": f"{at}T00:00:00Z"}, headers=named)
        (running,) = asked.json()["subscriptions"]
        assert (running["estimated_total"], [one["kind"] for one in running["reductions"]]) == (total, kinds)
    item: dict[str, Any] = {
        "price": {"model": "per_unit", "unit_amount": "0.5"},
        "quantity": "30",
        "discounts": [{"percent": "10"}],
    }
    assert Decimal(service.post("/v1/price", json=item).json()["amount"]) == Decimal("13.5")
    assert [one["amount"] for one in service.post("/v1/price", json=[item, item]).json()] == ["13.50", "13.50"]
    refused = service.post("/v1/price", json={**item, "price": {"model": "flat"}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "price.amount"
    assert service.post("/v1/price", content=b"{").status_code == 400


def test_runs_tell_their_checklists(agreed: Road, service: httpx.Client) -> None:
    named = {"Weir-Namespace": agreed.namespace}
    *_, newest, first = service.get("/v1/runs", headers=named).json()["runs"]
    assert (first["due_until"], first["findings"]) == ("2013-02-01T00:00:00Z", 0)
    assert first["time_zone_data"] == VERSION
    whole = service.get(f"/v1/runs/{newest['run_id']}", headers=named).json()
    found = {one["check"]: one["examples"] for one in whole["checklist"] if one["count"]}
    assert found["silent_accounts"] == ["acme", "beta"]
    assert len(found["changed_lines"]) == 2
    assert service.get(f"/v1/runs/{newest['run_id']}").status_code == 404  # of another namespace


def test_late_usage_is_reported_until_it_is_billed(agreed: Road, service: httpx.Client) -> None:
    def report(**asked: str) -> Any:
        return service.get("/v1/reports/late-usage", params=asked, headers={"Weir-Namespace": agreed.namespace}).json()

    assert (report()["count"], report()["totals"]) == (0, {})
    agreed.send([("call", "beta", f"february{n}", "2013-02-10T00:00:00Z", {}) for n in range(30)])
    wait_metered(agreed.client, end_offsets(agreed.settings), lambda *_: None)
    found = report()
    # 30 less 10 % are 27 and no commitment of 20 is left to true up.
    assert found["totals"] == {"USD": "7.00"}
    assert [(one["charge"], one["billed"], one["now"], one["difference"]) for one in found["lines"]] == [
        ("call", "0.00", "30.00", "30.00"),
        ("commitment:", None, None, "-20.00"),
        ("discount:ten", None, None, "-3.00"),
    ]
    assert found["lines"][0]["billed_as_of_checkpoint"] <= found["last_checkpoint"]  # others cut, too
    assert report(account_id="acme")["lines"] == []
    (billed,) = agreed.close("2013-03-01T00:00:00+00:00").invoices
    assert (billed.account_id, billed.total) == ("beta", "7.00")
    assert report()["lines"] == []


def test_tokens_are_drawn_and_what_is_beyond_them_is_paid_in_money(agreed: Road, service: httpx.Client) -> None:
    named = {"Weir-Namespace": agreed.namespace}
    agreed.publish("unit", code="token", name="Tokens")
    charges = [{"product": "call", "price": {"model": "per_unit", "unit_amount": "3"}}]
    overage = {"currency": "USD", "rate": "0.0125"}
    agreed.publish("plan", code="ai", currency="token", grace_seconds=0, charges=charges, overage=overage)
    agreed.publish("account", code="omega")
    agreed.publish(
        "subscription", code="omega", account="omega", plan="ai", start="2013-01-01T00:00:00Z",
        end="2013-02-01T00:00:00Z",
    )  # fmt: skip
    bought = {"amount": "15", "currency": "token", "cost_basis": "0.15", "cost_currency": "USD"}
    agreed.publish("credit_grant", code="bought", account="omega", **bought)
    agreed.send([("call", "omega", f"omega{n}", "2013-01-10T00:00:00Z", {}) for n in range(7)])
    wait_metered(agreed.client, end_offsets(agreed.settings), lambda *_: None)
    balance = service.get("/v1/accounts/omega/balance", headers=named).json()
    (total,), (grant,) = balance["balances"], balance["grants"]
    assert total == {"currency": "token", "settled": "15", "pending": "15", "running": "0", "live": "0"}
    assert (grant["cost_basis"], grant["cost_currency"]) == ("0.15", "USD")
    agreed.close("2013-03-02T00:00:00+00:00")
    assert lines(agreed, "omega") == [[("usage", "call", "21"), ("credit", "credit:bought", "-15")]]
    (listed,) = service.get("/v1/invoices", params={"account_id": "omega"}, headers=named).json()["invoices"]
    assert [listed[name] for name in ("currency", "subtotal", "total", "amount_due")] == ["token", "21", "6", "6"]
    assert listed["payable"] == overage | {"amount": "0.08"}, "0.075, rounded once"
    draw, _ = service.get("/v1/accounts/omega/balance/entries", headers=named).json()["entries"]
    assert (draw["amount"], draw["balance"], draw["currency"]) == ("-15", "0", "token")
    payments = f"/v1/invoices/{listed['invoice_id']}/payments"
    refused = service.post(payments, json={"amount": "0.07", "currency": "USD", "reference": "p"}, headers=named)
    assert (refused.status_code, "come to; pay all of it" in refused.json()["detail"]) == (409, True)
    for _ in range(2):
        paid = service.post(
            payments, json={"amount": "0.08", "currency": "USD", "reference": "p"}, headers=named
        ).json()
        assert [paid["state"], paid["amount_paid"], paid["payable"]["amount"]] == ["paid", "6", "0.00"]
    assert verify(agreed.settings, namespace=agreed.namespace, invoices=True) == []
