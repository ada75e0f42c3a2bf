"""The Java peers, what starts each, and one measured run of one on a topic that is full already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from measuring import Filled, fill, wait_until
from workload import Shape

from deploy.local.kafka import java
from java_peers.progress import complete, difference, progress_of

if TYPE_CHECKING:
    from comparing.comparison import Bench

_HEAP = ("-Xms1g", "-Xmx4g", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
# What Flink's own launcher opens to it (env.java.opts.all of its default configuration), as far as these jobs need it.
_OPENED = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.net", "java.io", "java.nio", "java.text", "java.time", "java.util",
                    "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks")
)  # fmt: skip
_LIMIT_S = 170
_CHECKED_S = 30


@dataclass(frozen=True, slots=True)
class JavaPeer:
    """``changelog``: the store whose changelog holds each key once; ``writes``: whether it fills the peers' table."""

    name: str
    module: str
    main: str
    arguments: tuple[str, ...] = ()
    writes: bool = False
    changelog: str | None = None


_FLINK = ("flink", "weir.bench.flink.FlinkPeer")
PEERS = (
    JavaPeer("Flink hashmap", *_FLINK, ("hashmap",)),
    JavaPeer("Flink hashmap with sink", *_FLINK, ("hashmap", "clickhouse"), writes=True),
    JavaPeer("Flink RocksDB", *_FLINK, ("rocksdb",)),
    JavaPeer("Kafka Streams", "streams", "weir.bench.streams.StreamsPeer", changelog="seen"),
)


def command(peer: JavaPeer, jars: Path, temporary: Path) -> list[str]:
    """The peer's command line; whatever it spills goes to ``temporary``."""
    libs = jars / peer.module / "libs" / "*"
    return [java(), *_HEAP, *_OPENED, f"-Djava.io.tmpdir={temporary}", "-cp", str(libs), peer.main, *peer.arguments]


def run(bench: Bench, peer: JavaPeer, jars: Path, topic: str, shape: Shape) -> Filled:
    """One peer over all of ``topic``, then what it made of it is checked. A peer that writes is measured by its rows,
    as all others are; the rest by the keys that it has remembered."""
    name = f"{peer.name}-{shape.run}".replace(" ", "-").lower()
    table = f"bench_{name}".replace("-", "_")
    folder = bench.folder / name
    folder.mkdir()
    report = folder / "progress"
    right = complete(shape)
    env = bench.peer_environment(topic, f"bench-{name}", table, folder) | {"BENCH_PROGRESS": str(report)}
    with bench.process(command(peer, jars, folder), env) as pid:
        remembered: Callable[[], int] = lambda: progress_of(report).kept  # noqa: E731
        count = bench.count(table) if peer.writes else remembered
        filled = fill(count, right.kept, shape.events, bench.pids("own", pid), _LIMIT_S)
        wait_until(lambda: not difference(progress_of(report), shape), _CHECKED_S, f"{peer.name}: not all is right")
        if peer.writes:
            rows, keys, counted, total = bench.client.query(
                f"SELECT count(), uniqExact(idempotency_key), count(bytes), sum(bytes) FROM {table}"
            ).result_rows[0]
            assert (rows, keys, counted, total) == (right.kept, right.kept, right.counted, right.total_bytes), peer.name
        if peer.changelog:
            store = f"bench-{name}-{peer.changelog}-changelog"
            wait_until(
                lambda: committed_keys(bench, store) == right.kept, _CHECKED_S, f"{store} does not hold each key"
            )
        checkpoints = progress_of(report).checkpoints
    return replace(filled, keys=right.kept, checkpoints=checkpoints)


def committed_keys(bench: Bench, topic: str) -> int:
    """Distinct keys in a topic, of committed transactions alone: what a store would be restored to."""
    reader = Consumer(
        bench.kafka
        | {"group.id": topic, "enable.auto.commit": False, "isolation.level": "read_committed"}
        | {"enable.partition.eof": True}
    )
    partitions = reader.list_topics(topic).topics[topic].partitions
    reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    keys: set[bytes] = set()
    waiting = set(partitions)
    while waiting:
        for message in reader.consume(10_000, 1.0):
            if message.error():
                waiting.discard(message.partition())
            else:
                keys.add(message.key())
    reader.close()
    return len(keys)
