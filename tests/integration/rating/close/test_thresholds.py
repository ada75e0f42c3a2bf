"""Interim invoices on the real stack: of use that reaches its threshold, and by hand, down to the period's own
invoice, the API and verification."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from rating.close import CloseError
from rating.verify.verification import verify
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.settings import Settings
from tests.integration.rating.receiver import deliverer
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def metered(settings: Settings) -> Iterator[Road]:
    """Calls at 1 each beyond the first 10, less 10 %, at least 20, with a fee of 5; interim invoices from 30 on for
    acme, none for beta."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    road.publish("meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "count"}])
    road.publish("product", code="call", profile="calls.n")
    road.publish("product", code="fee", kind="flat")
    road.publish("feature", code="sso")
    road.publish("feature", code="calls", profile="calls.n")
    tiers = [{"up_to": "10", "unit_amount": "0"}, {"up_to": None, "unit_amount": "1"}]
    charges: list[dict[str, Any]] = [
        {"product": "call", "price": {"model": "tiered", "tiers": tiers}},
        {"product": "fee", "price": {"model": "flat", "amount": "5"}},
    ]
    road.publish(
        "plan", code="basic", currency="USD", grace_seconds=0, charges=charges, minimum_commitment="20",
        discounts=[{"code": "ten", "name": "Ten off", "percent": "10", "product": "call"}],
        features=[
            {"feature": "sso", "block": True},
            {"feature": "calls", "limits": [{"quantity": "20", "hard": False, "block": True}]},
        ],
    )  # fmt: skip
    for account in ("acme", "beta"):
        road.publish("account", code=account)
        own = {"invoice_threshold": "30"} if account == "acme" else {}
        road.publish("subscription", code=account, account=account, plan="basic", start="2013-01-01T00:00:00Z", **own)
    yield road
    road.client.close()


def used(road: Road, day: int, count: int) -> None:
    road.send(
        [
            ("call", name, f"{name}{day}-{n}", f"2013-01-{day:02}T00:00:00Z", {})
            for name in ("acme", "beta")
            for n in range(count)
        ]
    )


def test_use_that_reaches_its_threshold_is_billed_once_before_its_period_ends(
    metered: Road, service: httpx.Client, wait_until: Any
) -> None:
    named = {"Weir-Namespace": metered.namespace}
    used(metered, 3, 40)
    assert metered.close("2013-01-04T00:00:00+00:00").invoices == ()  # 27.00
    used(metered, 5, 10)
    assert metered.close("2013-01-06T00:00:00+00:00", dry_run=True).invoices != ()
    (first,) = metered.close("2013-01-06T00:00:00+00:00").invoices
    assert [(line.kind, line.charge, line.amount) for line in first.lines] == [
        ("usage", "call", "40.00"), ("discount", "discount:ten", "-4.00"),
    ]  # fmt: skip
    assert json.loads(first.body)["interim"] == {"episode": 1, "threshold": "30"}

    def allowed(account: str, feature: str = "sso") -> tuple[bool, str | None]:
        check = service.get(f"/v1/accounts/{account}/entitlements/{feature}", headers=named).json()
        return check["allowed"], check["reason"]

    assert wait_until(lambda: allowed("acme") == (False, "unpaid"), timeout=20)
    assert wait_until(lambda: allowed("acme", "calls") == (False, "unpaid"), timeout=20)
    assert allowed("beta") == allowed("beta", "calls") == (True, None)
    payment = {"amount": "36.00", "reference": "bank"}
    assert service.post(f"/v1/invoices/{first.invoice_id}/payments", json=payment, headers=named).is_success
    assert wait_until(lambda: allowed("acme") == allowed("acme", "calls") == (True, None), timeout=20)
    used(metered, 7, 20)
    assert metered.close("2013-01-08T00:00:00+00:00").invoices == ()  # 18.00 more
    # Of a subscription that is named, whatever it comes to.
    by_hand = {"acme": "18.00", "beta": "54.00"}
    for name, total in by_hand.items():
        (invoice,) = metered.close("2013-01-09T00:00:00+00:00", subscription=name).invoices
        assert (invoice.subscription, invoice.total) == (name, total)
        assert metered.close("2013-01-09T00:00:00+00:00", subscription=name).invoices == ()
    with pytest.raises(CloseError, match="there is no subscription nobody"):
        metered.close("2013-01-09T00:00:00+00:00", subscription="nobody")
    metered.void(*(f"acme5-{n}" for n in range(10)))
    acme, beta = sorted(metered.close("2013-02-01T00:00:00+00:00").invoices, key=lambda one: one.subscription)
    # 50 calls beyond the first ten, less ten percent, and the fee; 36.00 and 18.00 are billed.
    assert (acme.total, beta.total) == ("-4.00", "5.00")
    assert [(line.kind, line.charge, line.amount) for line in acme.lines] == [
        ("usage", "call", "50.00"), ("flat", "fee", "5.00"), ("adjustment", "discount:ten", "1.00"),
        ("adjustment", "call", "-60.00"),
    ]  # fmt: skip
    assert verify(metered.settings, namespace=metered.namespace) == []
    assert verify(metered.settings, namespace=metered.namespace, invoices=True) == []
    for line in acme.lines:
        explained = service.get(f"/v1/invoices/{acme.invoice_id}/lines/{line.number}/explain", headers=named)
        assert explained.status_code == 200, explained.text
    void = service.post(f"/v1/invoices/{first.invoice_id}/void", json={"reason": "wrong"}, headers=named)
    assert void.status_code == 409
    # What comes late is of the period's own invoice alone.
    used(metered, 9, 10)
    changed = metered.close("2013-03-01T00:00:00+00:00").invoices
    assert sorted((one.subscription, one.total) for one in changed) == [("acme", "29.00"), ("beta", "29.00")]
    assert verify(metered.settings, namespace=metered.namespace, invoices=True) == []


