"""The position: whenever a process dies, each version that a webhook wants is queued, nothing else is, and what was
delivered stays so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.webhooks.hook import WebhookEndpoint
from rating.webhooks.intake import Intake, deliveries_for, delivery_of
from rating.webhooks.queue import QueuedDelivery
from schemas.kafka.codec import codec
from schemas.ledgers.invoice_claims import FINALIZED
from schemas.ledgers.ledger_reader import LogRecord

SINCE = 5
HOOK = WebhookEndpoint(
    "hooked", "https://example.com/", True, frozenset({"invoice.finalized", "invoice.updated"}), 1, SINCE, ()
)


def record(partition: int, offset: int, namespace: str, subscription: int, version: int, at: int) -> LogRecord:
    name = f"inv_{namespace}{subscription}"
    body: dict[str, Any] = {
        "namespace": namespace,
        "invoice_id": name,
        "version": version,
        "predecessor": "",
        "subscription": f"s{subscription}",
        "sequence": 0,
        "account_id": "a",
        "plan": "p",
        "plan_version": 1,
        "period_start": 0,
        "period_end": 1,
        "time_zone": "UTC",
        "run_id": "r",
        "checkpoint": 1,
        "catalog_offset": 1,
        "as_of": 1,
        "state": FINALIZED,
        "currency": "USD",
        "total": "1",
        "lines": [],
        "body": "{}",
        "claim_id": "",
    }
    return LogRecord(partition, offset, at, codec("invoice").encode(body))


steps = st.lists(
    st.tuples(st.sampled_from(["hooked", "other"]), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=14
)


@given(
    steps,
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["go on", "die before", "die between", "die after"])), max_size=20
    ),
)
def test_nothing_is_left_out_and_nothing_delivered_is_undone(
    log: list[tuple[str, int, int]], plan: list[tuple[int, str]]
) -> None:
    ends = {0: 0, 1: 0}
    records: list[LogRecord] = []
    expected: set[str] = set()
    stands: dict[str, int] = {}
    for at, (namespace, subscription, version) in enumerate(log):
        partition = subscription % 2
        records.append(record(partition, ends[partition], namespace, subscription, version, at))
        ends[partition] += 1
        name = f"inv_{namespace}{subscription}"
        if version == stands.get(name, 0) + 1:
            stands[name] = version
            if namespace == "hooked" and at >= SINCE:
                expected.add(f"{name}_v{version}")
    rows: dict[str, QueuedDelivery] = {}
    stored: dict[int, int] = {}
    intake, read, count = Intake(stored), dict.fromkeys(ends, 0), 0
    script = iter([*plan, *[(len(records), "go on")] * 2])

    def write(value: QueuedDelivery) -> None:
        if value.message_id not in rows or value.step >= rows[value.message_id].step:
            rows[value.message_id] = value

    for size, fate in script:
        batch = records[count : count + size]
        count += len(batch)
        for item in batch:
            read[item.partition] = item.offset + 1
        due = deliveries_for(intake.take(batch), {"hooked": {"": HOOK}}, now_us=100)
        if fate != "die before":
            for delivery in due:
                write(delivery)
            for message_id in [*rows][::2]:  # some are delivered at once
                write(replace(rows[message_id], state="delivered", attempts=1))
        if fate in ("go on", "die after"):
            stored = intake.positions = intake.ahead(read)
        if fate != "go on":
            intake, read, count = Intake(stored), dict.fromkeys(ends, 0), 0
    assert set(rows) == expected
    assert all(row.state in ("waiting", "delivered") for row in rows.values())
    # Another process that begins anew finds nothing to do.
    assert Intake(stored).take(records) == []
    delivered = {name for name, row in rows.items() if row.state == "delivered"}
    for notice in Intake({}).take(records):
        if notice.message_id in rows:
            write(delivery_of(notice, 200))
    assert {name for name, row in rows.items() if row.state == "delivered"} == delivered
