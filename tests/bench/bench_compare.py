"""Weir's worker beside stock Faust and Quix Streams on the same events: `make bench`.

One stack (Kafka, ClickHouse) for all; each system meets a topic that is full already, from its start, in rounds by
turns, so that what the machine does besides hits all alike. Weir: packed batches, its worker as `weir up` runs it, all
of its tables. Peers: one record an event, deduplication, both profiles' filters, and one table. Limits: reading the
same bytes, and inserting the same rows from ready-made blocks into the same tables. A median of the rounds, with the
lowest and the highest.

Events: 1,000 accounts, 10 % copies of one of the 1,000 before, two profiles. Saves JSON to --save.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
from bench_meter import records_of, stages
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from measuring import Filled, TooSlow, cpu_seconds, fill
from workload import CATALOG, Shape, distinct, packed, single_records

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment
from rating.close.checkpoint import end_offsets
from schemas.catalog.follower import read_catalog
from schemas.clickhouse.client import connect
from schemas.kafka.topics import events_topic
from schemas.ledgers.checkpoints import read_progress
from schemas.migrations import migrate
from stream_processors.metering.journal import arrow_bytes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEER_TABLE = (
    "CREATE TABLE {table} (account_id String, idempotency_key String, timestamp Int64, plays "
    "UInt8, bytes Nullable(Int64)) "
    "ENGINE = MergeTree ORDER BY (account_id, timestamp)"
)


class Bench:
    """A running stack and what each system needs to run on it."""

    def __init__(self, stack: Stack, folder: Path, peers_python: str) -> None:
        self.stack, self.folder, self.peers_python = stack, folder, peers_python
        self.settings = stack.settings
        self.client = connect(self.settings)
        self.kafka = self.settings.librdkafka()

    def count(self, table: str) -> Callable[[], int]:
        """Rows of a table beyond those there are now."""

        def now() -> int:
            return int(self.client.query(f"SELECT count() FROM {table}").result_rows[0][0])

        base = now()
        return lambda: now() - base

    def produce(self, topic: str, records: Iterator[tuple[int, bytes, bytes]]) -> int:
        """Send (partition or -1, key, value); bytes of all values."""
        producer = Producer(
            self.kafka | {"linger.ms": 20, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}
        )
        total = 0
        for partition, key, value in records:
            total += len(value)
            while True:
                try:
                    producer.produce(topic, value, key or None, partition)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush()
        return total

    def pids(self, name: str, pid: int) -> dict[str, int]:
        """Whose CPU is counted."""
        return {name: pid, "clickhouse": self.stack.pid("clickhouse"), "kafka": self.stack.pid("kafka")}

    @contextmanager
    def process(self, command: list[str], env: Mapping[str, str]) -> Iterator[int]:
        """A process that is ended by force afterwards; its output goes to a file that an error names."""
        log = self.folder / f"{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            started = subprocess.Popen(command, env={**os.environ, **env}, cwd=ROOT, stdout=out, stderr=out)
            try:
                yield started.pid
                if started.poll() is not None:
                    raise RuntimeError(f"{command} ended by itself: {log.read_text()[-2000:]}")
            except Exception as error:
                raise RuntimeError(f"{error}; its last words: {log.read_text()[-2000:]}") from error
            finally:
                with suppress(ProcessLookupError):
                    os.kill(started.pid, signal.SIGKILL)
                started.wait()

    # --- the systems --------------------------------------------------------------------------------------------------

    def weir(self, shape: Shape, limit_s: float = 120) -> Filled:
        """The worker, complete, as shipped; counts what came into usage_events."""
        topic = events_topic(self.settings.generation)
        offset = read_catalog(self.settings).next_offset
        self.produce(topic, ((at, b"", value) for at, value in packed(shape, self.settings.partitions, offset)))
        count = self.count("usage_events")
        env = settings_environment(self.settings) | {"WEIR_WORKER_WEB_PORT": str(free_port(set()))}
        with self.process([sys.executable, "-m", "stream_processors.worker"], env) as pid:
            found = fill(count, distinct(shape), shape.events, self.pids("worker", pid), limit_s)
            self.settled()
            return found

    def settled(self) -> None:
        """Wait until the cursor has passed the last rows: a worker killed before would write them again, and they would
        be counted as the next run's."""
        ends, deadline = end_offsets(self.settings), time.monotonic() + 60
        while any(read_progress(self.client).get(key, 0) < end for key, end in ends.items()):
            if time.monotonic() > deadline:
                raise TooSlow("the cursor does not reach the log's end")
            time.sleep(0.05)

    def two_workers(self, shape: Shape) -> Filled:
        """As ``weir``, by two worker processes that share the partitions."""
        topic = events_topic(self.settings.generation)
        offset = read_catalog(self.settings).next_offset
        self.produce(topic, ((at, b"", value) for at, value in packed(shape, self.settings.partitions, offset)))
        count = self.count("usage_events")
        command = [sys.executable, "-m", "stream_processors.worker"]
        env = settings_environment(self.settings) | {
            "WEIR_WORKER_INDEX": "0",
            "WEIR_WORKER_WEB_PORT": str(free_port(set())),
        }
        other = env | {"WEIR_WORKER_INDEX": "1", "WEIR_WORKER_WEB_PORT": str(free_port(set()))}
        with self.process(command, env) as first, self.process(command, other) as second:
            pids = self.pids("worker", first) | {"worker-1": second}
            found = fill(count, distinct(shape), shape.events, pids, 120)
            self.settled()
            return found

    def merges(self) -> dict[str, Any]:
        """What ClickHouse's merges have done since it started, and the parts there are."""
        asked = (
            "SELECT event, value FROM system.events WHERE event IN ('Merge', 'MergedRows', 'MergesTimeMilliseconds', "
            "'MergeTotalMilliseconds', 'MergeExecuteMilliseconds', 'InsertedRows')"
        )
        parts = (
            "SELECT table, count() FROM system.parts WHERE active AND database = {d:String} GROUP BY "
            "table ORDER BY 2 DESC LIMIT 6"
        )
        return {
            "events": {str(name): int(value) for name, value in self.client.query(asked).result_rows},
            "parts": dict(self.client.query(parts, parameters={"d": self.settings.clickhouse_database}).result_rows),
        }

    def peer(self, name: str, command: list[str], shape: Shape) -> Filled:
        """A peer on a topic of its own, keyed by the idempotency key."""
        topic, table = f"bench.{name}.{shape.run}", f"bench_{name}_{shape.run}"
        admin = AdminClient(self.kafka)
        for future in admin.create_topics([NewTopic(topic, self.settings.partitions, 1)]).values():
            future.result()
        self.produce(topic, ((-1, key, value) for key, value in single_records(shape)))
        self.client.command(PEER_TABLE.format(table=table))
        env = {
            "BENCH_TOPIC": topic,
            "BENCH_GROUP": f"bench-{name}-{shape.run}",
            "BENCH_KAFKA": self.settings.kafka_bootstrap,
            "BENCH_CLICKHOUSE": str(self.settings.clickhouse_port),
            "BENCH_TABLE": f"{self.settings.clickhouse_database}.{table}",
            "WEIR_CLICKHOUSE_PASSWORD": self.settings.clickhouse_password.get_secret_value(),
            "BENCH_FOLDER": str(self.folder / f"{name}-{shape.run}"),
        }
        with self.process(command, env) as pid:
            return fill(self.count(table), distinct(shape), shape.events, self.pids(name, pid), 300)

    def stock_faust(self, shape: Shape) -> Filled:
        """Stock Faust, event at a time."""
        command = [sys.executable, str(HERE / "peers/stock_faust.py"), "worker", "-l", "warn", "--without-web"]
        return self.peer("faust", command, shape)

    def quix(self, shape: Shape) -> Filled:
        """Quix Streams, in an environment of its own."""
        return self.peer("quix", [self.peers_python, str(HERE / "peers/quix.py")], shape)

    def read_limit(self) -> dict[str, float]:
        """Reading everything that is in usage.events, doing nothing with it."""
        topic = events_topic(self.settings.generation)
        reader = Consumer(self.kafka | {"group.id": "bench-read", "enable.auto.commit": False})
        ends = {p: reader.get_watermark_offsets(TopicPartition(topic, p))[1] for p in range(self.settings.partitions)}
        reader.assign([TopicPartition(topic, partition, 0) for partition in ends])
        waiting, size = {p for p, end in ends.items() if end}, 0
        began, used = time.perf_counter(), time.process_time()
        while waiting:
            for message in reader.consume(500, 1.0):
                size += len(message.value())
                if message.offset() + 1 >= ends[message.partition()]:
                    waiting.discard(message.partition())
        took, used = time.perf_counter() - began, time.process_time() - used
        reader.close()
        return {"records": sum(ends.values()), "bytes": size, "seconds": took, "cpu_seconds": used}

    def insert_limit(self, shape: Shape) -> dict[str, float]:
        """The same rows from ready-made blocks into the same tables, in a database of their own."""
        name = f"bench_{shape.run}"
        migrate(self.settings.model_copy(update={"clickhouse_database": name}))
        client = connect(self.settings, database=name)
        blocks = [(arrow_bytes(table), table.column_names, table.num_rows) for table in records_of(shape)]
        pid = self.stack.pid("clickhouse")
        began, used = time.perf_counter(), cpu_seconds(pid)
        for block, names, _ in blocks:
            client.raw_insert("usage_events", [f"`{column}`" for column in names], block, fmt="ArrowStream")
        took, used = time.perf_counter() - began, cpu_seconds(pid) - used
        client.command(f"DROP DATABASE {name}")
        rows = sum(block[2] for block in blocks)
        return {
            "rows_per_second": rows / took,
            "clickhouse_cpu_us_per_row": used / rows * 1e6,
            "rows_per_block": rows / len(blocks),
        }


