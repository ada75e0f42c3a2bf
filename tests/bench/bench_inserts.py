"""What flushes cost the engine by itself: `PYTHONPATH=tests/bench:. python tests/bench/bench_inserts.py [--rows 30000]
[--flushes 40] [--setting merge_selector_base=5 …]`.

Ready-made blocks of usage_flush go into a fresh data folder in this process, one after another, without HTTP, and their
merges are waited for. Prints CPU an event (10 % of them copies, two profiles, 1.5 records an event), the share of the
merges' threads, how often a row was merged, and the parts left. ``--setting`` changes the four tables that a flush
fills, so two calls compare.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from pathlib import Path

import bench_meter
import workload
from measuring import wait_until

from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.request import Statement
from schemas.clickhouse.client import PINNED
from schemas.migrations import files, statements
from stream_processors.metering.journal import arrow_bytes

TABLES = ("usage_events", "usage_identities", "usage_records", "duplicate_events")
_SETTINGS = tuple(sorted((name, str(value)) for name, value in PINNED.items()))
_TICK = os.sysconf("SC_CLK_TCK")


def blocks(rows: int, flushes: int) -> list[tuple[bytes, list[str], int]]:
    """(Arrow stream, column names, rows) of each flush."""
    workload.BATCH = min(500, rows)
    bench_meter.UNIT = max(1, rows // workload.BATCH)
    tables = bench_meter.records_of(workload.Shape(rows * flushes))
    return [(arrow_bytes(table), table.column_names, table.num_rows) for table in tables]


def merging_seconds() -> float:
    """CPU of the threads that merge, so far."""
    seconds = 0.0
    for task in Path("/proc/self/task").iterdir():
        name, _, fields = (task / "stat").read_text().partition("(")[2].rpartition(")")
        if name == "MergeMutate":
            user, system = fields.split()[11:13]
            seconds += (int(user) + int(system)) / _TICK
    return seconds


def own_seconds() -> float:
    """CPU of this process, so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Insert, wait for merges, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000, help="of a flush")
    parser.add_argument("--flushes", type=int, default=40)
    parser.add_argument("--setting", nargs="*", default=[], help="name=value of the tables")
    asked = parser.parse_args()
    made = blocks(asked.rows, asked.flushes)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        engine = Engine(Path(folder))

        def query(sql: str) -> str:
            return engine.execute(Statement(sql=sql.encode(), output_format="TSVRaw")).body.decode().strip()

        query("CREATE DATABASE IF NOT EXISTS weir")
        for _, path in files():
            for statement in statements(path.read_text(), database="weir", cluster=""):
                query(statement)
        for table in TABLES if asked.setting else ():
            query(f"ALTER TABLE weir.{table} MODIFY SETTING {', '.join(asked.setting)}")

        def insert(block: tuple[bytes, list[str], int]) -> None:
            sql = f"INSERT INTO weir.usage_flush ({', '.join(f'`{name}`' for name in block[1])})"
            settings = Statement(sql.encode(), settings=_SETTINGS, insert_format="ArrowStream", data=block[0])
            engine.execute(settings)

        insert(made[0])  # warms everything up
        used, merging, rows = own_seconds(), merging_seconds(), sum(block[2] for block in made[1:])
        for block in made[1:]:
            insert(block)
        wait_until(lambda: query("SELECT count() FROM system.merges") == "0", 60, "merges do not end")
        used, merging = own_seconds() - used, merging_seconds() - merging
        merged = query("SELECT sum(value) FROM system.events WHERE event = 'MergedRows'")
        written = query(
            "SELECT sum(rows), groupArray((table, parts)) FROM (SELECT table, sum(rows) AS rows, count() AS parts"
            " FROM system.parts WHERE active AND database = 'weir' AND table IN"
            f" {TABLES} GROUP BY table ORDER BY table)"
        ).split("\t")
        engine.close()
    print(
        f"{asked.rows} rows a flush: {used / rows * 1e6:.2f} us/event, of them merges {merging / rows * 1e6:.2f};"
        f" {used / (len(made) - 1) * 1e3:.0f} ms a flush; a row merged {int(merged) / int(written[0]):.2f} times;"
        f" parts left {written[1]}"
    )


if __name__ == "__main__":
    main()
