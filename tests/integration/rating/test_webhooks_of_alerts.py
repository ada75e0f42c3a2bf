"""Alerts, anomalies and top-ups on the real road: each said once by two evaluators, and told to the webhooks that ask
for it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from rating.close.checkpoint import end_offsets
from schemas.ledgers.checkpoints import read_progress
from schemas.prices.decimals import plain
from schemas.settings import Settings
from tests.integration.rating.getting import client
from tests.integration.rating.receiver import Receiver, deliverer
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


def anomalies_of(road: Road, api: httpx.Client, wait_until: Any) -> list[dict[str, Any]]:
    """Anomalies of two accounts with four events a day: "busy" has fifty times as much today, "quiet" had none the day
    before yesterday."""
    now = datetime.now(UTC)
    road.send(
        [
            ("call", account, f"{account}{days}.{number}", (now - timedelta(days=days)).isoformat(), {"units": 2})
            for account, silent in (("busy", ()), ("quiet", (2,)))
            for days in range(1, 36)
            for number in range(4)
            if days not in silent
        ]
    )
    road.send([("call", "busy", "much", now.isoformat(), {"units": 400})])
    # A rule's accounts are looked at when it comes, and then once an hour: what is not metered by then waits for that.
    ends = end_offsets(road.settings)
    wait_until(lambda: all(read_progress(road.client).get(place, 0) >= end for place, end in ends.items()))
    road.publish("alert_rule", code="odd", measure="anomaly", profile="calls.units")
    wait_until(lambda: len(api.get("/v1/anomalies").json()["anomalies"]) == 2, timeout=120)
    listed: list[dict[str, Any]] = api.get("/v1/anomalies").json()["anomalies"]
    listed.sort(key=lambda one: str(one["account_id"]))
    busy, quiet = listed
    numbers = [(one["account_id"], one["anomaly"]["kind"], one["value"], one["anomaly"]["expected"]) for one in listed]
    assert numbers == [("busy", "spike", "400", "8"), ("quiet", "silence", "0", "8")]
    assert quiet["period_end"][:10] == str((now - timedelta(days=1)).date())
    assert busy["anomaly"]["history"][-1] == "8"
    return listed


def _topped_up(road: Road, api: httpx.Client, receiver: Receiver, wait_until: Any) -> str:
    """27 of 25 are used, so that 32 are missing up to 30: they are requested once, by two evaluators, and granted
    once, however often the payment is told. Its id."""
    now = datetime.now(UTC).isoformat()
    road.send([("call", "buyer", "b1", now, {"units": 27, "user": "b"})])

    def requested() -> list[dict[str, Any]]:
        sent = [json.loads(message.body) for message in receiver.got if message.path == "/topups"]
        return [message["data"] for message in sent if message["type"] == "credits.topup_requested"]

    wait_until(lambda: Decimal(api.get("/v1/accounts/buyer/balance").json()["balances"][0]["live"]) == 0, timeout=120)
    wait_until(lambda: requested() != [], timeout=120)
    topups = "/v1/accounts/buyer/topups"
    request = requested()[0]
    assert (request["balance"], request["amount"], request["cost"]) == ("-2", "32", "32")
    place = f"{topups}/{request['topup_id']}"
    assert api.post(f"{topups}/top_{'0' * 24}/paid", json={}).status_code == 404
    assert api.post(f"/v1/accounts/nobody/topups/{request['topup_id']}/paid", json={}).status_code == 404
    assert api.post(f"/v1/accounts/acme/topups/{request['topup_id']}/paid", json={}).status_code == 404
    assert api.post(f"{place}/refused", json={"reason": "card declined"}).json()["state"] == "refused"
    paid = [api.post(f"{place}/paid", json={"reference": "pi_1"}).json() for _ in range(2)]
    assert paid[0] == paid[1]
    assert (paid[0]["state"], paid[0]["credit_grant"]) == ("paid", request["topup_id"])
    assert api.post(f"{place}/paid", json={"reference": "pi_2"}).status_code == 409
    assert api.post(f"{place}/refused", json={}).status_code == 409
    assert api.get("/v1/accounts/buyer/balance").json()["balances"][0]["live"] == "30.00"
    wait_until(lambda: [each["state"] for each in api.get(topups).json()["topups"]] == ["paid"], timeout=60)
    assert api.get(topups).json()["topups"] == [paid[0]]
    assert api.get(topups, params={"state": "refused"}).json()["topups"] == []
    assert api.get(topups, params={"cursor": "1_inv_2"}).status_code == 422
    assert api.get("/v1/accounts/acme/topups").json()["topups"] == []
    assert len({each["topup_id"] for each in requested()}) == 1
    return str(request["topup_id"])


def test_each_crossing_of_an_alert_rule_is_told_once_by_two_evaluators_and_a_void_takes_it_back(
    settings: Settings, tmp_path: Path, wait_until: Any
) -> None:
    """Of spend and of a prepaid balance, as the running period's invoice has them, and of a unique count."""
    road = Road(settings, f"alert-{uuid.uuid4().hex[:8]}")
    profiles = [
        {"code": "units", "aggregation": "sum", "property": ["units"]},
        {"code": "users", "aggregation": "count_unique", "property": ["user"]},
    ]
    road.publish("meter", code="calls", event_name="call", profiles=profiles)
    road.publish("product", code="calls", profile="calls.units")
    charges = [{"product": "calls", "price": {"model": "per_unit", "unit_amount": "1"}}]
    road.publish("feature", code="calls", profile="calls.units", limits=[{"quantity": "10", "reset": "month"}])
    road.publish("plan", code="basic", currency="USD", charges=charges, features=[{"feature": "calls"}])
    road.publish("plan", code="prepay", currency="EUR", charges=charges)
    for account in ("acme", "idle"):
        road.publish("account", code=account)
        road.publish("subscription", code=f"{account}-1", account=account, plan="basic", start="2026-01-01T00:00:00Z")
    road.publish("credit_grant", code="prepaid", account="acme", amount="20", currency="USD")
    for account in ("busy", "quiet"):
        road.publish("account", code=account)
    floor = {"currency": "EUR", "floor": "5", "target": "30", "daily_limit": "100"}
    road.publish("account", code="buyer", top_ups=[floor])
    road.publish("subscription", code="buyer-1", account="buyer", plan="prepay", start="2026-01-01T00:00:00Z")
    road.publish("credit_grant", code="start", account="buyer", amount="25", currency="EUR")
    events = ["usage.alert.fired", "usage.alert.recovered", "usage.anomaly.detected"]

    def told(receiver: Receiver) -> set[tuple[str, str, str, int]]:
        messages = [json.loads(one.body)["data"] for one in receiver.got if one.path == "/alerts"]
        return {(one["rule"], one["threshold"], one["state"], one["episode"]) for one in messages}

    def call(number: int) -> tuple[str, str, str, str, dict[str, Any]]:
        now = datetime.now(UTC).isoformat()
        return "call", "acme", f"k{number}", now, {"units": 2, "user": f"u{number}"}

    with Receiver(lambda *_: 204) as receiver:
        named = {"code": "alerts", "url": f"{receiver.url}/alerts", "events": events}
        webhook = {"url": f"{receiver.url}/recovered", "events": events[1:2]}
        paying = {"code": "topups", "url": f"{receiver.url}/topups", "events": ["credits.topup_requested"]}
        road.publish(
            "namespace", code=road.namespace, max_event_age_seconds=None, webhook=webhook, webhooks=[named, paying]
        )
        first, second = deliverer(settings, tmp_path / "first"), deliverer(settings, tmp_path / "second")
        try:
            rule = {"code": "budget", "measure": "spend", "plan": "basic", "budget": "10"}
            road.publish("alert_rule", **rule, thresholds=["80%", "100%"])
            road.publish("alert_rule", code="low", measure="balance", currency="USD", thresholds=["50%"])
            users = {"measure": "usage", "profile": "calls.users", "interval": "year"}
            road.publish("alert_rule", code="users", **users, thresholds=["5"])
            share = {"measure": "entitlement", "feature": "calls", "plan": "basic"}
            road.publish("alert_rule", code="share", **share, thresholds=["80%", "100%"])
            road.send([call(number) for number in range(5)])
            fired = {(name, threshold, "fired", 1) for name, threshold in (
                ("budget", "80%"), ("budget", "100%"), ("low", "50%"), ("users", "5"), ("share", "80%"),
                ("share", "100%"))}  # fmt: skip
            wait_until(lambda: told(receiver) == fired, timeout=120)
            first.kill()
            road.void("k4")
            taken_back = {("budget", "100%"), ("low", "50%"), ("users", "5"), ("share", "100%")}
            recovered = {(*alert, "recovered", 1) for alert in taken_back}
            wait_until(lambda: told(receiver) == fired | recovered, timeout=120)
            first = deliverer(settings, tmp_path / "third")
            road.send([call(5)])
            anew = {(*alert, "fired", 2) for alert in taken_back}
            wait_until(lambda: told(receiver) == fired | recovered | anew, timeout=120)
            with client(road) as api:
                topup_id = _topped_up(road, api, receiver, wait_until)
                current = api.get("/v1/accounts/acme/usage/current").json()["subscriptions"][0]
                listed = api.get("/v1/alerts", params={"account_id": "acme"}).json()["alerts"]
                page = api.get("/v1/alerts", params={"limit": 3}).json()
                rest = api.get("/v1/alerts", params={"cursor": page["next_cursor"], "limit": 500}).json()
                check = api.get("/v1/accounts/acme/entitlements/calls").json()
                still = api.get("/v1/alerts", params={"open": "true"}).json()["alerts"]
                delivered = api.get("/v1/webhooks/deliveries", params={"limit": 1}).json()
                secrets = {
                    path: api.get("/v1/webhooks/secret", params={"webhook": code}).json()["secret"]
                    for path, code in (("/alerts", "alerts"), ("/recovered", ""), ("/topups", "topups"))
                }
                versions = [one["alert_id"] for one in listed].count(listed[0]["alert_id"])
                again = {"invoice_id": listed[0]["alert_id"], "webhook": "alerts"}
                assert api.post("/v1/webhooks/replay", json=again).json()["messages"] == versions
                again["since"] = datetime.now(UTC).isoformat()
                assert api.post("/v1/webhooks/replay", json=again).json()["messages"] == 0
                pinged = api.post("/v1/webhooks/test", params={"webhook": "alerts"}).json()
                assert api.post("/v1/webhooks/test", params={"webhook": "none"}).status_code == 409
                # A late event of the period before, which is not billed yet, crosses that one's thresholds.
                before = datetime.fromisoformat(current["period_start"]) - timedelta(seconds=1)
                road.send([("call", "acme", "late", before.isoformat(), {"units": 20, "user": "u0"})])
                periods = partial(api.get, "/v1/alerts", params={"rule": "budget", "state": "fired"})
                of_rule = [one["period_end"] for one in listed if (one["rule"], one["state"]) == ("budget", "fired")]
                expected = sorted([*of_rule, current["period_start"], current["period_start"]])
                wait_until(
                    lambda: sorted(one["period_end"] for one in periods().json()["alerts"]) == expected, timeout=120
                )
                assert api.get("/v1/webhooks/deliveries", params={"cursor": delivered["next_cursor"]}).is_success
                assert api.get("/v1/alerts", params={"cursor": "1_inv_2"}).status_code == 422
                judged = anomalies_of(road, api, wait_until)
                spikes = {"account_id": "busy", "kind": "spike", "metric": "calls.units", "rule": "odd"}
                assert api.get("/v1/anomalies", params=spikes).json()["anomalies"] == judged[:1]
                assert api.get("/v1/anomalies", params={"metric": "calls.users"}).json()["anomalies"] == []
                said = {f"{one['alert_id']}_v1" for one in judged}
                wait_until(lambda: said == {one.id for one in receiver.got if b"anomaly.detected" in one.body})
        finally:
            for process in (first, second):
                process.kill()
        assert page["alerts"] + rest["alerts"] == listed, "of nobody else, and each once"
        assert len(listed) == len(fired | recovered | anew)
        assert {(one["rule"], one["threshold"], one["episode"]) for one in still} == {
            ("budget", "80%", 1), ("budget", "100%", 2), ("low", "50%", 2), ("users", "5", 2),
            ("share", "80%", 1), ("share", "100%", 2),
        }  # fmt: skip
        sent = {path: [one for one in receiver.got if one.path == path] for path in secrets}
        assert {len(set(secrets.values())), pinged["status"]} == {3, 204}
        assert all(one.signed_by(secrets[one.path]) for one in receiver.got)
        assert {one.id for one in sent["/recovered"]} == {
            f"{one['alert_id']}_v{one['version']}" for one in listed if one["state"] == "recovered"
        }
        known = {one["alert_id"] for one in listed}
        messages = {one.id: json.loads(one.body)["data"] for one in sent["/alerts"] if one.id[:28] in known}
        assert messages == {f"{one['alert_id']}_v{one['version']}": one for one in listed}
        newest = {(one["rule"], one["threshold"]): one for one in reversed(listed)}
        assert newest["budget", "100%"]["value"] == plain(Decimal(current["estimated_subtotal"]))
        assert newest["budget", "100%"]["period_start"] == current["period_start"]
        assert (newest["share", "100%"]["value"], check["allowed"]) == (check["used"], False)
        assert newest["low", "50%"]["value"] == plain(20 - Decimal(current["estimated_subtotal"]))
        newest_sent = delivered["deliveries"][0]
        assert (newest_sent["alert_id"] or newest_sent["topup_id"]) in {*known, topup_id}
    road.client.close()
