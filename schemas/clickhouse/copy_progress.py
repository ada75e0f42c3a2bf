"""How far the copies of ledger topics in ClickHouse are (table ``copy_progress``). Blocking."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from clickhouse_connect.driver.client import Client


def read_copied(client: Client, topic: str) -> dict[int, int]:
    """Partition of a topic → next offset to copy; partitions of which nothing is copied are left out."""
    rows = client.query(
        "SELECT partition, max(next_offset) FROM copy_progress WHERE topic = {topic:String} GROUP BY partition",
        parameters={"topic": topic},
    ).result_rows
    return {int(partition): int(offset) for partition, offset in rows}


def write_copied(client: Client, next_offsets: Mapping[tuple[str, int], int]) -> None:
    """Write next offsets by topic, or what stands for one, and partition."""
    columns = {
        "topic": pa.array([topic for topic, _ in next_offsets], pa.string()),
        "partition": pa.array([partition for _, partition in next_offsets], pa.uint32()),
        "next_offset": pa.array(list(next_offsets.values()), pa.uint64()),
    }
    client.insert_arrow("copy_progress", pa.table(columns))
