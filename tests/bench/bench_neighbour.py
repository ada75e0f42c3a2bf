"""A quiet tenant beside a noisy one, at one gateway: `python tests/bench/bench_neighbour.py --save
build/bench-neighbour.json [--before FOLDER]`.

First what the gateway can do (single events, 64 connections as fast as answers come). Then a noisy tenant sends twice
that, in an open loop that does not care for answers; then from 1,200 connections as fast as they are answered, whatever
the answer. Meanwhile a quiet tenant sends 40 requests a second. Told: how soon a 503 comes, and the quiet tenant's p50
and p99. ``--before``: the same with the gateway of another checkout, on the same Kafka. Loopback only, bounded in time
(some 15 s a gateway).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from bench_gateway import ROOT, served
from measuring import cpu_seconds, memory_mib

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment

HERE = Path(__file__).resolve().parent
QUIET_RATE = 40.0


def drive(*arguments: object) -> subprocess.Popen[bytes]:
    """A client in a process of its own, whose load is at its rate."""
    client = subprocess.Popen(
        [sys.executable, str(HERE / "clients/crowd.py"), *map(str, arguments)], stdout=subprocess.PIPE, bufsize=0
    )
    assert client.stdout is not None
    client.stdout.readline()  # it says when
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
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
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
