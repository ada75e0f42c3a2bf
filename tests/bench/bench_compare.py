"""Weir's worker beside stock Faust, Quix Streams, Flink and Kafka Streams on the same events: `make bench`.

One stack (Kafka, ClickHouse) for all; each system meets a topic that is full already, from its start, in rounds by
turns, so that what the machine does besides hits all alike. Weir: packed batches, its worker as `weir up` runs it, all
of its tables. Peers: one record an event, deduplication, both profiles' filters, and one table or none, as the last
table says. Limits: reading the same bytes, and inserting the same rows from ready-made blocks into the same tables. A
median of the rounds, with the lowest and the highest.

Events: 1,000 accounts, 10 % copies of one of the 1,000 before, two profiles. Saves JSON to --save.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from bench_meter import stages
from comparing.comparison import ROOT, Bench
from comparing.comparison_table import NOT_DONE, WEIR, show, summary, table
from java_peers.jars import build
from java_peers.jobs import PEERS
from measuring import Filled
from workload import CATALOG, Shape

from deploy.local.stack import Stack

System = tuple[Callable[[Shape], Filled], Shape]


def systems(bench: Bench, own: Shape, java: bool) -> dict[str, System]:
    """How each system is run, and over how many events: the slow peers get a share that takes them about as long."""
    every: dict[str, System] = {
        WEIR: (bench.weir, own),
        "Quix Streams": (bench.quix, replace(own, events=own.events // 5)),
        "stock Faust": (bench.stock_faust, replace(own, events=own.events // 15)),
    }
    return every | ({peer.name: (partial(bench.java_peer, peer), own) for peer in PEERS} if java else {})


def compared(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """All systems by turns, each with a line of its own as soon as it is measured."""
    rounds: dict[str, list[Filled]] = {}
    for number in range(options.rounds):
        for name, (measured, shape) in systems(bench, Shape(options.events), options.java_peers).items():
            if not options.only or name in options.only:
                filled = measured(replace(shape, run=f"r{number}", seed=number))
                rounds.setdefault(name, []).append(filled)
                show(f"  {number + 1}: {name}", summary([filled]))
    return {name: summary(several) for name, several in rounds.items()}


def main() -> None:
    """Run all, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=1_500_000, help="for Weir and the Java peers")
    parser.add_argument("--peers-python", default=sys.executable, help="Python with deploy/peers.lock installed")
    parser.add_argument("--java-peers", action="store_true", help="Flink and Kafka Streams too, built by Maven")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=NOT_DONE,
        metavar="SYSTEM",
        default=[],
        help="these systems and nothing besides: %(choices)s",
    )
    parser.add_argument("--save", type=Path, required=True)
    parser.add_argument("--curves", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    if not options.java_peers and {peer.name for peer in PEERS}.intersection(options.only):
        parser.error("Flink and Kafka Streams are run with --java-peers")
    jars = build(ROOT / "build" / "java-peers") if options.java_peers else None
    report: dict[str, Any] = {"events": options.events, "rounds": options.rounds}
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder) / "stack", ports="free", processes=("kafka", "clickhouse", "init", "gateway")) as stack,
    ):
        bench = Bench(stack, Path(folder), options.peers_python, jars)
        key = bench.settings.admin_key.get_secret_value()
        url = f"http://127.0.0.1:{bench.settings.gateway_port}/v1/catalog/apply"
        httpx.post(url, json=CATALOG, headers={"Authorization": f"Bearer {key}"}).raise_for_status()
        figures = compared(bench, options)
        for name, of_system in figures.items():
            show(name, of_system)
        report |= figures
        rates = {name: of_system["events_per_second"]["median"] for name, of_system in figures.items()}
        report["ratios"] = {name: rates[WEIR] / rate for name, rate in rates.items() if name != WEIR and WEIR in rates}
        print("events/s of Weir:", "; ".join(f"{ratio:.1f} times {name}" for name, ratio in report["ratios"].items()))
        print(table(figures), flush=True)
        if not options.only:
            report |= alone(bench, Shape(options.events), options.rounds)
            if options.curves:
                report["curves"] = curves(bench, options.events // 2)
    options.save.parent.mkdir(parents=True, exist_ok=True)
    options.save.write_text(json.dumps(report, indent=1))
    print(f"saved to {options.save}")


def alone(bench: Bench, own: Shape, rounds: int) -> dict[str, Any]:
    """What is of Weir alone: limits, two workers, merges, the worker's stages."""
    report: dict[str, Any] = {
        "limits": {"read": bench.read_limit(), "insert": bench.insert_limit(replace(own, run="limit"))}
    }
    read, insert = report["limits"]["read"], report["limits"]["insert"]
    per_event = read["cpu_seconds"] / (own.events * rounds) * 1e6
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
    return report


def curves(bench: Bench, events: int) -> dict[str, Any]:
    """The worker over numbers of accounts, and over share and age of copies: one round each."""
    figures: dict[str, Any] = {}
    points = {
        "1,000 accounts": {}, "100,000 accounts": {"accounts": 100_000}, "1,000,000 accounts": {"accounts": 1_000_000},
        "no copies": {"copies": 0.0}, "50 % copies, recent": {"copies": 0.5},
        "10 % copies, old": {"reach": events}, "50 % copies, old": {"copies": 0.5, "reach": events},
    }  # fmt: skip
    for number, (name, change) in enumerate(points.items()):
        shape = replace(Shape(events, run=f"c{number}", seed=number), **change)
        figures[name] = summary([bench.weir(shape)])
        show(name, figures[name])
    return figures


if __name__ == "__main__":
    main()
