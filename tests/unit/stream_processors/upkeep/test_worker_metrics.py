"""A worker's /metrics page: names, types and values, as they are at each scrape."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from stream_processors.upkeep.worker_metrics import WorkerMetrics


def test_metrics_are_those_of_the_moment_under_conventional_names() -> None:
    metered: Any = SimpleNamespace(events_counted=7, events_dropped=2, failing_seconds=0)
    metrics = WorkerMetrics(metered, lambda: [])
    metrics.text()
    metered.events_counted, metered.failing_seconds = 9, 3
    families = {family.name: family for family in text_string_to_metric_families(metrics.text())}
    assert {name: family.type for name, family in families.items()} == {
        "weir_meter_events": "counter",
        "weir_meter_clickhouse_failing_seconds": "gauge",
        "weir_unready_reasons": "gauge",
    }
    samples = [(sample.name, sample.labels, sample.value) for family in families.values() for sample in family.samples]
    assert samples == [
        ("weir_meter_events_total", {"outcome": "counted"}, 9),
        ("weir_meter_events_total", {"outcome": "dropped"}, 2),
        ("weir_meter_clickhouse_failing_seconds", {}, 3),
    ]
