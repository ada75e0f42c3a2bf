"""The capacity model: how many processes, cores, partitions, how much memory and disk a load needs, and what limits
first."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from deploy.capacity.measured import (
    CHECK,
    CLICKHOUSE,
    CLICKHOUSE_BYTES,
    CLOSE,
    EVENT_BYTES,
    GATEWAY,
    GATEWAY_REQUEST,
    IDENTITY_BYTES,
    KAFKA,
    KAFKA_BYTES,
    MEASURED_EVENTS,
    WORKER,
    WORKER_MIB,
)

MONTH_DAYS: Final = 30
_DAY_SECONDS: Final = 86_400
_GIB: Final = 1024**3
_TB_GIB: Final = 1e12 / _GIB
_FULL: Final = 0.7
"""How far disks are filled."""
_PROFILES_MEASURED: Final = 1.5
"""Profiles that counted an event, on average, when the figures were taken."""
_PROFILE_SHARE: Final = 0.25
"""Share of an event's cost and bytes in worker and ClickHouse that each profile has which counts it. Assumed, and on
the safe side of the bytes: of 75 an event 12 were records of 1.5 profiles."""
_BATCH_MEASURED: Final = 100
_MOST_PARTITIONS: Final = 4096
_PARTITIONS_A_WORKER: Final = 4
"""So that partitions spread evenly when a worker comes or goes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be borne. ``events_per_second``: at the peak; ``peak_factor``: the peak over the mean;
    ``events_per_request``: 1 to 100; ``profiles``: that count an event, on average; ``event_bytes``: of its JSON;
    ``age_days``: for how long copies are recognised (a namespace's max_event_age, 35 days by default)."""

    events_per_second: int
    peak_factor: float = 2.0
    events_per_request: int = 100
    profiles: int = 2
    event_bytes: int = 220
    age_days: int = 35
    subscriptions: int = 0
    checks_per_second: int = 0


@dataclass(frozen=True, slots=True)
class Machines:
    """What it runs on. ``utilisation``: the share of a core that is planned for at the peak; ``worker_gib``: memory of
    a worker; cores and disk are those of one broker and one ClickHouse node; ``retention_days``: of usage.events."""

    utilisation: float = 0.6
    worker_gib: int = 8
    broker_cores: int = 8
    clickhouse_cores: int = 32
    broker_tb: float = 4.0
    clickhouse_tb: float = 16.0
    retention_days: int = 90
    replicas: int = 3
    clickhouse_replicas: int = 2
    clickhouse_months: int = 13


@dataclass(frozen=True, slots=True)
class ResourceLimit:
    """One resource at the sizes of a plan. ``events_per_second``: the peak at which it is used up, a core wholly and no
    utilisation left aside; ``grows``: how more is had of it."""

    resource: str
    events_per_second: int
    grows: str


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """What a load needs. ``limits``: the first one to be reached first. ``extrapolated``: how many times the most that
    was measured the load is; above 1 nobody has seen it."""

    gateways: int
    partitions: int
    workers: int
    worker_gib: float
    brokers: int
    clickhouse_shards: int
    clickhouse_nodes: int
    rating_services: int
    kafka_gib: float
    clickhouse_gib_a_month: float
    close_seconds: float
    extrapolated: float
    limits: tuple[ResourceLimit, ...]
    notes: tuple[str, ...]


def plan(load: Load, machines: Machines) -> CapacityPlan:
    """What the load needs on these machines."""
    peak, mean = load.events_per_second, load.events_per_second / load.peak_factor
    share = machines.utilisation
    gateway_us = gateway_cost(load)
    worker_us, clickhouse_us = WORKER.value * _weight(load), CLICKHOUSE.value * _weight(load)
    gateways = _count(peak * gateway_us, share)
    by_cpu = _count(peak * worker_us, share)
    identities_gib = mean * load.age_days * _DAY_SECONDS * IDENTITY_BYTES.value / _GIB
    room = machines.worker_gib - WORKER_MIB.value / 1024
    by_memory = max(1, ceil(identities_gib / room))
    workers = max(by_cpu, by_memory)
    partitions = min(_MOST_PARTITIONS, max(4, _power_of_two(workers * _PARTITIONS_A_WORKER)))
    bytes_share = load.event_bytes / EVENT_BYTES.value
    kafka_gib = (
        mean * machines.retention_days * _DAY_SECONDS * KAFKA_BYTES.value * bytes_share * machines.replicas / _GIB
    )
    kafka_us = KAFKA.value * machines.replicas
    brokers = max(
        machines.replicas,
        ceil(peak * kafka_us / 1e6 / share / machines.broker_cores),
        ceil(kafka_gib / (machines.broker_tb * _TB_GIB) / _FULL),
    )
    stored = CLICKHOUSE_BYTES.value * (_weight(load) + bytes_share) / 2
    month_gib = mean * MONTH_DAYS * _DAY_SECONDS * stored / _GIB
    shards = max(
        ceil(peak * clickhouse_us / 1e6 / share / machines.clickhouse_cores),
        ceil(month_gib * machines.clickhouse_months / (machines.clickhouse_tb * _TB_GIB) / _FULL),
        1,
    )
    rating = max(1, ceil(load.checks_per_second * CHECK.value / 1e6 / share))
    limits = (
        ResourceLimit("gateways (CPU)", _rate(gateways, gateway_us), "add gateways"),
        ResourceLimit("workers (CPU)", _rate(workers, worker_us), f"add workers, up to {partitions} by partitions"),
        ResourceLimit(
            "workers (memory of identities)",
            int(workers * room / max(identities_gib, 1e-9) * peak) if identities_gib else 0,
            "add workers or memory, or shorten max_event_age_seconds",
        ),
        ResourceLimit("brokers (CPU)", _rate(brokers * machines.broker_cores, kafka_us), "add brokers"),
        ResourceLimit(
            f"brokers (disk, {machines.retention_days} days)",
            int(brokers * machines.broker_tb * _TB_GIB / kafka_gib * peak),
            "add brokers or disk, or keep usage.events shorter",
        ),
        ResourceLimit("ClickHouse (CPU)", _rate(shards * machines.clickhouse_cores, clickhouse_us), "larger nodes"),
        ResourceLimit(
            f"ClickHouse (disk, {machines.clickhouse_months} months)",
            int(shards * machines.clickhouse_tb * _TB_GIB / (month_gib * machines.clickhouse_months) * peak),
            "larger disks, or move old partitions to cheaper ones",
        ),
    )
    return CapacityPlan(
        gateways, partitions, workers, round(min(machines.worker_gib, identities_gib / workers + 0.3), 1), brokers,
        shards, shards * machines.clickhouse_replicas, rating, round(kafka_gib, 1),
        round(month_gib * machines.clickhouse_replicas, 1), round(load.subscriptions * CLOSE.value / 1e6, 1),
        round(peak / MEASURED_EVENTS.value, 2), tuple(sorted(limits, key=lambda limit: limit.events_per_second)),
        tuple(_notes(load, machines, shards, workers, partitions)),
    )  # fmt: skip


def gateway_cost(load: Load) -> float:
    """µs of a gateway an event: what a request costs is shared by its events."""
    size = min(max(load.events_per_request, 1), _BATCH_MEASURED)
    # Two measured points: batches of 100, and events alone. a + b / size goes through both.
    a_request = (GATEWAY_REQUEST.value - GATEWAY.value) / (1 - 1 / _BATCH_MEASURED)
    an_event = GATEWAY.value - a_request / _BATCH_MEASURED
    return an_event * max(1.0, load.event_bytes / EVENT_BYTES.value) + a_request / size


def _weight(load: Load) -> float:
    return 1 + _PROFILE_SHARE * (load.profiles - _PROFILES_MEASURED)


def _count(microseconds: float, share: float) -> int:
    return max(1, ceil(microseconds / 1e6 / share))


def _rate(cores: int, microseconds: float) -> int:
    return int(cores * 1e6 / microseconds)


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def _notes(load: Load, machines: Machines, shards: int, workers: int, partitions: int) -> list[str]:
    notes = []
    if load.events_per_second > MEASURED_EVENTS.value:
        notes.append(
            f"{load.events_per_second / MEASURED_EVENTS.value:.1f} times the most that was measured: try it before you"
            " rely on it"
        )
    if shards > 1:
        notes.append(
            "more than one ClickHouse shard is needed, and Weir's tables are replicated and not sharded: take larger"
            " nodes, or split namespaces over installations"
        )
    if workers > partitions:
        notes.append(f"{workers} workers are more than {partitions} partitions, the most there may be")
    if machines.replicas < 3:
        notes.append("with fewer than three replicas a lost broker loses what it alone had acknowledged")
    return notes