def test_a_threshold_is_billed_within_seconds_without_a_close_and_once_whatever_is_killed(
    settings: Settings, service: httpx.Client, tmp_path: Path, wait_until: Any
) -> None:
    road = Road(settings, f"prompt-{uuid.uuid4().hex[:8]}")
    named = {"Weir-Namespace": road.namespace}
    now = datetime.now(UTC)
    road.publish("meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "count"}])
    road.publish("product", code="call", profile="calls.n")
    charges = [{"product": "call", "price": {"model": "per_unit", "unit_amount": "1"}}]
    road.publish("plan", code="basic", currency="USD", charges=charges, invoice_threshold="30")
    since = {"start": now.isoformat(), "billing_anchor": str(now.date())}  # no month ends while this runs
    for account in ("acme", "idle"):
        road.publish("account", code=account)
        road.publish("subscription", code=account, account=account, plan="basic", **since)

    def calls(first: int, count: int, account: str = "acme") -> None:
        at = datetime.now(UTC).isoformat()
        road.send([("call", account, f"{account}{n}", at, {}) for n in range(first, first + count)])

    def invoices() -> list[tuple[str, str, bool]]:
        listed = service.get("/v1/invoices", headers=named).json()["invoices"]
        return sorted((one["subscription"], one["total"], bool(one["number"])) for one in listed)

    def announced() -> bool:
        return any(run.body.get("namespace") == road.namespace for run in ledger.refresh().runs.values())

    with closing(CheckpointLedger(settings)) as ledger:
        first = deliverer(settings, tmp_path / "first")
        try:
            calls(0, 29)
            calls(0, 10, "idle")
            calls(29, 3)
            assert wait_until(announced, timeout=120)
        finally:
            first.kill()  # before, while or after its invoice is written
    processes = [deliverer(settings, tmp_path / name) for name in ("second", "third")]
    try:
        assert wait_until(lambda: invoices() == [("acme", "32.00", True)], timeout=120)
        calls(32, 40)
        assert wait_until(lambda: len(invoices()) == 2, timeout=120)
        calls(0, 11)  # copies
        assert wait_until(lambda: invoices() == [("acme", "32.00", True), ("acme", "40.00", True)], timeout=120)
    finally:
        for process in processes:
            process.kill()
    assert verify(settings, namespace=road.namespace, invoices=True) == []
    road.client.close()
