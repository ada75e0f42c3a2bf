"""Quix Streams on the comparison's events: deduplication in its RocksDB state, filter, batched insert.

Set up as its documentation shows it: a stateful filter for deduplication (state is per key, as the topic is keyed by
the idempotency key) and a BatchingSink. Environment: BENCH_*.
"""

from __future__ import annotations

import os

import clickhouse_connect
import pyarrow as pa
from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch


class ClickHouseSink(BatchingSink):
    """One insert a batch and partition, as Quix flushes at each commit."""

    def setup(self) -> None:
        """Connect."""
        self.client = clickhouse_connect.get_client(
            host="127.0.0.1",
            port=int(os.environ["BENCH_CLICKHOUSE"]),
            password=os.environ["WEIR_CLICKHOUSE_PASSWORD"],
            autogenerate_session_id=False,
        )

    def write(self, batch: SinkBatch) -> None:
        """Filter for both profiles and insert."""
        events = [item.value for item in batch]
        table = pa.table(
            {
                "account_id": [event["account_id"] for event in events],
                "idempotency_key": [event["idempotency_key"] for event in events],
                "timestamp": [event["timestamp"] for event in events],
                "plays": [1] * len(events),
                "bytes": [
                    event["properties"]["n"] if event["properties"].get("country") in ("USA",) else None
                    for event in events
                ],
            }
        )
        self.client.insert_arrow(os.environ["BENCH_TABLE"], table)


def is_new(value, state) -> bool:
    """Whether the key has not been seen; remembers it."""
    if state.get("seen"):
        return False
    state.set("seen", True)
    return True


app = Application(
    broker_address=os.environ["BENCH_KAFKA"],
    consumer_group=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    state_dir=os.environ["BENCH_FOLDER"],
    commit_interval=2.0,
    loglevel="ERROR",
)
stream = app.dataframe(app.topic(os.environ["BENCH_TOPIC"], value_deserializer="json", key_deserializer="bytes"))
stream.filter(is_new, stateful=True).sink(ClickHouseSink())
app.run()
