"""Webhooks on the real road: refused and tried again, killed between delivery and record, beside a receiver that is
dead."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rating.webhooks import store
from rating.webhooks.receiver import signing
from schemas.settings import Settings
from tests.integration.rating.getting import client
from tests.integration.rating.processes import Process
from tests.integration.rating.receiver import Got, Receiver, deliverer
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def pair(settings: Settings) -> Iterator[tuple[Road, Road]]:
    """Two namespaces with a flat fee a month."""
    roads = tuple(Road(settings, f"hook{number}-{uuid.uuid4().hex[:8]}") for number in range(2))
    for road in roads:
        road.publish("product", code="fee", kind="flat")
        charges = [{"product": "fee", "price": {"model": "flat", "amount": "12.5"}}]
        road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
        road.publish("account", code="acme")
        road.publish("subscription", code="s", account="acme", plan="basic", start="2013-01-01T00:00:00Z")
    yield roads
    for road in roads:
        road.client.close()


def hooked(road: Road, url: str | None, **more: Any) -> None:
    webhook = None if url is None else {"url": url, **more}
    road.publish("namespace", code=road.namespace, max_event_age_seconds=None, webhook=webhook)


def test_delivered_at_least_once_in_order_and_signed_over_refusals_and_a_kill(
    pair: tuple[Road, Road], settings: Settings, tmp_path: Path, wait_until: Any
) -> None:
    good, bad = pair
    held: list[str] = []

    def answer(one: Got, earlier: int) -> int | None:
        if earlier < 2:
            return (500, 302)[earlier]
        if not held:
            held.append(one.id)
            return None  # and the process dies before it knows
        return 204

    secret = signing.secret_text(signing.secret(signing.root_key(settings), good.namespace, 1))
    good.close("2013-02-01T00:00:00+00:00")  # before there is a webhook: not sent
    with Receiver(answer) as receiver, Receiver(lambda *_: None) as dead:
        hooked(good, f"{receiver.url}/hook?token=of-the-receiver")
        hooked(bad, dead.url)
        first = deliverer(settings, tmp_path / "log")
        second: Process | None = None
        try:
            bad.close("2013-03-01T00:00:00+00:00")
            wait_until(lambda: dead.got)
            (invoice,) = good.close("2013-03-01T00:00:00+00:00").invoices
            name = invoice.invoice_id
            wait_until(lambda: held)
            first.kill()
            with client(good) as api:
                shown = api.get(f"/v1/invoices/{name}").json()
                paid = api.post(f"/v1/invoices/{name}/payments", json={"amount": "12.5", "reference": "p"}).json()
            second = deliverer(settings, tmp_path / "log")
            wait_until(lambda: receiver.got[-1].id == f"{name}_v2")
            wait_until(lambda: store.summary(good.client, good.namespace).delivered == 2)
            summary = store.summary(good.client, good.namespace)
            sent = list(receiver.got)
            with client(good) as api:
                assert api.get("/v1/webhooks/secret").json()["secret"] == secret
                pinged = api.post("/v1/webhooks/test").json()
                replayed = api.post("/v1/webhooks/replay", json={"since": "2013-01-01T00:00:00Z"}).json()
                wait_until(lambda: len(receiver.got) == len(sent) + 1 + replayed["messages"])
                status = api.get("/v1/webhooks").json()
                listed = api.get("/v1/webhooks/deliveries", params={"state": "delivered", "limit": 1}).json()
                assert api.post("/v1/webhooks/replay", json={}).status_code == 422
        finally:
            for process in (first, second):
                if process is not None:
                    process.kill()
        ids = [one.id for one in sent]
        assert ids == [f"{name}_v1"] * (len(ids) - 1) + [f"{name}_v2"]
        assert len(ids) >= 5, "refused three times, taken and not known, taken again; more copies are no fault"
        assert all(one.signed_by(secret) for one in receiver.got)
        assert {one.path for one in receiver.got} == {"/hook?token=of-the-receiver"}, "no redirect was followed"
        messages = [json.loads(one.body) for one in sent[-2:]]
        assert [one["type"] for one in messages] == ["invoice.finalized", "invoice.paid"]
        assert [one["data"] for one in messages] == [shown, paid]
        assert shown["number"]
        assert (summary.waiting, summary.given_up) == (0, 0)
        assert summary.failure is not None
        assert (summary.failure.refused_status, summary.failure.error) == (302, "redirects are not followed")
        ping, *again = receiver.got[len(sent) :]
        assert (pinged["delivered"], pinged["status"], json.loads(ping.body)["type"]) == (True, 204, "webhook.ping")
        assert {one.id for one in again} > {f"{name}_v1", f"{name}_v2"}, "and what came before there was a webhook"
        assert [one.id for one in again if one.id.startswith(name)] == [f"{name}_v1", f"{name}_v2"]
        assert {one.body for one in sent} < {one.body for one in again}, "bodies are the same as before"
        assert (status["delivering"], status["webhook"]["url"].startswith(receiver.url)) == (True, True)
        assert listed["deliveries"][0]["replay"] == replayed["replay"]
        assert listed["next_cursor"]
        waits = store.summary(bad.client, bad.namespace)
        assert (waits.waiting, waits.delivered) == (2, 0)
        assert waits.failure is None or waits.failure.error == "no answer within 2 s"
    log = (tmp_path / "log").read_text()
    assert "redirects are not followed" in log
    for secret_text in ("THE-RECEIVERS-ANSWER", "token=", "whsec", receiver.got[0].headers["webhook-signature"]):
        assert secret_text not in log
