"""Profile versions published with a start in the past, on the real stack: what came before them counts, exactly
once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest

from deploy.local.stack import settings_environment
from rating.doctor.diagnosis import Diagnosis
from rating.doctor.examine import diagnose
from rating.doctor.findings import findings_of
from rating.periods import parse_range, parse_zone
from rating.usage import UsageQuery, measured, usage_totals
from rating.verify.verification import verify
from schemas.catalog.backfill_jobs import Job, jobs
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.profiles import resolve
from schemas.catalog.state import Catalog
from schemas.kafka.topics import CATALOG
from schemas.ledgers.checkpoints import CheckpointLedger, rolled_up
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from schemas.values.instants import micros, parse_rfc3339
from stream_processors.backfill.steps import Backfiller, Stages
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

PROFILES: list[dict[str, Any]] = [
    {"code": "number", "aggregation": "count"},
    {"code": "km", "aggregation": "sum", "property": "km", "dimensions": ["class"]},
    {"code": "top", "aggregation": "max", "property": "km"},
    {"code": "low", "aggregation": "min", "property": "km"},
    {"code": "last", "aggregation": "latest", "property": "km"},
    {"code": "cars", "aggregation": "count_unique", "property": "car"},
]
METER: dict[str, Any] = {"code": "ride", "window": "hour", "profiles": PROFILES}
FIRST, SECOND = "2013-01-15T12:30:00Z", "2013-02-10T06:15:00Z"
Event = tuple[str, str, str, str, dict[str, Any]]
Totals = dict[str, dict[str, Decimal]]


def at(text: str) -> int:
    return micros(parse_rfc3339(text))


START, END = at("2013-01-01T00:00:00Z"), at("2013-04-01T00:00:00Z")


def ride(number: int) -> Event:
    properties = {"km": number + 0.5, "class": "ab"[number // 5 % 2], "car": f"c{number % 7}"}
    when = f"2013-{1 + number % 3:02d}-{1 + number % 28:02d}T{number % 24:02d}:30:00Z"
    return ("ride", ("acme", "beta", "gamma")[number // 3 % 3], f"k{number}", when, properties)


OLD = [ride(number) for number in range(150)]
SINCE = [ride(number) for number in range(150, 190)]
LATER = [ride(number) for number in range(190, 230)]
STRAGGLERS = [ride(number) for number in range(230, 236)]
BEFORE = OLD + SINCE + STRAGGLERS


def folded(events: list[Event]) -> Totals:
    """profile → account → quantity, in the plainest way."""
    found: Totals = {profile["code"]: {} for profile in PROFILES}
    for account in {event[1] for event in events}:
        mine = [one for one in events if one[1] == account]
        km = [Decimal(str(one[4]["km"])) for one in mine]
        newest = max(mine, key=lambda one: (at(one[3]), one[2]))
        values: dict[str, Any] = {
            "number": len(mine), "km": sum(km), "top": max(km), "low": min(km), "last": str(newest[4]["km"]),
            "cars": len({one[4]["car"] for one in mine}),
        }  # fmt: skip
        for profile, value in values.items():
            found[profile][account] = Decimal(value)
    return found


def of_first(events: list[Event]) -> list[Event]:
    """Those that the first version of the meter is valid for."""
    return [one for one in events if at(one[3]) >= at(FIRST)]


def of_both(events: list[Event]) -> list[Event]:
    """… and after the second one took over, which takes class a alone."""
    return [one for one in of_first(events) if at(one[3]) < at(SECOND) or one[4]["class"] == "a"]


class Killed(Exception):
    """The backfill was killed here."""


@dataclass
class Backed:
    """The namespace, and what may be done in it."""

    road: Road
    settings: Settings
    follower: CatalogFollower
    ledger: CheckpointLedger
    reader: LedgerReader

    def catalog(self) -> Catalog:
        """As of now."""
        assert self.follower.wait_for(self.reader.end_offsets()[0], 30)
        return self.follower.catalog

    def totals(self, as_of: int | None = None, plan: Any = "records") -> Totals:
        """profile → account → quantity, as of a checkpoint (None: live)."""
        view = self.catalog().view(self.road.namespace)
        cuts = self.ledger.refresh()
        cut = None if as_of is None else cuts.cut(as_of)
        done = cuts.cut(rolled_up(self.road.client))
        found: Totals = {}
        for profile in PROFILES:
            query = UsageQuery(
                self.road.namespace, measured(resolve(view, f"ride.{profile['code']}"), START, END), START, END,
                by_account=True, as_of=cut, rolled_up=cut or done, plan=plan,
            )  # fmt: skip
            rows = usage_totals(self.road.client, query)
            found[profile["code"]] = {str(row.account_id): row.usage.quantity or Decimal(0) for row in rows}
        return found

    def views(self) -> Totals:
        """The live totals as analysts' views tell them."""
        columns = {"number": "count", "km": "sum", "top": "max", "low": "min", "last": "latest", "cars": "count_unique"}
        found: Totals = {}
        for profile, column in columns.items():
            rows = self.road.client.query(
                f"SELECT account_id, toString({column}) FROM usage_total(namespace = '{self.road.namespace}',"
                f" profile_id = 'ride.{profile}', period_start = '2013-01-01 00:00:00', period_end "
                "= '2013-04-01 00:00:00')"
            ).result_rows
            found[profile] = {str(account): Decimal(value) for account, value in rows}
        days = self.road.client.query(
            "SELECT account_id, toString(sum(count)) FROM usage_daily WHERE namespace = {n:String} "
            "AND profile_id = 'ride.number'"
            " GROUP BY account_id",
            parameters={"n": self.road.namespace},
        ).result_rows
        assert {str(account): Decimal(value) for account, value in days} == found["number"]
        return found

    def doctor(self) -> Diagnosis:
        """What it says of acme's kilometres in February."""
        interval = parse_range("2013-02", parse_zone("UTC"))
        return diagnose(self.settings, self.road.namespace, "acme", "ride.km", interval=interval)

    def job(self) -> Job:
        """The last backfill of the namespace."""
        return jobs(self.catalog().view(self.road.namespace))[-1]

    def run(self, dies_after: str = "") -> None:
        """Do what waits in the namespace; ``dies_after``: killed there."""

        def after(step: str) -> None:
            if step == dies_after:
                raise Killed

        job = self.job()
        backfiller = Backfiller(self.settings, self.follower, threading.Event(), settle_seconds=0, stages=Stages(after))
        if dies_after:
            with pytest.raises(Killed):
                backfiller.run(job.name)
        else:
            backfiller.run(job.name)


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


def killed_in_the_middle(backed: Backed, wait_until: Callable[..., Any]) -> None:
    """The very process that a worker starts, page by page of one event: ended by SIGKILL, and another one by its
    parent's end."""
    name = backed.job().name
    slowly = backed.settings.model_copy(update={"backfill_page_events": 1})
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WEIR_")}
    killed, orphan = (
        subprocess.Popen(
            [sys.executable, "-m", "stream_processors.backfill", name], env=clean | settings_environment(slowly),
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    )  # fmt: skip
    pages = "SELECT count() FROM backfill_progress WHERE startsWith(backfill, {name:String})"
    try:
        wait_until(lambda: backed.road.client.query(pages, {"name": name}).result_rows[0][0] >= 3)
        assert orphan.stdin is not None
        orphan.stdin.close()
        assert orphan.wait(30) == 0
    finally:
        for process in (killed, orphan):
            process.kill()
            process.wait(30)
    assert killed.returncode == -signal.SIGKILL
    assert not backed.job().done


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
