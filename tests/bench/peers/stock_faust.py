"""Stock Faust on the comparison's events: one event at a time, a table for deduplication, batched inserts.

Set up as Faust's documentation shows it: a Record model, a Table (memory store, the faster of its two) that is keyed as
the topic is, an agent over ``stream.take`` of events that are not in the table, and one insert a batch. Environment:
BENCH_*.
"""

from __future__ import annotations

import os

import clickhouse_connect
import faust
import pyarrow as pa

TOPIC, GROUP = os.environ["BENCH_TOPIC"], os.environ["BENCH_GROUP"]
ROWS = 10_000

app = faust.App(
    GROUP,
    broker=os.environ["BENCH_KAFKA"],
    store="memory://",
    value_serializer="json",
    topic_partitions=4,
    datadir=os.environ["BENCH_FOLDER"],
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    stream_buffer_maxsize=16_384,
)


class UsageEvent(faust.Record, serializer="json"):
    """An event as the producer sent it."""

    event_name: str
    account_id: str
    idempotency_key: str
    timestamp: int
    properties: dict


events = app.topic(TOPIC, value_type=UsageEvent, key_type=bytes, key_serializer="raw")
seen = app.Table("seen", default=bool)
client = clickhouse_connect.get_client(
    host="127.0.0.1",
    port=int(os.environ["BENCH_CLICKHOUSE"]),
    password=os.environ["WEIR_CLICKHOUSE_PASSWORD"],
    autogenerate_session_id=False,
)
rows: list[UsageEvent] = []


def flush() -> None:
    """Filter for both profiles and insert what has gathered."""
    some, rows[:] = rows[:], []
    table = pa.table(
        {
            "account_id": [event.account_id for event in some],
            "idempotency_key": [event.idempotency_key for event in some],
            "timestamp": [event.timestamp for event in some],
            "plays": [1] * len(some),
            "bytes": [event.properties["n"] if event.properties.get("country") in ("USA",) else None for event in some],
        }
    )
    client.insert_arrow(os.environ["BENCH_TABLE"], table)


@app.agent(events)
async def meter(stream) -> None:
    """Each event once."""
    async for event in stream:
        if seen[event.idempotency_key]:
            continue
        seen[event.idempotency_key] = True
        rows.append(event)
        if len(rows) >= ROWS:
            flush()


@app.timer(interval=1.0)
async def rest() -> None:
    """The last rows."""
    if rows:
        flush()


if __name__ == "__main__":
    app.main()
