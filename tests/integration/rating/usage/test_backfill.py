"""Profile versions published with a start in the past, on the real stack: what came before them counts, exactly
once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest

from rating.doctor.findings import findings_of
from rating.verify.verification import verify
from schemas.catalog.follower import CatalogFollower
from schemas.kafka.topics import CATALOG
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from tests.integration.rating.road import Road
from tests.integration.rating.usage.backfill_builders import (
    BEFORE,
    FIRST,
    LATER,
    METER,
    OLD,
    SECOND,
    SINCE,
    STRAGGLERS,
    Backed,
    Event,
    at,
    folded,
    killed_in_the_middle,
    of_both,
    of_first,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def backed(settings: Settings) -> Iterator[Backed]:
    own = settings.model_copy(update={"backfill_page_events": 40})
    follower, ledger = CatalogFollower(own).start(), CheckpointLedger(own)
    road = Road(own, f"t{uuid.uuid4().hex[:12]}")
    with LedgerReader(own, CATALOG) as reader:
        yield Backed(road, own, follower, ledger, reader)
    follower.stop()
    ledger.close()
    road.client.close()


def test_a_new_meter_counts_what_came_before_it(backed: Backed, wait_until: Callable[..., Any]) -> None:
    """Killed by SIGKILL, then after each step, and once more."""
    road = backed.road
    road.send(OLD)
    road.publish("meter", **METER, start=FIRST)
    road.send(SINCE)
    killed_in_the_middle(backed, wait_until)
    for step in ("staged", "recorded", "rolled up", "told"):
        backed.run(dies_after=step)
    backed.run()
    reach = backed.job().reaches[0].checkpoint
    everything, before = folded(of_first(OLD + SINCE)), folded(of_first(SINCE))
    assert backed.totals() == backed.totals(plan="windows") == backed.views() == everything
    assert backed.totals(reach) == backed.totals(reach, "windows") == everything
    assert backed.totals(reach - 1) == backed.totals(reach - 1, "windows") == before
    # A gateway that did not know the meter yet: what it sends after the backfill has a checkpoint of its own.
    road.send(STRAGGLERS, backed.job().known_from - 1)
    wait_until(lambda: backed.run() or len(backed.job().reaches) == 2)
    assert backed.totals() == backed.totals(plan="windows") == folded(of_first(BEFORE))
    assert backed.totals(reach, "windows") == everything
    rows = road.client.query("SELECT count() FROM backfill_records WHERE namespace = {n:String}", {"n": road.namespace})
    assert rows.result_rows == [(0,)]


def test_a_later_version_replaces_the_one_before_it_from_its_start(backed: Backed) -> None:
    """What is billed stays as it was billed, also where late usage adjusts it; nothing new is billed until the backfill
    is done."""
    road = backed.road
    road.publish("product", code="km", profile="ride.km")
    charge = {"product": "km", "price": {"model": "per_unit", "unit_amount": "1"}}
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=[charge])
    road.publish("account", code="acme")
    road.publish(
        "subscription", code="acme-1", account="acme", plan="basic", plan_version=1, start="2013-02-01T00:00:00Z",
        end="2013-04-01T00:00:00Z",
    )  # fmt: skip
    (february,) = road.close("2013-03-01T00:00:00+00:00").invoices
    first = backed.totals()
    only_a = {"property": "class", "operator": "eq", "value": "a"}
    road.publish("meter", **METER, filters=[only_a], start=SECOND)
    road.send(LATER)
    waits = road.close("2013-04-01T00:00:00+00:00")
    assert waits.invoices == ()
    assert "is being backfilled from 2013-02-10T06:15:00Z" in waits.problems[0]
    backed.run(dies_after="page")
    assert backed.totals() == folded(of_first(BEFORE) + of_both(LATER))
    assert "ride.km, ride.last" in findings_of(backed.doctor())[1]
    assert "version 2 is backfilling from 2013-02-10T06:15:00Z on" in findings_of(backed.doctor())[1]
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: backed.run(), range(2)))
    assert len(backed.ledger.refresh().backfilled(backed.job().name)) == 1
    found, mine = (
        backed.doctor(),
        [one for one in BEFORE + LATER if one[1] == "acme" and one[3].startswith("2013-02")],
    )
    assert (found.received, found.matched, found.backfilling) == (len(mine), len(of_both(mine)), "")
    assert [(group.why, group.events) for group in found.filtered] == [('class eq "a"', len(mine) - len(of_both(mine)))]
    reach = backed.job().reaches[0].checkpoint
    everything = folded(of_both(BEFORE + LATER))
    assert backed.totals() == backed.totals(plan="windows") == backed.views() == everything
    assert backed.totals(reach) == backed.totals(reach, "windows") == everything
    assert backed.totals(february.checkpoint) == backed.totals(february.checkpoint, "windows") == first
    (march,) = road.close("2013-04-01T00:00:00+00:00").invoices

    def km(events: list[Event], month: int) -> Decimal:
        of_month = [one for one in events if one[1] == "acme" and one[3].startswith(f"2013-{month:02d}")]
        return sum((Decimal(str(one[4]["km"])) for one in of_month), Decimal(0))

    assert [(line.kind, Decimal(line.amount)) for line in march.lines] == [
        ("usage", km(of_both(BEFORE + LATER), 3)),
        ("adjustment", km(of_both(LATER), 2)),
    ]
    assert Decimal(february.lines[0].amount) == km(of_first(BEFORE), 2)
    # Voids: what was billed under the first version is credited as it was billed, whatever the second one makes of it.
    acme = [one for one in OLD if one[1] == "acme" and at(one[3]) >= at(SECOND)]
    of_february = next(one for one in acme if one[3].startswith("2013-02") and one[4]["class"] == "b")
    of_march = next(one for one in acme if one[3].startswith("2013-03") and one[4]["class"] == "a")
    for voided in (of_february, of_march):
        road.void(voided[2], reason="test traffic")
    (credit,) = road.close().invoices
    assert sorted(Decimal(line.amount) for line in credit.lines) == sorted(
        -Decimal(str(one[4]["km"])) for one in (of_february, of_march)
    )
    left = folded(of_both([one for one in BEFORE + LATER if one not in (of_february, of_march)]))
    assert backed.totals() == backed.totals(plan="windows") == backed.views() == left
    assert verify(backed.settings, namespace=road.namespace) == []
    assert verify(backed.settings, namespace=road.namespace, invoices=True) == []


def test_a_void_invoice_is_billed_again_by_the_new_version(
    backed: Backed, road: Road, service: httpx.Client, wait_until: Callable[..., Any]
) -> None:
    """The old one still shows the events that it billed."""
    named = {"Weir-Namespace": road.namespace}
    road.publish("meter", **METER)
    road.publish("product", code="km", profile="ride.km")
    charge = {"product": "km", "price": {"model": "per_unit", "unit_amount": "1"}}
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=[charge])
    road.publish("account", code="acme")
    road.publish(
        "subscription", code="s", account="acme", plan="basic", plan_version=1, start="2013-02-01T00:00:00Z",
        end="2013-03-01T00:00:00Z",
    )  # fmt: skip
    road.send(OLD)
    (first,) = road.close("2013-03-02T00:00:00+00:00").invoices
    only_a = {"property": "class", "operator": "eq", "value": "a"}
    road.publish("meter", **METER, filters=[only_a], start="2013-02-01T00:00:00Z")
    here = Backed(road, backed.settings, backed.follower, backed.ledger, backed.reader)
    here.run()
    (told,) = service.get("/v1/backfills", headers=named).json()["backfills"]
    assert (told["state"], told["percent"], told["checkpoint"]) == ("done", 100, here.job().reaches[0].checkpoint)
    assert road.close("2013-03-02T00:00:00+00:00").invoices == ()
    void = service.post(f"/v1/invoices/{first.invoice_id}/void", json={"reason": "by class a alone"}, headers=named)
    assert void.status_code == 200
    (again,) = road.close("2013-03-02T00:00:00+00:00").invoices
    old = [one for one in OLD if one[1] == "acme" and one[3].startswith("2013-02")]
    for invoice, events in ((first, old), (again, [one for one in old if one[4]["class"] == "a"])):
        assert Decimal(invoice.total) == sum(Decimal(str(one[4]["km"])) for one in events)
        path = f"/v1/invoices/{invoice.invoice_id}/lines/1/explain/events"
        shown = wait_until(lambda path=path: service.get(path, headers=named).json()["events"])
        assert {one["idempotency_key"] for one in shown} == {one[2] for one in events}
    assert verify(backed.settings, namespace=road.namespace, invoices=True) == []
