"""A profile whose aggregation changes within a month, for every pair of aggregations: records, windows, invoices,
explanations, the analysts' view and both verifications give one total, that of the table in BILLING.md. Half of the
events come before the change is published, and are backfilled."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NamedTuple, get_args

import pytest

from rating.explain import Ledgers, read_subject
from rating.explain.counted_events import read_events
from rating.invoices.read import read_invoice
from rating.usage import UsageQuery, measured, usage_totals
from rating.verify.scope import open_scope
from rating.verify.verification import verify
from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import resolve
from schemas.kafka.topics import CATALOG
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from schemas.values.instants import micros, parse_rfc3339
from stream_processors.backfill.steps import Backfiller, Stages
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

START, CHANGE, END = "2013-01-01T00:00:00Z", "2013-01-15T12:00:00Z", "2013-02-01T00:00:00Z"
ACCOUNTS: Final = ("acme", "beta", "gamma")
PAIRS: Final = tuple(itertools.permutations(get_args(Aggregation), 2))


class Use(NamedTuple):
    """An event: its value, and the key under which it was sent."""

    account: str
    key: str
    at: str
    value: int


def random_uses(seed: int) -> list[Use]:
    """Values that are some events' keys as well."""
    chance = random.Random(seed)
    return [
        Use(
            chance.choice(ACCOUNTS),
            str(number),
            f"2013-01-{chance.randrange(1, 32):02}T{chance.randrange(24):02}:{chance.choice((0, 30)):02}:00Z",
            chance.randrange(12),
        )
        for number in range(60)
    ]


def total(earlier: Aggregation, later: Aggregation, uses: list[Use]) -> Decimal:
    """The total under the later version: a quantity is 1 where a version counted, and it alone counts values."""

    def aggregation(use: Use) -> Aggregation:
        return earlier if use.at < CHANGE else later

    quantities = [1 if aggregation(use).startswith("count") else use.value for use in uses]
    match later:
        case "count":
            return Decimal(len(uses))
        case "count_unique":
            return Decimal(len({use.value for use in uses if aggregation(use) == "count_unique"}))
        case "sum":
            return Decimal(sum(quantities))
        case "max":
            return Decimal(max(quantities))
        case "min":
            return Decimal(min(quantities))
        case "latest":
            newest = max(uses, key=lambda use: (use.at, use.key))
            return Decimal(quantities[uses.index(newest)])


def profile(earlier: Aggregation, later: Aggregation, version: int) -> dict[str, Any]:
    """A pair's profile in the meter's first or second version."""
    aggregation = (earlier, later)[version]
    valued = {} if aggregation == "count" else {"property": ["v"]}
    return {"code": f"{earlier}-{later}", "aggregation": aggregation, **valued}


def analysts_totals(road: Road, profile_id: str, aggregation: Aggregation) -> dict[str, Decimal]:
    """January's by account, as the analysts' view has them."""
    rows = road.client.query(
        f"SELECT account_id, toString({aggregation}) FROM usage_total(namespace = '{road.namespace}',"
        f" profile_id = '{profile_id}', period_start = '{START[:10]} 00:00:00', period_end = '{END[:10]} 00:00:00')"
    ).result_rows
    return {account: Decimal(quantity) for account, quantity in rows}


def test_every_pair_of_aggregations_has_one_total_wherever_it_is_asked(
    settings: Settings, wait_until: Callable[..., Any]
) -> None:
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    uses = random_uses(7)
    events = [("use", use.account, use.key, use.at, {"v": use.value}) for use in uses]
    road.publish("meter", code="m", event_name="use", window="day", profiles=[profile(*pair, 0) for pair in PAIRS])
    road.send(events[::2])
    later_profiles = [profile(*pair, 1) for pair in PAIRS]
    road.publish("meter", code="m", event_name="use", window="hour", start=CHANGE, profiles=later_profiles)
    follower = CatalogFollower(settings).start()
    with LedgerReader(settings, CATALOG) as reader:
        assert follower.wait_for(reader.end_offsets()[0], 30)
    (job,) = jobs(follower.catalog.view(road.namespace))
    Backfiller(settings, follower, threading.Event(), settle_seconds=0, stages=Stages(lambda _: None)).run(job.name)
    follower.stop()

    charges = []
    for pair in PAIRS:
        code = "-".join(pair)
        road.publish("product", code=code, profile=f"m.{code}")
        charges.append({"product": code, "price": {"model": "per_unit", "unit_amount": "1"}})
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
    for account in ACCOUNTS:
        road.publish("account", code=account, time_zone="UTC")
        road.publish("subscription", code=account, account=account, plan="basic", start=START)
    road.send(events[1::2])
    voided = next(use for use in uses if use.account == "gamma" and use.at >= CHANGE)
    road.void(voided.key)
    by_account = {name: [use for use in uses if use.account == name and use != voided] for name in ACCOUNTS}

    closed = road.close(END)
    billed = {
        (invoice.account_id, line.charge): Decimal(line.quantity or 0)
        for invoice in closed.invoices
        for line in invoice.lines
        if line.kind == "usage"
    }
    scope = open_scope(settings, road.namespace)
    cut = scope.checkpoints.cut(closed.run.number)
    first, last = (micros(parse_rfc3339(instant)) for instant in (START, END))
    for earlier, later in PAIRS:
        expected = {account: total(earlier, later, of_account) for account, of_account in by_account.items()}
        counted = measured(resolve(scope.catalog.view(road.namespace), f"m.{earlier}-{later}"), first, last)
        assert counted.aggregation == later
        query = UsageQuery(road.namespace, counted, first, last, by_account=True, as_of=cut, rolled_up=cut)
        for plan in ("records", "windows"):
            rows = usage_totals(road.client, replace(query, plan=plan))
            assert {row.account_id: row.usage.quantity for row in rows} == expected, (earlier, later, plan)
        assert {account: billed[account, f"{earlier}-{later}"] for account in ACCOUNTS} == expected, (earlier, later)
        assert analysts_totals(road, f"m.{earlier}-{later}", later) == expected, (earlier, later)

    assert verify(settings, namespace=road.namespace) == []
    assert verify(settings, namespace=road.namespace, invoices=True) == []

    ledgers = Ledgers(scope.catalog, scope.checkpoints)
    (invoice,) = [invoice for invoice in closed.invoices if invoice.account_id == "acme"]
    wait_until(lambda: read_invoice(road.client, road.namespace, invoice.invoice_id) is not None)
    for line in invoice.lines:
        if line.charge.endswith("-count_unique"):
            subject = read_subject(road.client, ledgers, road.namespace, invoice.invoice_id, line.number)
            assert len(read_events(road.client, subject.query).events) == Decimal(line.quantity or 0), line.charge
    values = road.client.query(
        "SELECT sum(count_unique) > 0 FROM usage_daily WHERE namespace = {n:String} AND profile_id = 'm.sum-latest'",
        parameters={"n": road.namespace},
    ).result_rows
    assert values == [(0,)]
    scope.client.close()
    road.client.close()
