"""What a namespace has gone through under the earlier release: every kind of event, price, bill and decision that it
knows, so that the later one meets them all."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.upgrade.release import NAMESPACE, Release, Services, UpgradeError, services

_State = TypeVar("_State")

ACCOUNTS: Final = ("a", "b", "c", "e")
METRICS: Final = ("calls.n", "calls.m", "calls.u", "calls.mx", "calls.mn", "calls.la", "calls.cnt", "past.n", "typed.n")
MONTHS: Final = ("2026-01", "2026-02", "2026-03")
CATALOG: Final = f"""
namespace: {{code: {NAMESPACE}, max_event_age_seconds: null}}
event_types:
  - code: typed
    schema:
      type: record
      name: typed
      fields: [{{name: n, type: int, default: 3}}, {{name: note, type: string, default: ""}}]
meters:
  - code: calls
    unit: call
    event_name: call
    profiles:
      - {{code: n, aggregation: sum, property: [n]}}
      - {{code: m, aggregation: sum, property: [n], dimensions: [[model]]}}
      - {{code: u, aggregation: count_unique, property: [user]}}
      - {{code: mx, aggregation: max, property: [n]}}
      - {{code: mn, aggregation: min, property: [n]}}
      - {{code: la, aggregation: latest, property: [n]}}
      - {{code: cnt, aggregation: count, filters: [{{property: [model], operator: ne, value: C}}]}}
  - {{code: typed, unit: call, event_name: typed, profiles: [{{code: n, aggregation: sum, property: [n]}}]}}
products:
  - {{code: n, name: N, unit: call, profile: calls.n}}
  - {{code: m, name: M, unit: call, profile: calls.m}}
  - {{code: u, name: U, unit: call, profile: calls.u}}
  - {{code: mx, name: MX, unit: call, profile: calls.mx}}
  - {{code: cnt, name: CNT, unit: call, profile: calls.cnt}}
  - {{code: fee, name: Fee, kind: flat}}
plans:
  - code: tiers
    currency: USD
    charges:
      - product: n
        price: {{model: tiered, tiers: [{{up_to: "100", unit_amount: "0"}}, {{up_to: null, unit_amount: "0.015"}}]}}
      - {{product: u, price: {{model: per_unit, unit_amount: "2"}}}}
      - {{product: mx, price: {{model: per_unit, unit_amount: "0.5"}}}}
      - {{product: fee, price: {{model: flat, amount: "30"}}, in_advance: true}}
  - code: committed
    currency: EUR
    minimum_commitment: "100"
    discounts: [{{code: launch, percent: "10", periods: 2}}]
    charges:
      - {{product: n, price: {{model: per_unit, unit_amount: "0.1", included_units: "60"}}}}
      - {{product: cnt, price: {{model: package, package_size: "10", package_amount: "0.7"}}}}
  - code: approved
    currency: USD
    approval: required
    charges:
      - product: m
        price:
          model: matrix
          dimensions: [model]
          cells: [{{values: [A], unit_amount: "1"}}, {{values: [B], unit_amount: "2"}}]
          default_unit_amount: "3"
accounts:
  - {{code: a, time_zone: America/New_York}}
  - {{code: b, time_zone: Europe/Berlin}}
  - {{code: c, time_zone: UTC}}
  - {{code: e, time_zone: UTC}}
subscriptions:
  - {{code: a1, account: a, plan: tiers, start: 2026-01-10}}
  - {{code: b1, account: b, plan: committed, start: 2026-01-01}}
  - {{code: c1, account: c, plan: approved, start: 2026-01-01}}
  - code: e1
    account: e
    plan: tiers
    start: 2026-01-01
    overrides: [{{charge: n, price: {{model: per_unit, unit_amount: "0.02"}}}}]
