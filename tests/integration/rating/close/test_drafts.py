"""Drafts at the API: refreshed while grace lasts, approved as looked at, held and released; nothing counts them
before."""

from __future__ import annotations

import html
import re
import threading
import uuid
from typing import Any

import httpx
import pytest

from rating.verify.verification import verify
from schemas.http.api_keys import ROOT_AUTHOR, key_hash, key_text
from schemas.settings import Settings
from tests.integration.conftest import Waiting
from tests.integration.rating.road import KEY, Road

pytestmark = pytest.mark.integration

FEBRUARY = "2013-02-02T00:00:00+00:00"


def test_drafts_are_refreshed_approved_held_and_finalised_once(
    settings: Settings, service: httpx.Client, road: Road
) -> None:
    road.publish("meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "count"}])
    road.publish("product", code="call", profile="calls.n")
    charges = [{"product": "call", "price": {"model": "per_unit", "unit_amount": "1"}}]
    road.publish("plan", code="checked", currency="USD", grace_seconds=0, charges=charges, approval="required")
    road.publish("plan", code="easy", currency="USD", grace_seconds=3 * 86_400, charges=charges)
    for account, plan in (("acme", "checked"), ("bolt", "easy")):
        road.publish("account", code=account)
        road.publish("subscription", code=account, account=account, plan=plan, start="2013-01-01T00:00:00Z")
    named = {"Weir-Namespace": road.namespace}

    def used(month: int, count: int, account: str = "acme") -> None:
        road.send([("call", account, uuid.uuid4().hex, f"2013-{month:02}-10T00:00:00Z", {}) for _ in range(count)])

    def ask(name: str, what: str, **body: Any) -> httpx.Response:
        return service.post(f"/v1/invoices/{name}/{what}", json=body, headers=named)

    def listed(**query: str) -> dict[str, dict[str, Any]]:
        found = service.get("/v1/invoices", params=query, headers=named).json()["invoices"]
        return {one["subscription"]: one for one in found}

    used(1, 5)
    used(1, 4, "bolt")
    first = road.close(FEBRUARY)
    assert (first.invoices, [one.total for one in first.drafts]) == ((), ["5.00", "4.00"])
    assert len(first.awaiting) == 1
    # The list of what to look at comes before somebody approves.
    run = service.get("/v1/runs", headers=named).json()["runs"][0]
    assert (run["drafts"], run["invoices"], run["checkpoint"]) == (True, 0, first.drafts[0].checkpoint)
    checks = service.get(f"/v1/runs/{run['run_id']}", headers=named).json()["checklist"]
    assert [check["check"] for check in checks] == [check.name for check in first.checks]
    drafts = listed(state="draft")
    assert listed() == {}
    assert {one["draft"]["approval"] for one in drafts.values()} == {"required", "none"}
    acme, bolt = drafts["acme"]["invoice_id"], drafts["bolt"]["invoice_id"]
    assert {(one["number"], one["due_date"], one["amount_due"]) for one in drafts.values()} == {(None, None, "0.00")}
    # Nothing counts them: not the export, nor views, nor the account's credits and running period.
    assert len(service.get("/v1/invoices/export", headers=named).text.splitlines()) == 1
    assert road.client.query(
        f"SELECT count() FROM standing_invoices WHERE namespace = '{road.namespace}'"
    ).result_rows == [(0,)]
    assert road.client.query(f"SELECT count() FROM open_drafts WHERE namespace = '{road.namespace}'").result_rows == [
        (2,)
    ]
    # One more event, and only that draft has another version; then nothing is new, and nothing is written.
    used(1, 1)
    assert [(one.invoice_id, one.version, one.total) for one in road.close(FEBRUARY).drafts] == [(acme, 2, "6.00")]
    assert road.close(FEBRUARY).drafts == ()
    assert verify(settings, namespace=road.namespace, invoices=True) == []
    lines = service.get(f"/v1/invoices/{acme}/lines/1/explain", headers=named)
    assert (lines.json()["quantity"]["billed"], lines.json()["quantity"]["agrees"]) == ("6", True)
    # Only what was looked at is approved, and no draft is paid or voided.
    refused = ask(acme, "approve", version=1)
    assert (refused.status_code, "at version 2, and was refreshed" in refused.json()["detail"]) == (409, True)
    for what, body in (("payments", {"amount": "1", "reference": "p"}), ("void", {"reason": "no"})):
        assert "is a draft" in ask(acme, what, **body).json()["detail"]
    assert ask(bolt, "approve", version=1).status_code == 409
    assert (ask("inv_none", "approve", version=1).status_code, ask(acme, "approve").status_code) == (404, 422)
    assert ask(acme, "hold", reason="ask them").json()["draft"]["held"]["reason"] == "ask them"
    assert "release it first" in ask(acme, "approve", version=2).json()["detail"]
    assert ask(acme, "release").json()["version"] == 4
    used(1, 2)  # unseen by the draft: the next invoice adjusts it
    approved = [ask(acme, "approve", version=2).json() for _ in range(2)][-1]
    assert (approved["state"], approved["version"], approved["total"], approved["approved"]["draft"]) == (
        "finalized",
        1,
        "6.00",
        4,
    )
    assert approved["number"].endswith("-000001")
    assert approved["due_date"] > "2026"
    assert ask(acme, "hold", reason="late").status_code == 409
    # What is held waits, and with it all that follows; released, it is finalised with what came by then.
    assert ask(bolt, "hold", reason="wrong address").status_code == 200
    march = "2013-03-05T00:00:00+00:00"
    close = road.close(march)
    assert close.invoices == ()
    assert [(one.subscription, one.total) for one in close.drafts] == [("acme", "2.00"), ("bolt", "0.00")]
    assert [("held since" in text, bolt in text) for text in close.awaiting] == [(False, False), (True, True)]
    assert listed(state="draft")["acme"]["invoice_id"] != acme
    used(1, 1, "bolt")
    assert ask(bolt, "release").status_code == 200
    # Two approvers and two closes at once.
    waiting = listed(state="draft")["acme"]
    answers: list[Any] = []
    calls = [lambda: answers.append(ask(waiting["invoice_id"], "approve", version=waiting["version"]).status_code)] * 2
    closes = [lambda: answers.append(len(road.close(march).problems))] * 2
    threads = [threading.Thread(target=call) for call in (*calls, *closes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [0, 0, 200, 200]
    invoices = service.get("/v1/invoices", headers=named).json()["invoices"]
    assert sorted((one["subscription"], one["total"]) for one in invoices) == [
        ("acme", "2.00"), ("acme", "6.00"), ("bolt", "0.00"), ("bolt", "5.00"),
    ]  # fmt: skip
    assert sorted(int(one["number"].rpartition("-")[2]) for one in invoices) == [1, 2, 3, 4]
    assert listed(state="draft") == {}
    assert verify(settings, namespace=road.namespace) == []
    assert verify(settings, namespace=road.namespace, invoices=True) == []


def form_of(page: str, decision: str) -> tuple[str, dict[str, str]]:
    """(address, fields as they stand) of the form of a decision, as a browser would send it."""
    (form,) = re.findall(rf'<form[^>]*action="([^"]*/{decision}\?[^"]*)"[^>]*>(.*?)</form>', page)
    fields = re.findall(r'<input[^>]* name="(\w+)"(?: value="([^"]*)")?', form[1])
    return form[0], dict(fields)


def test_the_console_decides_by_forms_of_its_session_alone(
    service: httpx.Client, road: Road, wait_until: Waiting
) -> None:
    road.publish("meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "count"}])
    road.publish("product", code="call", profile="calls.n")
    charges = [{"product": "call", "price": {"model": "per_unit", "unit_amount": "2"}}]
    road.publish("plan", code="checked", currency="USD", grace_seconds=0, charges=charges, approval="required")
    road.publish("account", code="acme")
    road.publish("subscription", code="acme", account="acme", plan="checked", start="2013-01-01T00:00:00Z")
    read = key_text(road.namespace, "looks", b"r" * 32)
    road.publish("api_key", code="looks", hash=key_hash(read), scopes=["read"])
    road.send([("call", "acme", uuid.uuid4().hex, "2013-01-10T00:00:00Z", {}) for _ in range(3)])
    (draft,) = road.close(FEBRUARY).drafts
    query = {"namespace": road.namespace}
    wait_until(lambda: service.get("/v1/runs", headers={"Authorization": f"Bearer {read}"}).status_code == 200)
    with (
        httpx.Client(base_url=service.base_url, timeout=60) as browser,
        httpx.Client(base_url=service.base_url, timeout=60) as viewer,
    ):
        assert browser.post("/login", data={"key": KEY}).status_code == 303
        assert viewer.post("/login", data={"key": read}).status_code == 303

        def page() -> str:
            return browser.get(f"/invoices/{draft.invoice_id}", params=query).text

        def press(decision: str, **typed: str) -> httpx.Response:
            address, fields = form_of(page(), decision)
            return browser.post(html.unescape(address), data=fields | typed)

        # Another site has no token, another session another one, and who may only look has no forms.
        address, fields = form_of(page(), "approve")
        for client, sent in ((browser, fields | {"token": ""}), (viewer, fields)):
            assert client.post(html.unescape(address), data=sent).status_code == 403
        assert "Decide" not in viewer.get(f"/invoices/{draft.invoice_id}").text
        assert "recorded" not in browser.get(f"/invoices/{draft.invoice_id}", params=query | {"done": "payments"}).text
        held = press("hold", reason="<b>ask them</b>")
        assert (held.status_code, held.headers["location"].endswith("done=hold")) == (303, True)
        assert "held since" in page()
        assert "&lt;b&gt;ask them&lt;/b&gt;" in page()
        late = browser.post(html.unescape(address), data=fields)
        assert (late.status_code, "release it first" in late.text) == (409, True)
        assert press("release").status_code == 303
        approved = press("approve")
        assert approved.status_code == 303
        assert "The draft was approved" in browser.get(approved.headers["location"]).text
        assert f"Approved by {ROOT_AUTHOR} at" in page()
        wrong = press("payments", reference="wire 1", amount="7")
        assert (wrong.status_code, 'role="alert"' in wrong.text) == (409, True)
        assert press("payments", reference="wire 1", amount="much").status_code == 422
        assert press("payments", reference="wire 1").status_code == 303
        paid = page()
        assert "wire 1" in paid
        assert "/payments?" not in paid, "nothing is due"
        assert press("void", reason=" ").status_code == 422
        refused = press("void", reason="wrong price")
        assert (refused.status_code, "paid" in refused.text) == (409, True)
