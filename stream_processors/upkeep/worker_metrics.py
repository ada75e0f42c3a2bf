"""Every metric of a worker, with what it means: read from its meter when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from schemas.health.readiness import UnreadyReason
from schemas.health.readiness_metrics import UnreadyReasons


class Metered(Protocol):
    """What the metrics read: the events that a worker has decided since its start."""

    @property
    def events_counted(self) -> int:
        """Events that count."""

    @property
    def events_dropped(self) -> int:
        """Duplicates and conflicts."""

    @property
    def failing_seconds(self) -> int:
        """Whole seconds for which ClickHouse has refused; 0 while it answers."""


class WorkerMetrics(Collector):
    """The metrics of one worker, in a registry of their own."""

    def __init__(self, metered: Metered, reasons: Callable[[], Iterable[UnreadyReason]]) -> None:
        self._metered = metered
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._registry.register(UnreadyReasons(reasons))

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: called at each scrape."""
        events = CounterMetricFamily("weir_meter_events", "Events decided by this worker.", labels=["outcome"])
        events.add_metric(["counted"], self._metered.events_counted)
        events.add_metric(["dropped"], self._metered.events_dropped)
        yield events
        failing = "How long ClickHouse has refused."
        yield GaugeMetricFamily("weir_meter_clickhouse_failing_seconds", failing, self._metered.failing_seconds)

    def text(self) -> str:
        """The Prometheus exposition."""
        return generate_latest(self._registry).decode()
