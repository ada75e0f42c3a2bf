"""How fast one gateway takes events: `make bench-gateway`.

Beside it, in turns on the same broker (acks=all): a plain FastAPI + pydantic gateway with one produce an event, and our
gateway under granian in place of uvicorn. For each: batches of 100 as fast as they go (events/s, µs of CPU an event),
then at half of that (p50, p99), then single events at 1,000 requests/s (p50, p99). Then the stages of acceptance in µs
an event. Saves JSON.
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
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka.admin import AdminClient, NewTopic
from measuring import cpu_seconds, memory_mib, wait_until
from workload import CATALOG, NAMESPACE, STAMP_US

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment
from schemas.catalog.meters import Meter
from schemas.catalog.state import Catalog, record_of
from schemas.events.acceptance import accept
from schemas.events.batch import encode_batch
from schemas.events.event_types import NO_TYPES
from schemas.events.measurable import measurable
from schemas.events.raw_events import decode_batch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@contextmanager
def served(command: list[str], env: Mapping[str, str], port: int, path: str) -> Iterator[int]:
    """A server process that answers on ``path``; ended by force afterwards."""
    process = subprocess.Popen(
        command, env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{command} has ended")
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code == 200
        return False

    try:
        wait_until(answers, 60, f"{command} does not answer on port {port}", every_s=0.1)
        yield process.pid
    finally:
        for child in children(process.pid) if process.poll() is None else ():
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """Pids of its child processes (granian serves from one)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def load(port: int, key: str, rate: float, seconds: float, connections: int, name: str, size: int) -> dict[str, Any]:
    """One run of load.py."""
    command = [
        sys.executable,
        str(HERE / "clients/load.py"),
        str(port),
        key,
        str(rate),
        str(seconds),
        str(connections),
        name,
        str(size),
    ]
    done: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    )
    if done["refused"]:
        raise AssertionError(f"{done['refused']} requests were refused")
    return done


def measured(port: int, pid: int, key: str, seconds: float, connections: int, name: str) -> dict[str, Any]:
    """Full speed in batches, half of it, and singles at 1,000 requests/s."""
    pids = [pid, *children(pid)]
    load(port, key, 0, 3, connections, f"{name}-warm", 100)

    def cpu() -> float:
        return sum(map(cpu_seconds, pids))

    before = cpu()
    full = load(port, key, 0, seconds, connections, f"{name}-full", 100)
    cost = (cpu() - before) / full["acknowledged"] * 1e6
    rate = full["acknowledged"] / full["seconds"]
    half = load(port, key, rate / 2, seconds, connections, f"{name}-half", 100)
    before = cpu()
    single = load(port, key, 1_000, seconds, connections, f"{name}-one", 1)
    return {
        "events_per_second": rate,
        "cpu_us_per_event": cost,
        "full_p50_ms": full["p50_ms"],
        "full_p99_ms": full["p99_ms"],
        "half_p50_ms": half["p50_ms"],
        "half_p99_ms": half["p99_ms"],
        "single_per_second": single["acknowledged"] / single["seconds"],
        "single_p50_ms": single["p50_ms"],
        "single_p99_ms": single["p99_ms"],
        "single_cpu_us": (cpu() - before) / single["acknowledged"] * 1e6,
        "rss_mib": sum(map(memory_mib, pids)),
    }


