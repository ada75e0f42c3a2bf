"""A worker's metrics have their names, as Prometheus' own client writes them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from stream_processors.metrics import WorkerNumbers, exposition


def test_the_numbers_of_now_are_told() -> None:
    told = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(exposition(lambda: WorkerNumbers(7, 2, 30)))
        for sample in family.samples
    }
    assert told == {
        ("weir_meter_events_total", "counted"): 7,
        ("weir_meter_events_total", "dropped"): 2,
        ("weir_meter_clickhouse_failing_seconds", None): 30,
    }