credit_grants: [{{code: pre, account: b, amount: "150", currency: EUR, priority: 1, expires: 2027-06-01}}]
"""
PRODUCER_KEY: Final = "producer-key"
"""Where the data folder keeps the key that the earlier release made."""
BACKFILLED: Final = """
meters:
  - code: past
    unit: call
    event_name: call
    start: 2026-01-01T00:00:00Z
    profiles: [{code: n, aggregation: sum, property: [n]}]
"""

Event = dict[str, Any]
Say = Callable[[str], None]


def call(key: str, account: str, timestamp: str, **properties: Any) -> Event:
    """One event that the meters measure."""
    return {
        "event_name": "call", "account_id": account, "idempotency_key": key, "timestamp": timestamp,
        "properties": properties,
    }  # fmt: skip


def calls(month: str, each: int) -> list[Event]:
    """``each`` events of every account in that month, always the same."""
    made = random.Random(month)
    return [
        call(
            f"{account}-{month}-{number}",
            account,
            f"{month}-{made.randint(1, 28):02d}T{made.randint(0, 23):02d}:{made.randint(0, 59):02d}:00Z",
            n=made.choice([1, 2, "2.5", "0.123456789012", 7, 0]),
            model=made.choice("ABC"),
            user=f"u{made.randint(1, 20)}",
        )
        for account in ACCOUNTS
        for number in range(each)
    ]


def live_through(old: Release, data_dir: Path, each: int, say: Say) -> None:
    """Two closed months and a third under way, on the running stack of ``data_dir``. Raises UpgradeError."""
    stack = services(data_dir)
    stack.apply(CATALOG)
    key = old.weir(data_dir, "key", "create", "--scope", "ingest", "--name", "producer").split()
    (data_dir / PRODUCER_KEY).write_text(next(word for word in key if word.startswith(f"weir_{NAMESPACE}.")))
    for month in MONTHS:
        stack.send(calls(month, each))
    stack.send(calls(MONTHS[0], each)[: each // 2])  # copies
    say(f"{3 * 4 * each} events in three months, {each // 2} of them twice")
    _odd_events(stack)
    _inbox(stack)
    old.weir(data_dir, "void", f"a-{MONTHS[0]}-3", f"b-{MONTHS[1]}-7", "--reason", "a mistake")
    metered(stack)
    old.weir(data_dir, "close", "--as-of", "2026-02-03T12:00:00Z")
    _decide(old, data_dir, stack)
    stack.send([call("late-1", "a", "2026-01-20T00:00:00Z", n="50", user="late", model="B")])
    stack.apply(BACKFILLED)
    until(
        "the backfill", lambda: stack.get("/v1/backfills")["backfills"][0]["state"] not in ("waiting", "running"), 120
    )
    metered(stack)
    old.weir(data_dir, "close", "--as-of", "2026-03-03T12:00:00Z")
    until("the draft", lambda: bool(drafts(stack)), 30)
    old.weir(data_dir, "invoice", "hold", drafts(stack)[0], "--reason", "somebody asks")
    metered(stack)
    say(f"{len(stack.get('/v1/invoices?limit=500')['invoices'])} invoices of two months")


def drafts(stack: Services) -> list[str]:
    """Ids of what waits for somebody."""
    heads = stack.get("/v1/invoices?state=draft&limit=500")["invoices"]
    return [head["invoice_id"] for head in heads if (head["draft"] or {}).get("approval") == "required"]


def _odd_events(stack: Services) -> None:
    # More than 12 decimals, finer than a microsecond, nothing that can be measured, an unknown name, an Avro default.
    stack.send(
        [
            call("fine-1", "e", "2026-01-15T00:00:00Z", n="114.97809459641576", user="u1", model="A"),
            call("nano-1", "e", "2026-01-31T23:59:59.1234567Z", n="100", user="u2", model="A"),
            call("text-1", "e", "2026-01-16T00:00:00Z", n="many", user="u2", model="B"),
            call("none-1", "e", "2026-01-16T00:00:00Z") | {"event_name": "unknown"},
            call("typed-1", "e", "2026-01-16T00:00:00Z", n=4) | {"event_name": "typed"},
            call("typed-2", "e", "2026-01-17T00:00:00Z", note="without n") | {"event_name": "typed"},
        ]
    )
    refused = stack.post(stack.gateway, "/v1/events", call("bad-1", "a", "no time", n="1"))
    if refused.status_code != 422:
        raise UpgradeError(f"an event without a time was answered {refused.status_code}: {refused.text}")
    lago = {"transaction_id": "lago-1", "external_subscription_id": "e1", "code": "call", "timestamp": 1769860800}
    stack.post(stack.gateway, "/api/v1/events", {"event": lago | {"properties": {"n": "7.5", "user": "lago"}}})
    conflict = call(f"a-{MONTHS[0]}-1", "a", "2026-01-11T00:00:00Z", n="99")
    stack.send([conflict])


def _inbox(stack: Services) -> None:
    """Records of a Kafka inbox, one of which is refused."""
    producer = Producer({"bootstrap.servers": stack.kafka})
    topic = f"usage.inbox.{NAMESPACE}"
    for number in range(20):
        producer.produce(topic, json.dumps(call(f"inbox-{number}", "c", "2026-02-20T00:00:00Z", n="5", model="A")))
    producer.produce(topic, b"{not json")
    if producer.flush(30):
        raise UpgradeError("Kafka did not take the inbox's records in 30 s")
    count = "SELECT count() FROM usage_events FINAL WHERE startsWith(idempotency_key, 'inbox-')"
    until("the inbox", lambda: stack.rows(count) == [["20"]], 180)


def _decide(old: Release, data_dir: Path, stack: Services) -> None:
    """What a clerk does after the first close: approve, pay a part and a whole, credit, void."""
    until("the draft", lambda: bool(drafts(stack)), 30)
    old.weir(data_dir, "invoice", "approve", *drafts(stack))
    heads = {
        (head["account_id"], head["period_start"]): head
        for head in stack.get("/v1/invoices?limit=500")["invoices"]
        if head["state"] == "finalized"
    }
    owed = [head for _, head in sorted(heads.items()) if Decimal(head["total"]) > 10]
    if len(owed) < 3:
        raise UpgradeError(f"too few invoices to decide about: {sorted(heads)}")
    part, whole, credited, *more = (head["invoice_id"] for head in owed)
    old.weir(data_dir, "invoice", "pay", part, "5", "--reference", "part")
    old.weir(data_dir, "invoice", "pay", whole, owed[1]["total"], "--reference", "whole")
    old.weir(data_dir, "invoice", "credit", credited, "5", "--reference", "note", "--reason", "goodwill")
    if more:
        old.weir(data_dir, "invoice", "void", more[-1], "--reason", "wrong")


def metered(stack: Services) -> None:
    """Wait until everything that is in the log now is metered. Raises UpgradeError."""
    ends = _ends(stack.kafka)

    def cursors() -> dict[int, int]:
        sql = "SELECT partition, max(next_offset) FROM usage_progress WHERE generation = 1 GROUP BY partition"
        return {int(partition): int(offset) for partition, offset in stack.rows(sql)}

    until("metering", cursors, 120, lambda now: all(now.get(partition, 0) >= end for partition, end in ends.items()))


def _ends(bootstrap: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "upgrade"})
    try:
        topic = "usage.events.1"
        partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=15)[1]
            for number in partitions
        }
    finally:
        consumer.close()


def until(
    what: str, state: Callable[[], _State], seconds: float, done: Callable[[_State], bool] = bool, every: float = 0.3
) -> None:
    """Wait for a state that is ``done``. Raises UpgradeError after ``seconds`` in which it did not change: a busy
    machine may take as long as it needs."""
    last, deadline = state(), time.monotonic() + seconds
    while not done(last):
        if time.monotonic() > deadline:
            raise UpgradeError(f"{what} was not done, and nothing of it in the last {seconds:.0f} s; it is at {last}")
        time.sleep(every)
        if (now := state()) != last:
            last, deadline = now, time.monotonic() + seconds
