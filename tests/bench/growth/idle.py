"""A whole stack with so many namespaces while nothing happens, and at ten single events a second: per cent of a core
by process (CPU time of the process over wall clock)."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from measuring import cpu_seconds, wait_until

from deploy.local.stack import Stack
from schemas.clickhouse.client import connect

SIZES = (10, 1_000)
SETTLED_SECONDS = 50
"""Until the JVM has compiled what an idle broker does, and consumers have joined their groups."""
IDLE_SECONDS = 30
LOAD_SECONDS = 15
RATE = 10
PROBES = 15


def measure(size: int) -> Iterator[tuple[str, float]]:
    """Idle; then at ``RATE`` single events a second; then how soon one event of an idle stack is in ClickHouse."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder, Stack(Path(folder), ports="free") as stack:
        for number in range(size):
            _declare(stack, f"n{number}")
        time.sleep(SETTLED_SECONDS)
        yield from _shares(stack, "idle", IDLE_SECONDS, lambda _: None)
        keys = count()
        sender = http.client.HTTPConnection("127.0.0.1", stack.settings.gateway_port)
        yield from _shares(stack, f"{RATE} events/s", LOAD_SECONDS, lambda _: _send(stack, sender, f"k{next(keys)}"))
        visible = sorted(_visible_ms(stack, sender, f"probe{number}") for number in range(PROBES))
        yield "event visible after ms, median", statistics.median(visible)
        yield "event visible after ms, worst", visible[-1]


def _shares(stack: Stack, what: str, seconds: int, act: Callable[[int], None]) -> Iterator[tuple[str, float]]:
    """Per cent of a core of each process while ``act`` is called ``RATE`` times a second."""
    pids = {name: process.pid for name, process in stack.state().processes.items()} | {"supervisor": os.getpid()}
    began, before = time.monotonic(), {name: cpu_seconds(pid) for name, pid in pids.items()}
    for turn in range(seconds * RATE):
        act(turn)
        time.sleep(max(0.0, began + (turn + 1) / RATE - time.monotonic()))  # the pace of the senders
    took = time.monotonic() - began
    shares = {name: (cpu_seconds(pid) - before[name]) / took * 100 for name, pid in pids.items()}
    own = shares.pop("supervisor")  # with the senders of this benchmark
    yield f"{what}: all", sum(shares.values())
    for name, share in shares.items():
        yield f"{what}: {name}", share
    yield f"{what}: supervisor and this driver", own


def _headers(stack: Stack) -> dict[str, str]:
    key = stack.settings.admin_key.get_secret_value()
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Weir-Namespace": "n0"}


def _declare(stack: Stack, namespace: str) -> None:
    document = {
        "namespace": {"code": namespace},
        "meters": [{"code": "calls", "event_name": "call", "profiles": [{"code": "n", "aggregation": "count"}]}],
    }
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.gateway_port)
    connection.request(
        "POST", "/v1/catalog/apply", json.dumps(document), _headers(stack) | {"Weir-Namespace": namespace}
    )
    answer = connection.getresponse()
    assert answer.status < 300, answer.read()
    connection.close()


def _send(stack: Stack, connection: http.client.HTTPConnection, key: str) -> None:
    event = {"event_name": "call", "account_id": "a", "idempotency_key": key, "properties": {}}
    connection.request("POST", "/v1/events", json.dumps(event), _headers(stack))
    answer = connection.getresponse()
    assert answer.status == 202, answer.read()
    answer.read()


def _visible_ms(stack: Stack, connection: http.client.HTTPConnection, key: str) -> float:
    """Milliseconds from the request until ClickHouse shows the event's record."""
    client = connect(stack.settings)
    _send(stack, connection, key)
    began = time.monotonic()
    shown = "SELECT count() FROM usage_events WHERE namespace = 'n0' AND idempotency_key = {key:String}"
    wait_until(
        lambda: client.query(shown, parameters={"key": key}).result_rows[0][0], 30, f"{key} did not show within 30 s",
        every_s=0.02,
    )  # fmt: skip
    client.close()
    return (time.monotonic() - began) * 1e3
