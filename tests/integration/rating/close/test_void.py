"""An invoice with late usage adjusted on the next one: both voided, billed again, more late usage, paid; at the API,
down to verification."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from rating.verify.verification import verify
from schemas.ledgers.invoice_record import Invoice
from schemas.settings import Settings
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


def test_void_bill_again_late_usage_and_pay(settings: Settings, service: httpx.Client) -> None:
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    road.publish("meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "count"}])
    road.publish("product", code="call", profile="calls.n")
    charges = [{"product": "call", "price": {"model": "per_unit", "unit_amount": "1"}}]
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
    road.publish("account", code="acme")
    road.publish("subscription", code="s", account="acme", plan="basic", start="2013-01-01T00:00:00Z")
    named = {"Weir-Namespace": road.namespace}

    def used(month: int, count: int) -> None:
        road.send([("call", "acme", uuid.uuid4().hex, f"2013-{month:02}-10T00:00:00Z", {}) for _ in range(count)])

    def ask(name: str, what: str, **body: Any) -> httpx.Response:
        return service.post(f"/v1/invoices/{name}/{what}", json=body, headers=named)

    def totals(invoices: Iterable[Invoice]) -> list[list[tuple[str, str]]]:
        return [[(line.kind, line.amount) for line in one.lines] for one in invoices]

    used(1, 5)
    (january,) = road.close("2013-02-01T00:00:00+00:00").invoices
    used(1, 2)
    used(2, 3)
    (february,) = road.close("2013-03-01T00:00:00+00:00").invoices
    assert totals([february]) == [[("usage", "3.00"), ("adjustment", "2.00")]]
    one, two = january.invoice_id, february.invoice_id
    refused = ask(one, "void", reason="wrong account")
    assert (refused.status_code, two in refused.json()["detail"]) == (409, True)
    void = ask(two, "void", reason="wrong account")
    assert (void.status_code, void.json()["state"], void.json()["version"]) == (200, "void", 2)
    assert void.json()["void"]["reason"] == "wrong account"
    assert ask(two, "void", reason="again").json()["void"]["reason"] == "wrong account"
    # January stands with 5; February's again carries January's late ones again, and March's close what came since.
    used(2, 1)
    (again,) = road.close("2013-03-01T00:00:00+00:00").invoices
    assert totals([again]) == [[("usage", "4.00"), ("adjustment", "2.00")]]
    assert road.close("2013-03-01T00:00:00+00:00").invoices == ()
    assert [ask(name, "void", reason="both").status_code for name in (again.invoice_id, one)] == [200, 200]
    used(1, 1)
    both = road.close("2013-03-01T00:00:00+00:00").invoices
    assert totals(both) == [[("usage", "8.00")], [("usage", "4.00")]]
    used(1, 1)
    (march,) = road.close("2013-04-01T00:00:00+00:00").invoices
    assert totals([march]) == [[("usage", "0.00"), ("adjustment", "1.00")]]
    # Payments.
    name = both[0].invoice_id
    assert ask(name, "payments", amount="3", reference="p1").json()["amount_due"] == "5.00"
    assert ask(name, "payments", amount="3.00", reference="p1").json()["amount_paid"] == "3.00"
    assert ask(name, "payments", amount="4", reference="p1").status_code == 409
    assert ask(name, "payments", amount="5.01", reference="p2").status_code == 409
    paid = ask(name, "payments", amount=5, reference="p2", paid_at="2013-04-02T00:00:00Z").json()
    assert (paid["state"], paid["amount_due"], paid["version"]) == ("paid", "0.00", 3)
    assert ask(name, "void", reason="no").status_code == 409
    note = {"amount": "1.00", "reason": "kept waiting", "reference": "c1"}
    credited = [ask(march.invoice_id, "credit-notes", **note).json() for _ in range(2)][-1]
    assert (credited["state"], credited["amount_due"], credited["version"]) == ("paid", "0.00", 2)
    assert credited["credit_notes"][0]["number"].endswith("-000001")
    # By lines, in a series of numbers of their own; the first of these lines bills 8 calls for 8.00.
    by_line = {"reason": "two too many", "reference": "c2", "lines": [{"line": 1, "quantity": "2"}]}
    other = ask(both[1].invoice_id, "credit-notes", **by_line).json()
    assert ask(both[1].invoice_id, "credit-notes", **by_line).json() == other
    assert [(one["amount"], one["lines"][0]["quantity"]) for one in other["credit_notes"]] == [("2.00", "2")]
    assert (
        ask(
            both[1].invoice_id,
            "credit-notes",
            **by_line | {"reference": "c3", "lines": [{"line": 1, "quantity": "3"}]},
        ).status_code
        == 409
    )
    assert ask(both[1].invoice_id, "credit-notes", reason="x", reference="c4").status_code == 422
    notes: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(2):
        page = service.get(
            "/v1/credit-notes", params={"limit": 1} | ({"cursor": cursor} if cursor else {}), headers=named
        ).json()
        cursor = page["next_cursor"]
        notes += page["credit_notes"]
    assert cursor is None
    assert [(one["number"][-7:], one["invoice_id"], one["reference"]) for one in notes] == [
        ("-000002", both[1].invoice_id, "c2"), ("-000001", march.invoice_id, "c1"),
    ]  # fmt: skip
    assert ask("inv_none", "void", reason="no").status_code == 404
    assert ask(name, "payments", amount="x", reference="p").status_code == 422
    numbers = [item["number"] for item in service.get("/v1/invoices", headers=named).json()["invoices"]]
    assert sorted(int(number.rpartition("-")[2]) for number in numbers) == [1, 2, 3, 4, 5, 6]
    assert paid["due_date"] > "2026"
    listed = service.get("/v1/invoices", params={"state": "void"}, headers=named).json()["invoices"]
    assert {item["invoice_id"] for item in listed} == {one, two, again.invoice_id}
    assert verify(settings, namespace=road.namespace) == []
    assert verify(settings, namespace=road.namespace, invoices=True) == []
    road.client.close()


def test_an_invoice_below_zero_pays_what_its_account_owes_and_prepaid_credit_comes_back(
    settings: Settings, service: httpx.Client
) -> None:
    """Fees of 10 in advance, ended a month before what they were billed for; one account pays by bank, the other from a
    grant."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    road.publish("product", code="seat", kind="flat")
    charges = [{"product": "seat", "price": {"model": "flat", "amount": "10"}, "in_advance": True}]
    half = [{"code": "half", "percent": "50", "periods": 1}]
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
    named = {"Weir-Namespace": road.namespace}
    for account in ("bank", "grant"):
        body: dict[str, Any] = {"code": account, "account": account, "plan": "basic", "start": "2013-01-01T00:00:00Z"}
        road.publish("account", code=account)
        road.publish("subscription", **body, discounts=half)
    road.publish("credit_grant", code="gift", account="grant", amount="100", currency="USD")
    first = road.close("2013-02-01T00:00:00+00:00").invoices
    assert sorted((one.account_id, one.total, one.state) for one in first) == [
        ("bank", "10.00", "finalized"), ("bank", "5.00", "finalized"), ("grant", "0.00", "paid"),
        ("grant", "0.00", "paid"),
    ]  # fmt: skip
    for account in ("bank", "grant"):
        road.publish(
            "subscription", code=account, account=account, plan="basic", start="2013-01-01T00:00:00Z",
            end="2013-02-01T00:00:00Z", discounts=half,
        )  # fmt: skip
    road.close("2013-02-02T00:00:00+00:00")
    found = service.get("/v1/invoices", headers=named).json()["invoices"]
    shown = sorted((one["account_id"], one["total"], one["state"], one["amount_due"]) for one in found)
    assert shown == [
        ("bank", "-10.00", "paid", "0.00"), ("bank", "10.00", "paid", "0.00"), ("bank", "5.00", "finalized", "5.00"),
        ("grant", "0.00", "paid", "0.00"), ("grant", "0.00", "paid", "0.00"), ("grant", "0.00", "paid", "0.00"),
    ]  # fmt: skip
    credit = next(one for one in found if one["total"] == "-10.00")
    back = service.post(
        f"/v1/invoices/{credit['invoice_id']}/payments", json={"amount": "-1", "reference": "b"}, headers=named
    )
    assert back.status_code == 409
    grants = service.get("/v1/accounts/grant/credits", headers=named).json()["grants"]
    assert [(one["used"], one["left"]) for one in grants] == [("5.00", "95.00")]
    of_grant = [one["invoice_id"] for one in found if one["account_id"] == "grant" and one["subtotal"] == "5.00"]
    note = {"amount": "2", "reason": "sorry", "reference": "n"}
    noted = service.post(f"/v1/invoices/{of_grant[0]}/credit-notes", json=note, headers=named).json()["credit_notes"]
    assert [(one["amount"], one["subtotal"], one["prepaid"]) for one in noted] == [
        ("0.00", "2.00", [{"grant": "gift", "amount": "2.00"}])
    ]
    (grant,) = service.get("/v1/accounts/grant/credits", headers=named).json()["grants"]
    assert (grant["used"], grant["left"]) == ("3.00", "97.00")
    assert road.close("2013-03-01T00:00:00+00:00").invoices == ()
    assert verify(settings, namespace=road.namespace) == []
    assert verify(settings, namespace=road.namespace, invoices=True) == []
    road.client.close()
