"""Events voided before and after their period is billed, and one corrected: totals by both plans, invoices,
adjustments, books, proofs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rating.books import read_books
from rating.doctor.findings import findings_of
from rating.explain import Ledgers, explain, read_subject
from rating.explain.answer import sentence
from rating.invoices.read import read_invoice
from rating.periods import parse_range, parse_zone
from rating.usage import UsageQuery, measured, usage_totals
from rating.verify.scope import open_scope
from rating.verify.verification import verify
from schemas.catalog.profiles import resolve
from schemas.ledgers.invoice_record import Invoice
from schemas.settings import Settings
from schemas.values.instants import micros
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

METRICS = ("calls.sum", "calls.max", "calls.unique")


def test_voids_before_and_after_the_close_and_a_correction(settings: Settings, wait_until: Callable[..., Any]) -> None:
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    profiles = [{"code": code, "aggregation": aggregation, "property": ["v"]}
                for code, aggregation in (("sum", "sum"), ("max", "max"), ("unique", "count_unique"))]  # fmt: skip
    road.publish("meter", code="calls", event_name="call", profiles=profiles)
    charges = []
    for metric in METRICS:
        road.publish("product", code=metric.partition(".")[2], profile=metric)
        charges.append({"product": metric.partition(".")[2], "price": {"model": "per_unit", "unit_amount": "1"}})
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
    for account in ("acme", "beta"):
        road.publish("account", code=account)
        road.publish("subscription", code=account, account=account, plan="basic", start="2013-01-01T00:00:00Z")

    def used(account: str, key: str, value: int, day: int = 10) -> None:
        road.send([("call", account, key, f"2013-01-{day:02}T12:00:00Z", {"v": value})])

    def amounts(invoices: Iterable[Invoice], account: str) -> dict[tuple[str, str], str]:
        (one,) = [invoice for invoice in invoices if invoice.account_id == account]
        return {(line.kind, line.charge): line.amount for line in one.lines if line.amount != "0.00"}

    used("acme", "a1", 10)
    used("acme", "a2", 7, 11)
    used("acme", "a3", 7, 12)
    used("beta", "b1", 3)
    used("acme", "mistake", 100)
    road.void("mistake", "mistake", "never sent")
    used("acme", "mistake", 100)  # a copy of a voided event is a duplicate as before
    january = road.close("2013-02-01T00:00:00+00:00")
    assert amounts(january.invoices, "acme") == {
        ("usage", "sum"): "24.00",
        ("usage", "max"): "10.00",
        ("usage", "unique"): "2.00",
    }
    assert amounts(january.invoices, "beta") == {
        ("usage", "sum"): "3.00",
        ("usage", "max"): "3.00",
        ("usage", "unique"): "1.00",
    }

    road.void("a1", reason="test traffic")
    february = road.close("2013-03-01T00:00:00+00:00")
    credit = {("adjustment", "sum"): "-10.00", ("adjustment", "max"): "-3.00", ("adjustment", "unique"): "-1.00"}
    assert amounts(february.invoices, "acme") == credit
    assert amounts(february.invoices, "beta") == {}

    # A correction is a void and an event under a key of its own.
    used("acme", "a1#corrected", 4)
    road.void("a2")
    road.void("b1", reason="the last one")
    march = road.close("2013-04-01T00:00:00+00:00")
    assert amounts(march.invoices, "acme") == {("adjustment", "sum"): "-3.00", ("adjustment", "unique"): "1.00"}

    # Nothing is left: the maximum is none, and all that was billed comes back.
    assert amounts(march.invoices, "beta") == {
        ("adjustment", "sum"): "-3.00",
        ("adjustment", "max"): "-3.00",
        ("adjustment", "unique"): "-1.00",
    }

    scope = open_scope(settings, road.namespace)
    start, end = (micros(datetime(2013, month, 1, tzinfo=UTC)) for month in (1, 2))
    expected = [  # of each run: sum, max, unique and events of the account as of its checkpoint
        (january.run, (24, 10, 2), 3), (february.run, (14, 7, 1), 2), (march.run, (11, 7, 2), 2),
    ]  # fmt: skip
    for run, quantities, events in expected:
        cut = scope.checkpoints.cut(run.number)
        for metric, quantity in zip(METRICS, quantities, strict=True):
            profile = measured(resolve(scope.catalog.view(road.namespace), metric), start, end)
            query = UsageQuery(road.namespace, profile, start, end, by_account=True, as_of=cut, rolled_up=cut)
            for plan in ("records", "windows"):
                rows = usage_totals(road.client, replace(query, plan=plan))
                found = {row.account_id: (row.usage.quantity, row.usage.events) for row in rows}
                assert found["acme"] == (quantity, events), (metric, run, plan)
                assert ("beta" in found) == (run is not march.run)

    credit_id = next(one.invoice_id for one in february.invoices if one.account_id == "acme")
    wait_until(lambda: read_invoice(road.client, road.namespace, credit_id) is not None)
    whole = read_invoice(road.client, road.namespace, credit_id)
    (line,) = [one for one in whole.lines if (one.kind, one.charge) == ("adjustment", "sum")]
    ledgers = Ledgers(scope.catalog, scope.checkpoints)
    answer = explain(road.client, ledgers, read_subject(road.client, ledgers, road.namespace, credit_id, line.number))
    assert ": 1 event was voided between them; " in sentence(answer)
    change = answer["adjustment"]
    assert (change["late_events"]["count"], change["voided_events"]["count"]) == (0, 1)
    told = change["voided_events"]["events"][0]
    assert (told["idempotency_key"], told["quantity"], told["reason"], told["author"]) == (
        "a1",
        "10",
        "test traffic",
        "test",
    )

    found = road.diagnosis("acme", "calls.sum", parse_range("2013-01", parse_zone("UTC")))
    assert (found.received, found.matched, sum(group.events for group in found.voided), found.unexamined) == (
        5,
        2,
        3,
        0,
    )
    assert any("test traffic" in sentence for sentence in findings_of(found))
    without = road.client.query(
        "SELECT idempotency_key, reason FROM rejected_events FINAL WHERE namespace = {n:String} "
        "ORDER BY idempotency_key",
        parameters={"n": road.namespace},
    ).result_rows
    assert without == [("mistake", "already_voided"), ("never sent", "nothing_to_void")]
    books = read_books(road.client, road.namespace)
    assert (books.metered, books.duplicates, books.voided, books.balanced) == (6, 1, 4, True)
    assert verify(settings, namespace=road.namespace) == []
    assert verify(settings, namespace=road.namespace, invoices=True) == []
    daily = road.client.query(
        "SELECT toString(sum(sum)), sum(count) FROM usage_daily WHERE namespace = {n:String} "
        "AND profile_id = 'calls.sum'",
        parameters={"n": road.namespace},
    ).result_rows
    assert daily == [("11", 2)]
    where = "namespace = {n:String} AND idempotency_key = 'a1'"
    kept = road.client.query(f"SELECT * FROM voided_events WHERE {where}", parameters={"n": road.namespace})
    delete = f"ALTER TABLE voided_events DELETE WHERE {where} SETTINGS mutations_sync = 2"
    road.client.command(delete, parameters={"n": road.namespace})
    missed = {one.what for one in verify(settings, namespace=road.namespace, invoices=True)}
    road.client.insert("voided_events", kept.result_rows, column_names=kept.column_names)
    assert missed >= {"voided event", "invoice line"}
    scope.client.close()
    road.client.close()
