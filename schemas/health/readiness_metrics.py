"""What keeps a process from being ready, as Prometheus metrics of every process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from schemas.health.backlogs import PIPELINE_STANDS
from schemas.health.readiness import UnreadyReason


class UnreadyReasons(Collector):
    """Counts the reasons that /readyz gives, by name, at each scrape; a process without a sample is ready. What it
    tells of others (``pipeline_stands``) has metrics of its own."""

    def __init__(self, reasons: Callable[[], Iterable[UnreadyReason]]) -> None:
        self._reasons = reasons

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: called at each scrape."""
        counts = Counter(reason.name for reason in self._reasons() if reason.name != PIPELINE_STANDS)
        unready = GaugeMetricFamily(
            "weir_unready_reasons", "Reasons of /readyz why this process is not ready, by name.", labels=["reason"]
        )
        for name, count in sorted(counts.items()):
            unready.add_metric([name], count)
        yield unready
