"""The systems of the comparison, each measured on one stack while it reads a topic that is full already, and the limits
that none of them can pass."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_meter import records_of
from bench_road import drain
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from java_peers.jobs import JavaPeer, run
from measuring import Filled, cpu_seconds, fill
from workload import Shape, distinct, packed, single_records

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment
from schemas.catalog.follower import read_catalog
from schemas.clickhouse.client import connect
from schemas.kafka.topics import events_topic
from schemas.migrations import migrate
from stream_processors.metering.journal import arrow_bytes

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
PEER_TABLE = (
    "CREATE TABLE {table} (account_id String, idempotency_key String, timestamp Int64, plays "
    "UInt8, bytes Nullable(Int64)) "
    "ENGINE = MergeTree ORDER BY (account_id, timestamp)"
)


class Bench:
    """A running stack and what each system needs to run on it."""

    def __init__(self, stack: Stack, folder: Path, peers_python: str, jars: Path | None) -> None:
        self.stack, self.folder, self.peers_python, self.jars = stack, folder, peers_python, jars
        self.topics: set[str] = set()
        self.settings = stack.settings
        self.client = connect(self.settings)
        self.kafka = self.settings.librdkafka()

    def count(self, table: str) -> Callable[[], int]:
        """Rows of a table beyond those there are now."""
        base = self.rows(table)
        return lambda: self.rows(table) - base

    def rows(self, table: str) -> int:
        """Rows of a table."""
        return int(self.client.query(f"SELECT count() FROM {table}").result_rows[0][0])

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
            filled = fill(count, distinct(shape), shape.events, self.pids("worker", pid), limit_s)
            self.settled()
            return replace(filled, keys=self.rows("usage_events"))

    def settled(self) -> None:
        """Wait until the cursor has passed the last rows: a worker killed before would write them again, and they would
        be counted as the next run's."""
        drain(self.stack, self.client, 60)

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
            filled = fill(count, distinct(shape), shape.events, pids, 120)
            self.settled()
            return filled

    def merges(self) -> dict[str, Any]:
        """What ClickHouse's merges have done since it started, and the parts there are."""
        counters = (
            "SELECT event, value FROM system.events WHERE event IN ('Merge', 'MergedRows', 'MergesTimeMilliseconds', "
            "'MergeTotalMilliseconds', 'MergeExecuteMilliseconds', 'InsertedRows')"
        )
        parts = (
            "SELECT table, count() FROM system.parts WHERE active AND database = {d:String} GROUP BY "
            "table ORDER BY 2 DESC LIMIT 6"
        )
        return {
            "events": {str(name): int(value) for name, value in self.client.query(counters).result_rows},
            "parts": dict(self.client.query(parts, parameters={"d": self.settings.clickhouse_database}).result_rows),
        }

    def singles(self, topic: str, shape: Shape) -> None:
        """A new topic with one record an event, keyed by the idempotency key."""
        admin = AdminClient(self.kafka)
        for future in admin.create_topics([NewTopic(topic, self.settings.partitions, 1)]).values():
            future.result()
        self.produce(topic, ((-1, key, value) for key, value in single_records(shape)))

    def peer_environment(self, topic: str, group: str, table: str, folder: Path) -> dict[str, str]:
        """What a peer is told, and its table, made new."""
        self.client.command(PEER_TABLE.format(table=table))
        return {
            "BENCH_TOPIC": topic,
            "BENCH_GROUP": group,
            "BENCH_KAFKA": self.settings.kafka_bootstrap,
            "BENCH_CLICKHOUSE": str(self.settings.clickhouse_port),
            "BENCH_TABLE": f"{self.settings.clickhouse_database}.{table}",
            "WEIR_CLICKHOUSE_PASSWORD": self.settings.clickhouse_password.get_secret_value(),
            "BENCH_FOLDER": str(folder),
        }

    def peer(self, name: str, command: list[str], shape: Shape) -> Filled:
        """A peer in Python on a topic of its own."""
        topic, table = f"bench.{name}.{shape.run}", f"bench_{name}_{shape.run}"
        self.singles(topic, shape)
        env = self.peer_environment(topic, f"bench-{name}-{shape.run}", table, self.folder / f"{name}-{shape.run}")
        with self.process(command, env) as pid:
            filled = fill(self.count(table), distinct(shape), shape.events, self.pids(name, pid), 300)
            return replace(filled, keys=distinct(shape))

    def stock_faust(self, shape: Shape) -> Filled:
        """Stock Faust, event at a time."""
        command = [sys.executable, str(HERE / "peers/stock_faust.py"), "worker", "-l", "warn", "--without-web"]
        return self.peer("faust", command, shape)

    def quix(self, shape: Shape) -> Filled:
        """Quix Streams, in an environment of its own."""
        return self.peer("quix", [self.peers_python, str(HERE / "peers/quix.py")], shape)

    def java_peer(self, peer: JavaPeer, shape: Shape) -> Filled:
        """A peer in Java, each on the same topic, one after another."""
        if self.jars is None:
            raise ValueError("the Java peers are not built: start with --java-peers")
        topic = f"bench.java.{shape.run}"
        if topic not in self.topics:
            self.singles(topic, shape)
            self.topics.add(topic)
        return run(self, peer, self.jars, topic, shape)

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
            client.raw_insert("usage_flush", [f"`{column}`" for column in names], block, fmt="ArrowStream")
        took, used = time.perf_counter() - began, cpu_seconds(pid) - used
        client.command(f"DROP DATABASE {name}")
        rows = sum(block[2] for block in blocks)
        return {
            "rows_per_second": rows / took,
            "clickhouse_cpu_us_per_row": used / rows * 1e6,
            "rows_per_block": rows / len(blocks),
        }
