"""A namespace with backfills on the real stack: its rides, what they fold to, and what may be done in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from deploy.local.stack import settings_environment
from rating.doctor.diagnosis import Diagnosis
from rating.periods import parse_range, parse_zone
from rating.usage import UsageQuery, measured, usage_totals
from schemas.catalog.backfill_jobs import Job, jobs
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.profiles import resolve
from schemas.catalog.state import Catalog
from schemas.ledgers.checkpoints import CheckpointLedger, rolled_up
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from schemas.values.instants import micros, parse_rfc3339
from stream_processors.backfill.steps import Backfiller, Stages
from tests.integration.rating.road import Road

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
        return self.road.diagnosis("acme", "ride.km", interval)

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
