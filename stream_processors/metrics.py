"""Every metric of a worker, read off it when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class WorkerNumbers:
    """What a worker has done since it began: events that counted, and that were dropped as copies; how long ClickHouse has refused, 0: it does not."""

    events_counted: int
    events_dropped: int
    clickhouse_failing_seconds: int


class WorkerCollector(Collector):
    """The numbers of now, under their names."""

    def __init__(self, numbers: Callable[[], WorkerNumbers]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        now = self._numbers()
        events = CounterMetricFamily("weir_meter_events", "Events decided by this worker.", labels=("outcome",))
        events.add_metric(("counted",), now.events_counted)
        events.add_metric(("dropped",), now.events_dropped)
        yield events
        yield GaugeMetricFamily(
            "weir_meter_clickhouse_failing_seconds", "How long ClickHouse has refused.", now.clickhouse_failing_seconds
        )


def exposition(numbers: Callable[[], WorkerNumbers]) -> str:
    """The Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(numbers))
    return generate_latest(registry).decode()
