"""A quiet tenant beside one that does what must stop nobody: `python tests/bench/bench_noisy.py --save
build/bench-noisy.json [--before FOLDER]`.

For each scenario of noise/scenarios.py a quiet tenant sends single events, asks for its usage and waits until an
event shows in it: first alone, then beside the noise, on one stack with gateway, worker and rating service. Told: p50
and p99 in milliseconds of each, answers that were no success, memory of the three processes, and what the noisy one
was answered. What a scenario declares beforehand is not measured. ``--before``: the same with the stack of another
checkout, first; ``--only`` names scenarios; ``--raised``: the operator has raised the noisy one's bounds, so that
what it declares is of the whole size (24,000 event types, 640 profiles on one event name). Loopback only; some 12 s a
scenario, and no scenario is waited for longer than a minute."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import uvloop
from measuring import memory_mib
from noise.scenarios import SCENARIOS
from noise.tenant import Noisy

from deploy.local.stack import Stack

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LATE = 10.0  # a request that takes longer counts as this long
SHOWS_WITHIN = 30.0
RAISED = {"event_types": 30_000, "profiles_per_event_name": 1_000}
METER = {"code": "call", "profiles": [{"code": "n", "aggregation": "count"}]}


class Quiet:
    """One who sends 40 events and asks 8 questions a second, each at its due time, and looks for an event of his own
    again and again."""

    def __init__(self, gateway: str, rating: str, key: str, name: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._gateway = httpx.AsyncClient(base_url=gateway, headers=headers, timeout=LATE, limits=limits)
        self._rating = httpx.AsyncClient(base_url=rating, headers=headers, timeout=LATE, limits=limits)
        self._name, self._number = name, 0
        self.milliseconds: dict[str, list[float]] = {"event": [], "query": [], "visible": []}
        self.failed: dict[str, int] = {}

    async def watch(self, seconds: float) -> None:
        """For so long."""
        end = time.monotonic() + seconds
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._paced("event", 40, end, self._event))
                group.create_task(self._paced("query", 8, end, self._query))
                group.create_task(self._visible(end))
        finally:
            await self._gateway.aclose()
            await self._rating.aclose()

    async def _paced(self, kind: str, rate: float, end: float, ask: Callable[[], Awaitable[httpx.Response]]) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while due < end:
                await asyncio.sleep(max(0.0, due - time.monotonic()))  # its pace
                group.create_task(self._timed(kind, due, ask))
                due += 1 / rate

    async def _timed(self, kind: str, due: float, ask: Callable[[], Awaitable[httpx.Response]]) -> None:
        try:
            answer = await asyncio.wait_for(ask(), LATE)
            if not answer.is_success:
                self._count(f"{kind} {answer.status_code}")
        except (httpx.HTTPError, TimeoutError) as error:
            self._count(f"{kind} {type(error).__name__}")
        self.milliseconds[kind].append((time.monotonic() - due) * 1000)

    async def _visible(self, end: float) -> None:
        while (began := time.monotonic()) < end:
            account = f"{self._name}-v{self._number}"
            try:
                await asyncio.wait_for(self._shown(account), SHOWS_WITHIN)
            except (httpx.HTTPError, TimeoutError) as error:
                self._count(f"visible {type(error).__name__}")
            self.milliseconds["visible"].append((time.monotonic() - began) * 1000)

    async def _shown(self, account: str) -> None:
        taken = False
        while True:
            taken = taken or (await self._event(account)).is_success
            answer = await self._query(account)
            if answer.is_success and any(str(row.get("quantity")) == "1" for row in answer.json()["rows"]):
                return
            await asyncio.sleep(0.05)  # the pace at which a client asks; ``_visible`` ends it

    async def _event(self, account: str = "a") -> httpx.Response:
        self._number += 1
        key = f"{self._name}-{self._number}"
        event = {"event_name": "call", "account_id": account, "idempotency_key": key, "properties": {"x": 1}}
        return await self._gateway.post("/v1/events", json=event)

    async def _query(self, account: str = "a") -> httpx.Response:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        return await self._rating.get("/v1/usage", params={"metric": "call.n", "account_id": account, "from": day})

    def _count(self, what: str) -> None:
        self.failed[what] = self.failed.get(what, 0) + 1


def summed(quiet: Quiet) -> dict[str, Any]:
    """p50 and p99 by kind."""
    report: dict[str, Any] = {}
    for kind, taken in quiet.milliseconds.items():
        times = sorted(taken)
        if times:
            p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
            report[kind] = {"count": len(times), "p50_ms": round(times[len(times) // 2], 1), "p99_ms": round(p99, 1)}
    return report | ({"failed": quiet.failed} if quiet.failed else {})


def watched(stack: Stack, key: str, name: str, seconds: float) -> dict[str, Any]:
    """The quiet tenant's figures over a while."""
    gateway, rating = (f"http://127.0.0.1:{port}" for port in (stack.settings.gateway_port, stack.settings.rating_port))
    quiet = Quiet(gateway, rating, key, name)
    uvloop.run(quiet.watch(seconds))
    return summed(quiet)


