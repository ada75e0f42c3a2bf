"""What the comparison says: medians of rounds, a line for each system, and the table with what each does not do."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from measuring import Filled

WEIR = "Weir's worker"
NOT_DONE = {
    WEIR: "hourly sums, which the roll-up makes afterwards (its CPU is not in this line)",
    "Quix Streams": "sums; exactly once; raw events, conflicts of copies, catalog versions",
    "stock Faust": "sums; exactly once; raw events, conflicts of copies, catalog versions",
    "Flink hashmap": "any row or evidence written; an hour's usage before its end; more keys than the heap holds",
    "Flink hashmap with sink": "exactly once into ClickHouse (a restart inserts again); raw events, conflicts of "
    "copies, catalog versions; an hour's usage before its end; more keys than the heap holds",
    "Flink RocksDB": "any row or evidence written; an hour's usage before its end",
    "Kafka Streams": "any row or evidence written; sums across partitions",
}
"""Of what Weir's worker does: deduplication for ever, exactly once from Kafka to ClickHouse, raw events kept, copies
that contradict found, catalog versions followed, usage shown a second later."""
INPUTS = {WEIR: "packed batches"}
COLUMNS = (
    "system", "input", "events/s", "own", "own, last 2/3", "ClickHouse", "Kafka", "sum", "peak MiB", "keys held",
    "does not do",
)  # fmt: skip
_STORES = ("clickhouse", "kafka")


def middle(values: list[float]) -> dict[str, float]:
    """Median, lowest, highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def summary(rounds: list[Filled]) -> dict[str, Any]:
    """Of one system's rounds."""
    return {
        "events_per_second": middle([filled.events_per_second for filled in rounds]),
        "cpu_us_per_event": _medians([filled.cpu_us for filled in rounds]),
        "warm_cpu_us_per_event": _medians([filled.warm_cpu_us for filled in rounds]),
        "peak_mib": {name: max(filled.peak_mib[name] for filled in rounds) for name in rounds[0].peak_mib},
        "keys": max(filled.keys for filled in rounds),
        "rounds": [asdict(filled) for filled in rounds],
    }


def _medians(costs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median([cost[name] for cost in costs]) for name in costs[0]}


def show(name: str, figures: Mapping[str, Any]) -> None:
    """One line for people."""
    rate = figures["events_per_second"]
    costs = ", ".join(f"{process} {cost:.2f}" for process, cost in figures["cpu_us_per_event"].items())
    memory = ", ".join(f"{process} {mib:.0f}" for process, mib in figures["peak_mib"].items() if process != "kafka")
    print(
        f"{name:22} {rate['median']:>9,.0f} events/s ({rate['lowest']:,.0f} to {rate['highest']:,.0f}); "
        f"µs of CPU an event: {costs}; peak MiB: {memory}",
        flush=True,
    )


def table(report: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, a row for each system: CPU in µs an event, own for the system's process or processes."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
    ]
    for name, figures in report.items():
        costs, warm = figures["cpu_us_per_event"], figures["warm_cpu_us_per_event"]
        cells = [
            name,
            INPUTS.get(name, "JSON singles"),
            f"{figures['events_per_second']['median']:,.0f}",
            f"{_own(costs):.1f}",
            f"{_own(warm):.1f}",
            f"{costs['clickhouse']:.1f}",
            f"{costs['kafka']:.1f}",
            f"{sum(costs.values()):.1f}",
            f"{_own(figures['peak_mib']):,.0f}",
            f"{figures['keys']:,}",
            NOT_DONE.get(name, ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _own(of_processes: Mapping[str, float]) -> float:
    return sum(value for name, value in of_processes.items() if name not in _STORES)
