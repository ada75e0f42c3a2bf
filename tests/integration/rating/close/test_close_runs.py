"""The close on the real stack: exact bills across daylight saving, repeated, doubled and interrupted runs."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from rating.close import CloseError, CloseResult, run_close
from rating.close.billing_run import Close
from rating.close.checkpoint import end_offsets, wait_metered, wait_rolled_up
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.invoices.ledger import StandingInvoices, invoices_reader, read_standing
from rating.invoices.lists import list_invoices
from rating.invoices.publish_invoices import publish
from rating.invoices.read import read_invoice
from rating.verify.verification import verify
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.values.instants import rfc3339
from tests.integration.rating.close.shop import APRIL, MARCH, NOTHING, bills, call, open_shop
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(road: Road) -> Road:
    return open_shop(road)


def test_three_months_are_caught_up_exactly_and_a_second_run_publishes_nothing(shop: Road) -> None:
    result = shop.close()
    assert (len(result.invoices), result.already, result.problems) == (9 + 1, 0, ())
    found = bills(shop)
    assert found["acme", "2013-03-01T05:00:00Z"] == MARCH
    assert found["acme", "2013-04-01T04:00:00Z"] == NOTHING | APRIL
    assert found["acme", "2013-05-01T04:00:00Z"] == NOTHING
    assert found["utc", "2013-04-01T00:00:00Z"]["long"] == ("5", "0.50")
    assert ("utc", "2013-06-01T00:00:00Z") in found  # the four hours that New York's June starts later
    assert all(bill == NOTHING for (account, _), bill in found.items() if account == "beta")
    again = shop.close()
    assert (again.run, again.invoices) == (None, ())
    assert "no invoice was published" in again.summary()
    assert bills(shop) == found


def test_a_run_as_of_an_instant_bills_what_was_due_then_and_a_dry_run_writes_nothing(shop: Road) -> None:
    dry = shop.close("2013-04-01T04:00:00+00:00", dry_run=True)
    assert {(item.account_id, item.total) for item in dry.invoices} == {
        ("acme", "29.72"),
        ("beta", "10.00"),
        ("utc", "9.93"),  # its first month starts five hours late: 739 of 744 hours of 10.00
    }
    assert list_invoices(shop.client, shop.namespace).invoices == ()
    real = shop.close("2013-04-01T04:00:00+00:00")
    assert [(item.invoice_id, item.total) for item in real.invoices] == [
        (item.invoice_id, item.total) for item in dry.invoices
    ]
    assert len(bills(shop)) == 3


def test_two_processes_at_once_bill_everything_once(shop: Road) -> None:
    results: list[CloseResult] = []
    threads = [threading.Thread(target=lambda: results.append(shop.close())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 2
    assert sum(len(result.invoices) for result in results) == 10
    assert {result.run.run_id for result in results if result.run is not None} == {
        item.run_id for result in results for item in result.invoices
    }
    assert len(bills(shop)) == 10


def asked(shop: Road) -> CloseRequest:
    return CloseRequest(
        settings=shop.settings,
        client=shop.client,
        namespace=shop.namespace,
        as_of=NOW,
        now=NOW,
        on_progress=lambda *_: None,
    )


def test_a_run_that_died_half_way_is_joined_as_of_its_own_checkpoint(shop: Road) -> None:
    with invoices_reader(shop.settings) as reader, closing(CheckpointLedger(shop.settings)) as ledger:
        standing = read_standing(reader, StandingInvoices())
        dying = Close(asked(shop), FollowedLedgers(reader, ledger, standing))
        ledger.refresh()
        announced = dying.announcer.announced(dying.planning.plan({}), {})
        run = announced.run
        wait_rolled_up(shop.client, announced.cut, lambda *_: None)
        invoices = dying.rated_plan.rated(announced.plan, run, announced.cut)[0]
        assert [item.account_id for item in invoices] == ["acme"] * 3 + ["beta"] * 3 + ["utc"] * 4
        won = publish(LedgerWriter(shop.settings, "usage.invoices"), reader, standing, invoices[:4], lambda *_: None)
    assert len(won) == 4
    shop.send([call("utc", 90, "2013-03-05T00:00:00Z", 100)])  # beyond the checkpoint of the run
    result = shop.close()
    assert result.run == run
    assert list(result.invoices) == list(invoices[4:])
    late = shop.close()
    assert [(item.account_id, item.sequence, item.total) for item in late.invoices] == [("utc", 1, "19.01")]


def test_late_usage_is_billed_on_the_next_invoice_with_the_price_as_pinned(shop: Road) -> None:
    shop.close("2013-04-01T04:00:00+00:00")
    shop.send(
        [
            call("acme", 91, "2013-03-20T00:00:00Z", 59.5, who="ann"),
            call("acme", 92, "2013-04-20T00:00:00Z", 59.5, who="ann"),  # not late
            call("beta", 93, "2013-02-20T00:00:00Z", 59.5),  # before all periods
        ]
    )
    shop.publish("plan", code="basic", currency="USD", interval="month", grace_seconds=0, charges=[])
    shop.close("2013-05-01T04:00:00+00:00")
    found = bills(shop)
    assert found["acme", "2013-03-01T05:00:00Z"] == MARCH
    april = next(
        head for head in list_invoices(shop.client, shop.namespace, account_id="acme").invoices
        if rfc3339(head.period_start_us) == "2013-04-01T04:00:00Z"
    )  # fmt: skip
    whole = read_invoice(shop.client, shop.namespace, april.invoice_id)
    assert whole is not None
    lines = [
        (
            line.charge,
            line.amount,
            None if line.quantity is None else int(line.quantity),
            line.adjusts == april.predecessor,
        )
        for line in whole.lines
        if line.kind == "adjustment"
    ]
    # 4 calls: 2 × 1.005 + 3 + 2 × 0.5 = 6.01; 120 s in: 1.2 + 30 × 0.02 = 1.8; two callers still make one package of
    # two.
    assert lines == [("calls", "0.50", 4, True), ("time", "0.59", 150, True)]
    assert Decimal(whole.head.total) == Decimal("10.00") + Decimal("0.50") + Decimal("0.59") + sum(
        (Decimal(line.amount) for line in whole.lines if line.kind == "usage"), Decimal(0)
    )
    assert found["beta", "2013-04-01T04:00:00Z"] == NOTHING
    shop.close("2013-05-01T04:00:00+00:00")
    assert bills(shop) == found


def test_behind_a_lock_date_late_usage_is_left_out_and_listed(shop: Road, service: httpx.Client) -> None:
    shop.close("2013-04-01T04:00:00+00:00")
    shop.publish("namespace", code=shop.namespace, max_event_age_seconds=None, lock_date="2013-04-01")
    shop.send([call("acme", 91, "2013-03-20T00:00:00Z", 59.5), call("acme", 92, "2013-04-20T00:00:00Z", 1)])
    shop.void("2")
    closed = shop.close("2013-05-01T04:00:00+00:00")
    assert {line.kind for invoice in closed.invoices for line in invoice.lines} == {"usage", "flat"}
    shop.send([call("acme", 93, "2013-04-21T00:00:00Z", 59.5)])  # late as well, and not locked
    wait_metered(shop.client, end_offsets(shop.settings), lambda *_: None)
    named = {"Weir-Namespace": shop.namespace}
    report = service.get("/v1/reports/late-usage", headers=named).json()
    # Still three calls; 60 and 59.5 s in: 0.01 × 119.5 + 30 × 0.02 = 1.795; two lines stay as they were.
    assert {(one["charge"], one["period_start"], one["difference"]) for one in report["lines"]} == {
        ("calls", "2013-04-01T04:00:00Z", "3.50"),
        ("time", "2013-04-01T04:00:00Z", "0.60"),
        ("long", "2013-04-01T04:00:00Z", "5.25"),
    }
    left_out = report["left_out"]
    assert (left_out["lock_date"], left_out["since"], left_out["problems"]) == ("2013-04-01", "2012-12-30", [])
    assert [(one["account_id"], one["charge"], one["billed"], one["now"]) for one in left_out["lines"]] == [
        ("acme", "time", "1.21", "1.80")
    ]
    later = service.get("/v1/reports/late-usage", params={"left_out_since": "2013-04-02"}, headers=named).json()
    assert later["left_out"]["lines"] == []
    march = left_out["lines"][0]["invoice_id"]
    explained = service.get(f"/v1/invoices/{march}/lines/2/explain", headers=named).json()
    assert (explained["locked"]["late_events"], explained["locked"]["voided_events"]) == (1, 1)
    assert "behind the lock date 2013-04-01" in explained["sentence"]
    assert verify(shop.settings, namespace=shop.namespace) == []


def test_late_usage_that_comes_while_a_run_starts_is_in_its_plan(shop: Road) -> None:
    shop.close("2013-04-01T04:00:00+00:00")
    with invoices_reader(shop.settings) as reader, closing(CheckpointLedger(shop.settings)) as ledger:
        standing = read_standing(reader, StandingInvoices())
        ledger.refresh()
        starting = Close(asked(shop), FollowedLedgers(reader, ledger, standing))
        assert starting.planning.late(None) == {}
        planned = starting.planning.plan({})
        shop.send([call("beta", 95, "2013-03-20T00:00:00Z", 10)])
        starting.planning.read_catalog()
        announced = starting.announcer.announced(planned, {})
    with_prior = [billing for billing in announced.plan.billings if billing.prior]
    assert [(one.due.account_id, len(one.prior), one.due.position.predecessor) for one in with_prior] == [
        ("beta", 4, standing.chain(shop.namespace, "beta-basic")[0].invoice_id)
    ]
    shop.close()
    assert bills(shop)["beta", "2013-04-01T04:00:00Z"]["long"] == ("10", "1.00")


@pytest.mark.parametrize("dry_run", [True, False])
def test_late_usage_after_the_last_period_comes_on_an_invoice_of_its_own(
    shop: Road, stack: Stack, dry_run: bool
) -> None:
    """Also where nothing else is due and the worker has not counted it yet: what was acknowledged before a close is in
    it."""
    shop.close()
    before = bills(shop)
    stack.send_signal("worker-0", signal.SIGSTOP)
    waited: list[str] = []

    def go_on(doing: str, *_: int) -> None:
        if not waited:
            stack.send_signal("worker-0", signal.SIGCONT)
        waited.append(doing)

    try:
        shop.send([call("beta", 94, "2013-05-20T00:00:00Z", 10)])
        result = run_close(shop.settings, shop.namespace, None, datetime.now(UTC), go_on, dry_run)
    finally:
        stack.send_signal("worker-0", signal.SIGCONT)
    assert waited[0] == "metering"
    assert [(item.account_id, item.sequence, item.total) for item in result.invoices] == [
        ("beta", 1, "9.11")  # 1.005, 0.1, 1 and 7, each rounded
    ]
    if dry_run:
        assert bills(shop) == before
        return
    again = shop.close()
    assert again.invoices == ()
    assert "no invoice was published" in again.summary()
    assert {key: bill for key, bill in bills(shop).items() if key[0] != "beta"} == {
        key: bill for key, bill in before.items() if key[0] != "beta"
    }


def test_a_subscription_published_later_is_billed_by_a_run_of_its_own(shop: Road) -> None:
    first = shop.close()
    shop.publish(
        "subscription", code="late", account="beta", plan="basic", plan_version=1,
        start="2013-03-01T05:00:00Z", end="2013-06-01T04:00:00Z",
    )  # fmt: skip
    second = shop.close()
    assert first.run is not None
    assert second.run is not None
    assert second.run.run_id != first.run.run_id
    assert {item.subscription for item in second.invoices} == {"late"}
    assert len(second.invoices) == 3


def test_what_cannot_be_closed_is_said(shop: Road) -> None:
    future = NOW + timedelta(days=1)
    with pytest.raises(CloseError, match="lies in the future"):
        run_close(shop.settings, shop.namespace, future, NOW, lambda *_: None)
    with pytest.raises(CloseError, match="there is no namespace nowhere; known: "):
        run_close(shop.settings, "nowhere", None, NOW, lambda *_: None)


NOW = datetime.now(UTC)
MAY = datetime(2013, 5, 1, 4, tzinfo=UTC)


def test_a_strict_close_bills_nothing_and_leaves_no_run_where_the_checklist_finds_something(shop: Road) -> None:
    shop.send([("call", "stranger", "60", "2013-03-20T00:00:00Z", {"s": 1, "who": "x", "way": "in"})])
    shop.close("2013-04-01T04:00:00+00:00")
    shop.send([("visit", "acme", "61", "2013-04-20T00:00:00Z", {})])
    told: list[Any] = []
    strict = run_close(shop.settings, shop.namespace, MAY, NOW, lambda *_: None, strict=True, on_checks=told.append)
    assert (strict.refused, strict.invoices, told) == (True, (), [strict.checks])
    result = shop.close(MAY.isoformat())
    assert len(result.invoices) == 3
    assert result.checks == strict.checks
    counts = {check.name: check.count for check in result.checks if check.count}
    # beta was silent in March as well; of acme's lines, time and long are less than half of March's, calls are 1.01
    # after 5.51. The plan charges calls by number, seconds, longest and callers: told, and nothing that a strict close
    # waits for.
    assert counts == {"unmetered_events": 1, "billed_twice": 1}
    assert {check.name: check.examples for check in result.checks}["unmetered_events"] == (
        "events visit: no meter counts them",
    )
    with closing(CheckpointLedger(shop.settings)) as ledger:
        assert result.run is not None
        assert ledger.refresh().runs[result.run.run_id].body["checklist"] == [
            check.to_json() for check in result.checks
        ]