def settled(stack: Stack, key: str, name: str) -> float:
    """Wait until an event shows within a second again, 45 s at most; a process that does not come back is started
    again. Gives seconds."""
    began = time.monotonic()
    while time.monotonic() - began < 45:
        report = watched(stack, key, f"{name}-{time.monotonic_ns()}", 0.3)
        if "failed" not in report and report["visible"]["p50_ms"] < 1000 and report["event"]["p99_ms"] < 250:
            return time.monotonic() - began
    for process in ("gateway", "worker-0", "rating"):
        before = stack.pid(process)
        stack.kill(process)
        stack.wait_ready(process, 60, not_pid=before)
    return time.monotonic() - began


def declared(stack: Stack, namespace: str, bounds: dict[str, int] | None = None) -> str:
    """A new namespace; a key of it that may do everything. ``bounds``: those that the operator has raised."""
    headers = {"Authorization": f"Bearer {stack.settings.admin_key.get_secret_value()}", "Weir-Namespace": namespace}
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.gateway_port}", headers=headers, timeout=60) as http:
        body = {"namespace": {"code": namespace, "bounds": bounds or {}}, "meters": [METER]}
        http.post("/v1/catalog/apply", json=body).raise_for_status()
        made = http.post("/v1/api-keys", json={"scopes": ["admin"]}).raise_for_status()
        return str(made.json()["key"])


def scene(stack: Stack, name: str, quiet_key: str, seconds: float, raised: bool) -> dict[str, Any]:
    """One scenario, in a namespace of its own, with ``raised`` bounds."""
    settings = stack.settings
    namespace = f"noisy-{name}"
    noisy = Noisy(
        settings.gateway_port,
        settings.rating_port,
        settings.admin_key.get_secret_value(),
        declared(stack, namespace, RAISED if raised else None),
        namespace,
    )
    command = [sys.executable, "-m", "noise", name, json.dumps(asdict(noisy))]
    report: dict[str, Any] = {}
    began = time.monotonic()
    try:
        subprocess.run([*command, "prepare"], cwd=HERE, check=True, timeout=60)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        report["not_prepared"] = type(error).__name__
    report["prepared_s"] = round(time.monotonic() - began, 1)
    report["settled_before_s"] = round(settled(stack, quiet_key, f"{name}-s"), 1)
    report["alone"] = watched(stack, quiet_key, f"{name}-a", seconds / 2)
    noise = subprocess.Popen(
        [*command, str(seconds)], cwd=HERE, stdout=subprocess.PIPE, bufsize=0, preexec_fn=lambda: os.nice(5)
    )
    try:
        assert noise.stdout is not None
        noise.stdout.readline()  # it begins
        report["beside"] = watched(stack, quiet_key, f"{name}-b", seconds)
        pids = {process: stack.pid(process) for process in ("gateway", "worker-0", "rating")}
        report["rss_mib"] = {process: round(memory_mib(pid)) for process, pid in pids.items() if pid}
        out, _ = noise.communicate(timeout=15)
        report["noisy"] = json.loads(out or b"{}")
    except subprocess.TimeoutExpired:
        report["noisy"] = "did not end"
    finally:
        noise.kill()
        noise.wait()
    report["settled_after_s"] = round(settled(stack, quiet_key, f"{name}-e"), 1)
    return report


def line(name: str, report: dict[str, Any]) -> str:
    """What a person reads."""
    parts = [f"{name:12}"]
    for kind in ("event", "query", "visible"):
        alone, beside = report["alone"].get(kind, {}), report["beside"].get(kind, {})
        figures = (
            f"{which} " + "→".join(f"{of.get(f'{which}_ms', 0):.0f}" for of in (alone, beside))
            for which in ("p50", "p99")
        )
        parts.append(f"{kind} {' '.join(figures)} ms")
    failed = report["beside"].get("failed")
    return "  ".join(parts) + (f"  failed {failed}" if failed else "")


def all_of(report: dict[str, Any], names: list[str], seconds: float, raised: bool, save: Callable[[], None]) -> None:
    """Every scenario on a stack of the current folder's code, saved one by one."""
    kinds = ("kafka", "clickhouse", "init", "gateway", "worker", "rating")
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=kinds) as stack,
    ):
        quiet = declared(stack, "quiet")
        watched(stack, quiet, "warm", 2)
        for name in names:
            report[name] = scene(stack, name, quiet, seconds, raised)
            print(line(name, report[name]), flush=True)
            save()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--raised", action="store_true")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    report: dict[str, Any] = {}
    if asked.before:
        print("before:", flush=True)
        tree = asked.before.resolve()
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "before.json"
            command = [
                sys.executable,
                __file__,
                "--seconds",
                str(asked.seconds),
                "--save",
                str(saved),
                "--only",
                *asked.only,
            ]
            subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, check=True, timeout=1500)
            report["before"] = json.loads(saved.read_text())["now"]
        print("now:", flush=True)
    report["now"] = {}

    def save() -> None:
        if asked.save is not None:
            asked.save.parent.mkdir(parents=True, exist_ok=True)
            asked.save.write_text(json.dumps(report, indent=1))

    all_of(report["now"], asked.only, asked.seconds, asked.raised, save)


if __name__ == "__main__":
    main()
