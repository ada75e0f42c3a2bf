"""Catalog entries and invoices above a megabyte, and many more dimension values than anybody meant: billed, read and
paid like any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from deploy.local.stack import settings_environment
from rating.close import run_close
from schemas.kafka.codec import codec
from schemas.kafka.topics import INVOICE_PARTITIONS, INVOICES
from schemas.settings import Settings
from tests.integration.world import World

pytestmark = pytest.mark.integration

SMALL = 128 * 1024
CELLS = [{"values": [f"{number:05d}".ljust(120, "x")], "unit_amount": "0.02"} for number in range(9_000)]
CATALOG: dict[str, Any] = {
    "meters": [
        {
            "code": "tok",
            "event_name": "call",
            "profiles": [{"code": "in", "aggregation": "count", "dimensions": ["model"]}],
        }
    ],
    "products": [{"code": "tokens", "profile": "tok.in"}, {"code": "fee", "kind": "flat"}],
    "plans": [
        {
            "code": "large",
            "currency": "USD",
            "grace_seconds": 0,
            "charges": [
                {
                    "product": "tokens",
                    "price": {
                        "model": "matrix",
                        "dimensions": ["model"],
                        "cells": CELLS,
                        "default_unit_amount": "0.01",
                    },
                }
            ],
        },
        {
            "code": "small",
            "currency": "USD",
            "grace_seconds": 0,
            "charges": [{"product": "fee", "price": {"model": "flat", "amount": "5"}}],
        },
    ],
    "accounts": [{"code": "acme"}, {"code": "beta"}],
    "subscriptions": [
        {"code": "s-acme", "account": "acme", "plan": "large", "start": "2026-06-01", "end": "2026-07-01"},
        {"code": "s-beta", "account": "beta", "plan": "small", "start": "2026-06-01", "end": "2026-07-01"},
    ],
}


def event(number: int, model: str) -> dict[str, Any]:
    return {
        "event_name": "call",
        "account_id": "acme",
        "idempotency_key": f"k{number}",
        "timestamp": "2026-06-10T12:00:00Z",
        "properties": {"model": model},
    }


def largest_records(world: World) -> tuple[int, int]:
    """Of usage.invoices: the largest record's bytes, and how many are pieces."""
    own = {"bootstrap.servers": world.settings.kafka_bootstrap, "group.id": "looks", "auto.offset.reset": "earliest"}
    consumer = Consumer(own)
    places = [TopicPartition(INVOICES, number, 0) for number in range(INVOICE_PARTITIONS)]
    ends = {place.partition: consumer.get_watermark_offsets(place)[1] for place in places}
    consumer.assign(places)
    sizes, pieces, seen = [0], 0, dict.fromkeys(ends, 0)
    while any(seen[number] < end for number, end in ends.items()):
        message = consumer.poll(5)
        assert message is not None
        assert message.error() is None
        value = message.value() or b""
        seen[message.partition()] = message.offset() + 1
        sizes.append(len(value))
        pieces += codec("record_piece").knows(value)
    consumer.close()
    return max(sizes), pieces


def dying_close(settings: Settings, namespace: str, as_of: str, pieces: int) -> subprocess.CompletedProcess[str]:
    """A close that is killed between two pieces of an invoice."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    command = [sys.executable, "-m", "tests.integration.dying_close", namespace, as_of, str(pieces)]
    env = clean | settings_environment(settings)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_an_entry_and_an_invoice_above_a_megabyte_go_the_whole_road(world: World) -> None:
    world.apply(**CATALOG)  # answered 503 for ever
    world.send([event(number, f"made-up-{number}") for number in range(300)] + [event(300, CELLS[7]["values"][0])])
    world.metered()
    settings = world.settings.model_copy(update={"kafka_record_bytes": SMALL, "priced_values": 100})
    before = largest_records(world)[1]
    died = dying_close(settings, world.namespace, "2026-07-03T00:00:00+00:00", 3)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert largest_records(world)[1] - before == 3
    assert world.invoices() == [], "nobody sees half an invoice"
    before = largest_records(world)[1]
    checks: list[Any] = []
    result = run_close(
        settings,
        world.namespace,
        datetime(2026, 7, 3, tzinfo=UTC),
        datetime.now(UTC),
        lambda *_: None,
        on_checks=checks.extend,
    )
    assert result.problems == ()
    assert sorted((one.account_id, one.total) for one in result.invoices) == [("acme", "3.02"), ("beta", "5.00")]
    size, pieces = largest_records(world)
    assert pieces - before >= 1_200_000 // SMALL
    assert size <= SMALL
    [many] = [check for check in checks if check.name == "many_values"]
    assert "200 more combinations" in many.examples[0]
    [large] = [one for one in world.invoices() if one["account_id"] == "acme"]
    [line] = large["lines"]
    assert [step["kind"] for step in line["steps"]].count("cell") == 101
    assert line["steps"][-1]["text"] == "200 other combinations of values (default): 200 × 0.01 = 2"
    assert world.differences() == []
    with world.http("rating") as client:
        paid = client.post(f"/v1/invoices/{large['invoice_id']}/payments", json={"reference": "r1", "amount": "3.02"})
        assert (paid.status_code, paid.json()["state"]) == (200, "paid")
    again = run_close(settings, world.namespace, datetime(2026, 7, 3, tzinfo=UTC), datetime.now(UTC), lambda *_: None)
    assert (again.invoices, again.problems) == ((), ())
    assert world.differences() == []
