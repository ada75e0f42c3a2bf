"""``python -m tests.chaos.brokers``: a stack of three brokers under load, of which one is killed, all are restarted in
turn, one is away, and then two.

Exit code 0: every topic has three replicas of which two must be in sync, nothing was acknowledged while two were away,
everything that was acknowledged is metered once, the books balance, and no hand was needed.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from deploy.local.stack import Stack
from schemas.kafka.replica_health import replica_health
from schemas.kafka.topics import CATALOG, CHECKPOINTS, INVOICES, events_topic
from schemas.settings import Settings
from tests.chaos.brokers.load import Load, wait_until
from tests.integration.world import World, declare

_BROKERS: Final = ("kafka", "kafka-1", "kafka-2")
_NAMESPACE: Final = "brokers"
_CATALOG: Final = {
    "namespace": {"code": _NAMESPACE, "max_event_age_seconds": None, "inbox": True},
    "meters": [
        {
            "code": "m",
            "event_name": "e",
            "unit": "x",
            "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]}],
        }
    ],
    "products": [{"code": "n", "name": "N", "unit": "x", "profile": "m.n"}],
    "plans": [
        {
            "code": "p",
            "currency": "USD",
            "charges": [{"product": "n", "price": {"model": "per_unit", "unit_amount": "1"}}],
        }
    ],
    "accounts": [{"code": "a0"}],
    "subscriptions": [{"code": "s", "account": "a0", "plan": "p", "start": "2026-01-01"}],
}


def topic_faults(settings: Settings) -> list[str]:
    """What is wrong with the topics that there are, Kafka's own too."""
    admin = AdminClient(settings.librdkafka())
    topics = admin.list_topics(timeout=15).topics
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    faults = []
    for resource, future in admin.describe_configs(resources, request_timeout=15).items():
        config = {key: entry.value for key, entry in future.result(20).items()}
        replicas = {len(partition.replicas) for partition in topics[resource.name].partitions.values()}
        found = replicas, config["min.insync.replicas"], config["unclean.leader.election.enable"]
        if found != ({3}, "2", "false"):
            faults.append(f"{resource.name} has replicas, least in sync, unclean election: {found}")
    return faults


def leader(settings: Settings, topic: str) -> str:
    """The process of the broker that leads partition 0."""
    topics = AdminClient(settings.librdkafka()).list_topics(topic, timeout=15).topics
    return _BROKERS[topics[topic].partitions[0].leader - 1]


def whole(settings: Settings) -> bool:
    """Whether all brokers are alive and every partition has all of its replicas."""
    health = replica_health(settings)
    return health.brokers == len(_BROKERS) and not health.leaderless and not health.behind


@contextmanager
def away(stack: Stack, names: tuple[str, ...]) -> Iterator[None]:
    """The processes are frozen meanwhile."""
    for name in names:
        stack.send_signal(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            stack.send_signal(name, signal.SIGCONT)


def run(folder: Path, away_seconds: float) -> list[str]:
    """The scenario; what is wrong."""
    overrides = {"delivery_seconds": 3, "checkpoint_seconds": 5, "flush_seconds": 0.1}
    problems: list[str] = []
    with Stack(folder, ports="free", brokers=3, overrides=overrides) as stack:
        settings = stack.settings
        declare(settings, _CATALOG)
        problems += topic_faults(settings)
        world = World(settings, _NAMESPACE, wait_until)
        load = Load(settings, _NAMESPACE)
        with load:
            load.goes_on("three brokers")
            for topic in dict.fromkeys((events_topic(1), CATALOG, CHECKPOINTS, INVOICES)):
                name = leader(settings, topic)
                killed = stack.kill(name)
                load.goes_on(f"{name} killed, which led {topic}")
                stack.wait_ready(name, 60, not_pid=killed)
                wait_until(lambda: whole(settings), timeout=180)
            for name in _BROKERS:
                pid = stack.pid(name)
                stack.restart(name)
                load.goes_on(f"{name} restarted")
                stack.wait_ready(name, 60, not_pid=pid)
                wait_until(lambda: whole(settings), timeout=180)
            frozen = leader(settings, events_topic(1))
            with away(stack, (frozen,)):
                load.goes_on(f"{frozen} away", least_seconds=away_seconds)
                closed = world.close("2026-02-02T00:00:00Z")
                print(f"a close with {frozen} away: {[invoice.total for invoice in closed.invoices]}", flush=True)
            wait_until(lambda: whole(settings), timeout=180)
            pair = tuple(name for name in _BROKERS if name != leader(settings, CATALOG))
            with away(stack, pair):
                time.sleep(3)  # what was on its way may still be acknowledged
                statuses = load.statuses_during(away_seconds)
                print(f"{pair} away: answers {statuses}", flush=True)
                if statuses.get(202):
                    problems.append(f"{statuses[202]} requests were acknowledged while two of three were away")
                if not statuses.get(503):
                    problems.append("nobody was answered 503 while two of three were away")
            began = time.monotonic()
            load.goes_on("two are back")
            wait_until(lambda: whole(settings), timeout=180)
            print(f"whole again {time.monotonic() - began:.1f} s after two came back", flush=True)
        world.metered(timeout=120)
        problems += judge(world, load)
        states = stack.state().processes
        print("restarts: " + ", ".join(f"{name} {state.restarts}" for name, state in states.items()))
        world.disconnect()
    return problems


def judge(world: World, load: Load) -> list[str]:
    """What is lost, double or out of balance."""
    problems = []
    rows = world.rows(
        "SELECT idempotency_key, count() FROM usage_events FINAL WHERE namespace = {n:String} GROUP BY idempotency_key"
    )
    keys = {str(key) for key, _ in rows}
    if lost := load.acknowledged - keys:
        problems.append(f"{len(lost)} acknowledged events are lost: {sorted(lost)[:3]}")
    if double := [str(key) for key, count in rows if count > 1]:
        problems.append(f"{len(double)} events are stored twice: {double[:3]}")
    ((counted,),) = world.rows("SELECT toInt64(sum(quantity)) FROM usage_records FINAL WHERE namespace = {n:String}")
    if counted != len(keys):
        problems.append(f"{len(keys)} events count as {counted}")
    print(f"{len(load.acknowledged):,} events acknowledged in {load.answers}; {len(keys):,} metered", flush=True)
    if not (books := world.books())["balanced"]:
        problems.append(f"the books do not balance: {books}")
    return problems + world.differences()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.brokers", description="three brokers and their faults")
    parser.add_argument(
        "--away", type=float, default=15.0, help="seconds for which brokers are away (60 for a long look)"
    )
    parser.add_argument("--data-dir", type=Path, help="keep the stack's data and logs here")
    given = parser.parse_args()
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="weir-brokers-") as temporary:
        problems = run(given.data_dir or Path(temporary), given.away)
    for problem in problems:
        print(f"WRONG: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
