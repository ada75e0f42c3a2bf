"""What durable inserts cost: flushes into usage_flush with its views, with and without ``fsync_after_insert``,
alternating.

python tests/bench/bench_durable.py [--events 2000] [--flushes 60]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from deploy.local.stack import Stack
from schemas.clickhouse.client import connect
from schemas.migrations import migrate

_TABLES = ("usage_events", "usage_identities", "usage_records", "usage_batches", "usage_progress")
_EVENTS = """INSERT INTO usage_flush (namespace, account_id, event_name, timestamp, source, idempotency_key, identity,
    content_hash, properties, match_profile_ids, match_profile_versions, match_quantities, match_unique_values,
    match_dimensions, generation, partition, offset, `index`, append_time)
    SELECT 'bench', concat('account-', toString(number % 500)), 'call', now64(6), '',
    toString({n:UInt64} + number),
    unhex(hex(sipHash128({n:UInt64} + number))), unhex(hex(sipHash64(number))), '{"seconds": 12, "country": "DE"}',
    ['calls.count', 'calls.seconds'], [1, 1], [1, 12], ['', ''], ['', '{"country":"DE"}'],
    1, 0, {n:UInt64}, number, now64(3) FROM numbers({events:UInt64})"""
_BATCHES = """INSERT INTO usage_batches (generation, partition, offset, namespace, events, catalog_offset, append_time)
    VALUES (1, 0, {n:UInt64}, 'bench', 500, 1, now64(3))"""
_PROGRESS = "INSERT INTO usage_progress VALUES (1, 0, {n:UInt64})"


def main() -> None:
    """Print milliseconds a flush (median, p95) of each kind, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[100, 2_000, 20_000], help="events a flush")
    parser.add_argument("--flushes", type=int, default=40, help="of each kind")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), ports="free", processes=("clickhouse",)) as stack,
    ):
        migrate(stack.settings)
        client = connect(stack.settings)
        position = 0
        for events in given.events:
            seconds: dict[int, list[float]] = {0: [], 1: []}
            for durable in (0, 1) * 4:
                for table in _TABLES:
                    client.command(
                        f"ALTER TABLE {table} MODIFY SETTING fsync_after_insert = {durable}, "
                        f"fsync_part_directory = {durable}"
                    )
                for _ in range(given.flushes // 4):
                    position += events
                    began = time.perf_counter()
                    for sql in (_EVENTS, _BATCHES, _PROGRESS):
                        client.command(sql, parameters={"n": position, "events": events})
                    seconds[durable].append(time.perf_counter() - began)
            plain, fsynced = (statistics.median(seconds[kind]) * 1000 for kind in (0, 1))
            worst = [sorted(seconds[kind])[int(len(seconds[kind]) * 0.95)] * 1000 for kind in (0, 1)]
            print(
                f"{events} events a flush: {plain:.1f} ms (p95 {worst[0]:.1f}) as it was, {fsynced:.1f} "
                f"ms (p95 {worst[1]:.1f})"
                f" with fsync: {fsynced / plain:.2f} times"
            )


if __name__ == "__main__":
    main()