def stages(rounds: int) -> dict[str, float]:
    """µs of CPU an event of decoding a batch's JSON, judging it, looking for what counts for nothing, and packing it
    for Kafka; medians."""
    from clients.load import body

    bodies = [body(b"stage", number, 100) for number in range(200)]
    spent: dict[str, list[float]] = {"decode": [], "accept": [], "warn": [], "pack": []}
    catalog = Catalog()
    for number, meter in enumerate(CATALOG["meters"]):
        model = Meter.model_validate(meter)
        catalog.apply(record_of("default", model, kind="meter", version=1, author="", claim_id=""), number, 0)
    watched = measurable(catalog.view("default"))

    def timed(stage: str, call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        began = time.thread_time()
        done = [call(item) for item in items]
        spent[stage].append((time.thread_time() - began) / len(items) / 100 * 1e6)
        return done

    for _ in range(rounds):
        raws = timed("decode", decode_batch, bodies)
        accepted = timed(
            "accept",
            lambda some: accept("default", NAMESPACE, some, now_us=STAMP_US, mint_key=str, types=NO_TYPES),
            raws,
        )
        timed("warn", watched.warnings, accepted)
        timed("pack", lambda some: encode_batch("default", 2, some), accepted)
    return {stage: statistics.median(costs) for stage, costs in spent.items()}


def show(name: str, found: Mapping[str, float]) -> None:
    """One line for people."""
    print(
        f"{name:30} {found['events_per_second']:>9,.0f} events/s, {found['cpu_us_per_event']:.1f} µs "
        "of CPU an event; at half p50 "
        f"{found['half_p50_ms']:.1f}, p99 {found['half_p99_ms']:.1f} ms; singles at "
        f"{found['single_per_second']:,.0f}/s p50 "
        f"{found['single_p50_ms']:.1f}, p99 {found['single_p99_ms']:.1f} ms, {found['single_cpu_us']:.0f} "
        "µs of CPU each",
        flush=True,
    )


def main() -> None:
    """Run all in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--save", type=Path, required=True)
    asked = parser.parse_args()
    report: dict[str, Any] = {}
    kinds = ("kafka", "clickhouse", "init", "gateway")
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=kinds) as stack,
    ):
        settings = stack.settings
        key = settings.admin_key.get_secret_value()
        url = f"http://127.0.0.1:{settings.gateway_port}/v1/catalog/apply"
        httpx.post(url, json=CATALOG, headers={"Authorization": f"Bearer {key}"}).raise_for_status()
        admin = AdminClient(settings.librdkafka())  # held: its futures end with it
        for future in admin.create_topics([NewTopic("bench.plain", settings.partitions, 1)]).values():
            future.result()
        taken: set[int] = set()
        own = settings_environment(settings)
        ports = {name: free_port(taken) for name in ("uvicorn", "granian", "plain")}
        servers: dict[str, tuple[list[str], dict[str, str], str]] = {
            "Weir's gateway (uvicorn)": (
                [sys.executable, "-m", "ingest.gateway"],
                own | {"WEIR_GATEWAY_PORT": str(ports["uvicorn"])},
                "/readyz",
            ),
            "Weir's gateway (granian)": (
                [
                    sys.executable,
                    "-m",
                    "granian",
                    "--interface",
                    "asgi",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(ports["granian"]),
                    "--loop",
                    "uvloop",
                    "--log-level",
                    "error",
                    "--factory",
                    "tests.bench.peers.granian_app:create",
                ],
                own,
                "/readyz",
            ),
            "FastAPI + pydantic, plain": (
                [sys.executable, str(HERE / "peers/plain_gateway.py")],
                {
                    "BENCH_KAFKA": settings.kafka_bootstrap,
                    "BENCH_TOPIC": "bench.plain",
                    "BENCH_PORT": str(ports["plain"]),
                },
                "/docs",
            ),
        }
        for (name, (command, env, path)), port in zip(servers.items(), ports.values(), strict=True):
            rounds = []
            for number in range(asked.rounds):
                with served(command, env, port, path) as pid:
                    rounds.append(measured(port, pid, key, asked.seconds, asked.connections, f"{port}-{number}"))
            report[name] = {field: statistics.median([one[field] for one in rounds]) for field in rounds[0]}
            report[name]["rounds"] = rounds
            show(name, report[name])
    report["stages_us"] = stages(5)
    print("stages, µs of CPU an event:", {name: round(cost, 2) for name, cost in report["stages_us"].items()})
    asked.save.parent.mkdir(parents=True, exist_ok=True)
    asked.save.write_text(json.dumps(report, indent=1))
    print(f"saved to {asked.save}")


if __name__ == "__main__":
    main()