def middle(values: list[float]) -> dict[str, float]:
    """Median, lowest, highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def summary(rounds: list[Filled]) -> dict[str, Any]:
    """Of one system's rounds."""
    return {
        "events_per_second": middle([one.events_per_second for one in rounds]),
        "cpu_us_per_event": {n: statistics.median([one.cpu_us[n] for one in rounds]) for n in rounds[0].cpu_us},
        "peak_mib": {name: max(one.peak_mib[name] for one in rounds) for name in rounds[0].peak_mib},
        "rounds": [asdict(one) for one in rounds],
    }


def show(name: str, found: Mapping[str, Any]) -> None:
    """One line for people."""
    rate = found["events_per_second"]
    costs = ", ".join(f"{process} {cost:.2f}" for process, cost in found["cpu_us_per_event"].items())
    memory = ", ".join(f"{process} {mib:.0f}" for process, mib in found["peak_mib"].items() if process != "kafka")
    print(
        f"{name:22} {rate['median']:>9,.0f} events/s ({rate['lowest']:,.0f} to {rate['highest']:,.0f}); "
        f"µs of CPU an event: {costs}; peak MiB: {memory}",
        flush=True,
    )


def main() -> None:
    """Run all, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--events", type=int, default=1_500_000, help="for Weir; peers get a share that takes them about as long"
    )
    parser.add_argument("--peers-python", required=True, help="Python with deploy/peers.lock installed")
    parser.add_argument("--save", type=Path, required=True)
    parser.add_argument("--curves", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    report: dict[str, Any] = {"events": asked.events, "rounds": asked.rounds}
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder) / "stack", ports="free", processes=("kafka", "clickhouse", "init", "gateway")) as stack,
    ):
        bench = Bench(stack, Path(folder), asked.peers_python)
        key = bench.settings.admin_key.get_secret_value()
        url = f"http://127.0.0.1:{bench.settings.gateway_port}/v1/catalog/apply"
        httpx.post(url, json=CATALOG, headers={"Authorization": f"Bearer {key}"}).raise_for_status()
        own = Shape(asked.events)
        systems: dict[str, tuple[Callable[[Shape], Filled], Shape]] = {
            "Weir's worker": (bench.weir, own),
            "Quix Streams": (bench.quix, replace(own, events=asked.events // 5)),
            "stock Faust": (bench.stock_faust, replace(own, events=asked.events // 15)),
        }
        rounds: dict[str, list[Filled]] = {name: [] for name in systems}
        for number in range(asked.rounds):
            for name, (run, shape) in systems.items():
                found = run(replace(shape, run=f"r{number}", seed=number))
                rounds[name].append(found)
                print(f"  round {number + 1}: {name} {found.events_per_second:,.0f} events/s", flush=True)
        for name, some in rounds.items():
            report[name] = summary(some)
            show(name, report[name])
        rates = {name: report[name]["events_per_second"]["median"] for name in systems}
        report["ratios"] = {
            name: rates["Weir's worker"] / rate for name, rate in rates.items() if name != "Weir's worker"
        }
        print("; ".join(f"{ratio:.1f} times {name}" for name, ratio in report["ratios"].items()), flush=True)
        report["limits"] = {"read": bench.read_limit(), "insert": bench.insert_limit(replace(own, run="limit"))}
        read, insert = report["limits"]["read"], report["limits"]["insert"]
        per_event = read["cpu_seconds"] / (asked.events * asked.rounds) * 1e6
        print(
            f"limits: reading the bytes {per_event:.2f} µs of CPU an event; inserting ready-made blocks "
            f"{insert['rows_per_second']:,.0f} rows/s, {insert['clickhouse_cpu_us_per_row']:.2f} µs of CPU a row",
            flush=True,
        )
        report["two workers"] = summary([bench.two_workers(replace(own, run="two"))])
        show("two workers", report["two workers"])
        report["merges"] = bench.merges()
        print("ClickHouse's merges so far:", report["merges"], flush=True)
        report["stages_us"] = stages(200_000, 5)
        print("the worker's stages, µs an event:", {n: round(v["median"], 2) for n, v in report["stages_us"].items()})
        if asked.curves:
            report["curves"] = curves(bench, asked.events // 2)
    asked.save.parent.mkdir(parents=True, exist_ok=True)
    asked.save.write_text(json.dumps(report, indent=1))
    print(f"saved to {asked.save}")


def curves(bench: Bench, events: int) -> dict[str, Any]:
    """The worker over numbers of accounts, and over share and age of copies: one round each."""
    found: dict[str, Any] = {}
    points = {
        "1,000 accounts": {}, "100,000 accounts": {"accounts": 100_000}, "1,000,000 accounts": {"accounts": 1_000_000},
        "no copies": {"copies": 0.0}, "50 % copies, recent": {"copies": 0.5},
        "10 % copies, old": {"reach": events}, "50 % copies, old": {"copies": 0.5, "reach": events},
    }  # fmt: skip
    for number, (name, change) in enumerate(points.items()):
        shape = replace(Shape(events, run=f"c{number}", seed=number), **change)
        found[name] = summary([bench.weir(shape)])
        show(name, found[name])
    return found


if __name__ == "__main__":
    main()
