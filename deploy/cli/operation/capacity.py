"""``weir capacity``: how large an installation has to be for a load."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption

if TYPE_CHECKING:
    from deploy.capacity.sizing import CapacityPlan, Load, Machines


def capacity(
    events_per_second: Annotated[int, typer.Option(min=1, help="Events a second at the peak.")],
    peak_factor: Annotated[
        float, typer.Option(min=1, help="The peak over the mean, by which disk and memory go.")
    ] = 2.0,
    events_per_request: Annotated[int, typer.Option(min=1, max=100, help="Events in a request.")] = 100,
    profiles: Annotated[int, typer.Option(min=0, help="Profiles that count an event, on average.")] = 2,
    event_bytes: Annotated[int, typer.Option(min=1, help="Bytes of an event's JSON.")] = 220,
    age_days: Annotated[int, typer.Option(min=1, help="Days for which copies are recognised.")] = 35,
    subscriptions: Annotated[int, typer.Option(min=0, help="Subscriptions that one close bills.")] = 0,
    checks_per_second: Annotated[int, typer.Option(min=0, help="Checks of entitlements a second.")] = 0,
    utilisation: Annotated[float, typer.Option(min=0.05, max=1, help="Share of a core that is planned for.")] = 0.6,
    worker_gib: Annotated[int, typer.Option(min=1, help="GiB of memory that a worker may have.")] = 8,
    broker_cores: Annotated[int, typer.Option(min=1, help="Cores of a broker.")] = 8,
    clickhouse_cores: Annotated[int, typer.Option(min=1, help="Cores of a ClickHouse node.")] = 32,
    broker_tb: Annotated[float, typer.Option(min=0.01, help="TB of a broker's disks.")] = 4.0,
    clickhouse_tb: Annotated[float, typer.Option(min=0.01, help="TB of a ClickHouse node's disks.")] = 16.0,
    retention_days: Annotated[int, typer.Option(min=1, help="Days that usage.events is kept.")] = 90,
    replicas: Annotated[int, typer.Option(min=1, max=9, help="Replicas of topics.")] = 3,
    clickhouse_replicas: Annotated[int, typer.Option(min=1, max=9, help="Replicas of tables.")] = 2,
    clickhouse_months: Annotated[int, typer.Option(min=1, help="Months that tables are kept.")] = 13,
    json_output: JsonOption = False,
) -> None:
    """How many gateways, partitions, workers, brokers and ClickHouse nodes a load needs, how much disk a month, and
    what limits first. A model over measured figures, which --json names with their sources."""
    from deploy.capacity.measured import FIGURES
    from deploy.capacity.sizing import Load, Machines, plan
    from deploy.cli.output import print_json, say

    load = Load(
        events_per_second, peak_factor, events_per_request, profiles, event_bytes, age_days, subscriptions,
        checks_per_second,
    )  # fmt: skip
    machines = Machines(
        utilisation, worker_gib, broker_cores, clickhouse_cores, broker_tb, clickhouse_tb, retention_days, replicas,
        clickhouse_replicas, clickhouse_months,
    )  # fmt: skip
    result = plan(load, machines)
    if json_output:
        figures = {name: asdict(figure) for name, figure in FIGURES.items()}
        print_json({"load": asdict(load), "machines": asdict(machines), "plan": asdict(result), "figures": figures})
        return
    for line in capacity_lines(load, machines, result):
        say(line)


def capacity_lines(load: Load, machines: Machines, result: CapacityPlan) -> list[str]:
    """The plan for people."""
    topics = f"{result.kafka_gib:,.0f} GiB in all for {machines.retention_days} days, {machines.replicas} replicas"
    tables = f"{result.clickhouse_gib_a_month:,.0f} GiB more each month in all, {machines.clickhouse_replicas} replicas"
    rows = [
        ("gateways", f"{result.gateways}, a core each"),
        ("partitions of usage.events", f"{result.partitions}"),
        ("workers", f"{result.workers}, a core and {result.worker_gib} GiB each"),
        ("brokers", f"{result.brokers} of {machines.broker_cores} cores; {topics}"),
        ("ClickHouse nodes", f"{result.clickhouse_nodes} of {machines.clickhouse_cores} cores; {tables}"),
        ("rating services", f"{result.rating_services}"),
    ]
    if load.subscriptions:
        rows.append(("a close", f"{result.close_seconds:,.0f} s of CPU for {load.subscriptions:,} subscriptions"))
    lines = [
        f"{load.events_per_second:,} events/s at the peak, {load.events_per_second / load.peak_factor:,.0f} on average"
    ]
    lines += [f"  {name:<27} {text}" for name, text in rows]
    lines.append("what limits first, with every core used wholly:")
    lines += [f"  {limit.events_per_second:>12,} events/s  {limit.resource}: {limit.grows}" for limit in result.limits]
    return lines + [f"note: {note}" for note in result.notes]
