"""The documented list of metrics is what processes expose; alert rules name these alone, with a runbook each."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from ingest.gateway_metrics import GatewayMetrics
from rating.api.metrics import RatingMetrics
from rating.pipeline.pipeline_metrics import PipelineMetrics
from rating.thresholds.threshold_biller import BillerMetrics
from rating.webhooks.delivery_metrics import DeliveryMetrics
from schemas.health.readiness_metrics import UnreadyReasons
from stream_processors.upkeep.worker_metrics import WorkerMetrics
from tests.monitoring.cases import BROKEN, DASHBOARD, queries

FOLDER = Path(__file__).parents[3] / "deploy" / "monitoring"
PAGE = (FOLDER / "README.md").read_text("utf8")
ROW = re.compile(r"^\| `(weir_\w+)` \| (\w+) \|[^|]*\| (\w+) \| .+ \|$", re.MULTILINE)


def exposed(registry: CollectorRegistry) -> dict[str, str]:
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in registry.collect()
    }


def of_processes() -> dict[str, dict[str, str]]:
    watch: Any = SimpleNamespace(standing=(), waiting={})
    metered: Any = SimpleNamespace(events_counted=0, events_dropped=0, failing_seconds=0)
    rating, webhooks, everywhere = RatingMetrics().registry, DeliveryMetrics().registry, CollectorRegistry()
    rating.register(PipelineMetrics(watch))
    BillerMetrics(webhooks)
    everywhere.register(UnreadyReasons(lambda: ()))
    worker = text_string_to_metric_families(WorkerMetrics(metered, lambda: ()).text())
    own = {f"{family.name}_total" if family.type == "counter" else family.name: family.type for family in worker}
    assert own.pop("weir_unready_reasons") == "gauge"
    return {
        "all": exposed(everywhere),
        "gateway": exposed(GatewayMetrics().registry),
        "worker": own,
        "rating": exposed(rating),
        "webhooks": exposed(webhooks),
    }


def test_the_list_of_metrics_is_what_the_processes_expose_with_conventional_names() -> None:
    listed: dict[str, dict[str, str]] = {}
    for name, kind, process in ROW.findall(PAGE):
        listed.setdefault(process, {})[name] = kind
        assert (kind == "counter") == name.endswith("_total"), name
    assert listed == of_processes()


def test_alerts_name_metrics_that_exist_and_have_a_runbook_each() -> None:
    known = {name for metrics in of_processes().values() for name in metrics}
    histograms = {name for metrics in of_processes().values() for name, kind in metrics.items() if kind == "histogram"}
    series = known | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)}
    rules = [
        rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
    ]
    for rule in rules:
        assert set(re.findall(r"weir_\w+", rule["expr"])) <= series, rule["alert"]
        assert rule["annotations"]["runbook"] == f"deploy/monitoring/README.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["expr"].count("(") == rule["expr"].count(")")
    assert {rule["alert"].lower() for rule in rules} == headings
    assert {rule["alert"] for rule in rules} == set(BROKEN)  # each has a case that promtool runs


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    kinds = {name: kind for metrics in of_processes().values() for name, kind in metrics.items()} | {"up": "gauge"}
    expressions = list(queries(DASHBOARD))
    assert len(expressions) > 15
    for expr in expressions:
        for name in re.findall(r"\b(?:weir_\w+|up)\b", expr):
            bucket = name.endswith("_bucket")
            assert kinds.get(name.removesuffix("_bucket")) in (("histogram",) if bucket else ("gauge", "counter")), expr
            assert (kinds[name.removesuffix("_bucket")] == "gauge") != bool(re.search(rf"{name}\S*\[", expr)), expr
    unasked = {name for name in kinds if name not in " ".join(expressions)}
    assert unasked <= {
        "weir_gateway_packed_events", "weir_gateway_packed_batches_total", "weir_gateway_catalog_offset",
        "weir_webhook_seconds", "weir_threshold_closes_total",
    }  # fmt: skip
