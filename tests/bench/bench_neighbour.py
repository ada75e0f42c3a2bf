"""A quiet tenant beside a noisy one, at one gateway: `python tests/bench/bench_neighbour.py --save
build/bench-neighbour.json [--before FOLDER]`.

First what the gateway can do (single events, 64 connections as fast as answers come). Then a noisy tenant sends twice
that, in an open loop that does not care for answers; then from 1,200 connections as fast as they are answered, whatever
the answer. Meanwhile a quiet tenant sends 20 requests a second. Told: how soon a 503 comes, and the quiet tenant's p50
and p99. ``--before``: the same with the gateway of another checkout, on the same Kafka. Loopback only, bounded in time
(some 15 s a gateway).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import uvloop
from bench_gateway import ROOT, served
from measuring import cpu_seconds, memory_mib

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment

HERE = Path(__file__).resolve().parent
QUIET_RATE = 20.0


class Answers(list[tuple[int, float]]):
    """(status, seconds) of each; says in a line when there are as many as connections: the load is at its rate."""

    def __init__(self, connections: int) -> None:
        super().__init__()
        self._connections = connections

    def append(self, answer: tuple[int, float]) -> None:
        super().append(answer)
        if len(self) == self._connections:
            print("begun", flush=True)


class Connection:
    """Sends one event a request and reads the answer; ``answers``: (status, seconds)."""

    def __init__(self, port: int, key: str, name: str, answers: list[tuple[int, float]]) -> None:
        self._port, self._name, self._answers = port, name, answers
        self._head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n".encode()
        self._number = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, due: float) -> None:
        """One request; its time counts from when it was due."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        self._number += 1
        body = b'{"event_name":"e","account_id":"a","idempotency_key":"%s-%d","properties":{"n":1}}' % (
            self._name.encode(), self._number,
        )  # fmt: skip
        try:
            writer.write(self._head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self._answers.append((0, time.monotonic() - due))
            writer.close()
            self._streams = None
            return
        self._answers.append((int(head[9:12]), time.monotonic() - due))


async def closed(port: int, key: str, name: str, connections: int, seconds: float) -> list[tuple[int, float]]:
    """As fast as the answers come."""
    answers = Answers(connections)
    end = time.monotonic() + seconds

    async def one(number: int) -> None:
        connection = Connection(port, key, f"{name}-{number}", answers)
        while (now := time.monotonic()) < end:
            await connection.send(now)

    await asyncio.gather(*(one(number) for number in range(connections)))
    return answers


async def opened(
    port: int, key: str, name: str, connections: int, seconds: float, rate: float
) -> list[tuple[int, float]]:
    """At their due times, as far as the connections reach."""
    answers = Answers(connections)
    began = time.monotonic()
    pace = connections / rate

    async def one(number: int) -> None:
        connection = Connection(port, key, f"{name}-{number}", answers)
        due = began + number / rate
        while due < began + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # What could not leave in time is left out: an open loop would have needed more connections.
            due = max(due, time.monotonic() - pace)
            await connection.send(max(due, time.monotonic() - pace))
            due += pace

    await asyncio.gather(*(one(number) for number in range(connections)))
    return answers


def summed(answers: list[tuple[int, float]], seconds: float) -> dict[str, Any]:
    """Counts and milliseconds by status."""
    told: dict[str, Any] = {"per_second": len(answers) / seconds}
    for status in sorted({status for status, _ in answers}):
        times = sorted(took * 1000 for found, took in answers if found == status)
        told[str(status)] = {
            "count": len(times),
            "p50_ms": times[len(times) // 2],
            "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)],
        }
    return told


def drive(*arguments: object) -> subprocess.Popen[bytes]:
    """A client in a process of its own, whose load is at its rate."""
    client = subprocess.Popen(
        [sys.executable, __file__, "--drive", *map(str, arguments)], stdout=subprocess.PIPE, bufsize=0
    )
    assert client.stdout is not None
    client.stdout.readline()  # see ``Answers``
    return client


def answer(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What it has measured."""
    out, _ = client.communicate(timeout=120)
    told: dict[str, Any] = json.loads(out)
    return told


def measured(port: int, pid: int, keys: dict[str, str], seconds: float, run: str) -> dict[str, Any]:
    """All phases."""
    answer(drive(port, keys["noisy"], f"{run}-warm", 16, 1.0, 0))
    report: dict[str, Any] = {"capacity": answer(drive(port, keys["noisy"], f"{run}-full", 64, seconds, 0))}
    if "202" not in report["capacity"]:
        raise AssertionError(f"nothing was taken: {report['capacity']}")
    capacity = report["capacity"]["202"]["count"] / seconds
    for phase, connections, rate in (("alone", 0, 0.0), ("twice", 600, 2 * capacity), ("connections", 1200, 0.0)):
        before = cpu_seconds(pid)
        noisy = drive(port, keys["noisy"], f"{run}-{phase}", connections, seconds + 1, rate) if connections else None
        quiet = answer(drive(port, keys["quiet"], f"{run}-{phase}-q", 4, seconds, QUIET_RATE))
        report[phase] = {"quiet": quiet, "noisy": None if noisy is None else answer(noisy)}
        report[phase] |= {"gateway_cpu_s": cpu_seconds(pid) - before, "rss_mib": memory_mib(pid)}
    return report


def declared(port: int, admin_key: str, namespace: str) -> str:
    """A new namespace; a key of it."""
    headers = {"Authorization": f"Bearer {admin_key}", "Weir-Namespace": namespace}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
        http.post("/v1/catalog/apply", json={"namespace": {"code": namespace}}).raise_for_status()
        limits = {"requests_per_second": 10**6}
        made = http.post("/v1/api-keys", json={"scopes": ["ingest"], "limits": limits}).raise_for_status()
        return str(made.json()["key"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drive", nargs=6)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    if asked.drive:
        port, key, name, connections, seconds, rate = asked.drive
        work = (
            opened(int(port), key, name, int(connections), float(seconds), float(rate))
            if float(rate)
            else closed(int(port), key, name, int(connections), float(seconds))
        )
        print(json.dumps(summed(uvloop.run(work), float(seconds))))
        return
    report: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "gateway")) as stack,
    ):
        settings = stack.settings
        keys: dict[str, str] = {}
        # The older one first: it declares the namespaces, since it may not read what a newer one writes.
        trees = ({"before": asked.before.resolve()} if asked.before else {}) | {"now": ROOT}
        for name, tree in trees.items():
            port = free_port(set())
            env = settings_environment(settings) | {"WEIR_GATEWAY_PORT": str(port), "PYTHONPATH": str(tree)}
            start = (
                f"import os, runpy; os.chdir({str(tree)!r}); runpy.run_module('ingest.gateway', run_name='__main__')"
            )
            with served([sys.executable, "-c", start], env, port, "/readyz") as pid:
                keys = keys or {
                    tenant: declared(port, settings.admin_key.get_secret_value(), tenant)
                    for tenant in ("noisy", "quiet")
                }
                report[name] = measured(port, pid, keys, asked.seconds, name)
            print(name, json.dumps(report[name], indent=1))
    if asked.save is not None:
        asked.save.parent.mkdir(parents=True, exist_ok=True)
        asked.save.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
