"""Prometheus metrics of the whole pipeline, which each rating service has."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rating.pipeline.pipeline_watch import PipelineWatch
from schemas.health.backlogs import STAGES


class PipelineMetrics(Collector):
    """What waits and what stands still, by stage, as of the watch's last look."""

    def __init__(self, watch: PipelineWatch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: called at each scrape."""
        waiting = GaugeMetricFamily(
            "weir_pipeline_waiting_records",
            "Records (of checkpoints: checkpoints) that a stage has not done yet, whichever process should.",
            labels=["stage"],
        )
        standing = GaugeMetricFamily(
            "weir_pipeline_standing_seconds",
            "Seconds for which a stage has stood still with work before it; 0 below a minute.",
            labels=["stage"],
        )
        seconds = {stage.stage: stage.seconds for stage in self._watch.standing}
        counts = self._watch.waiting
        for stage in STAGES:
            if stage in counts:
                waiting.add_metric([stage.name], counts[stage])
                standing.add_metric([stage.name], seconds.get(stage, 0.0))
        yield waiting
        yield standing
