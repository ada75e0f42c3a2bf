"""Series in which each alert fires, or does not, and the dashboard's queries as rules: pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

_FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
ALERTS: Final = _FOLDER / "alerts.yaml"
DASHBOARD: Final = _FOLDER / "dashboard.json"

ONE: Final = {"labels": "{}", "value": 1}
WELL: Final = {
    'weir_pipeline_waiting_records{stage="metering"}': "0x120",
    'weir_pipeline_standing_seconds{stage="metering"}': "0x120",
    'up{job="weir-gateway", instance="g:8080"}': "1x120",
    'weir_gateway_requests_total{status="202"}': "0+600x120",
    'weir_gateway_requests_total{status="503"}': "0x120",
    "weir_meter_clickhouse_failing_seconds": "0x120",
    "weir_gateway_refusals_unrecorded_total": "0x120",
    'weir_threshold_closes_total{outcome="failed"}': "0x120",
    'weir_webhook_given_up_total{namespace="air"}': "0x120",
}
"""An installation in which nothing is wrong: a sample a minute, for two hours."""
BROKEN: Final = {
    "WeirPipelineStands": {'weir_pipeline_standing_seconds{stage="metering"}': "0x10 61+60x109"},
    "WeirPipelineUnseen": {'weir_pipeline_waiting_records{stage="metering"}': "_x120"},
    "WeirUnready": {'weir_unready_reasons{job="weir-gateway", instance="g:8080", reason="log_replaced"}': "1x120"},
    "WeirDown": {'up{job="weir-gateway", instance="g:8080"}': "0x120"},
    "WeirGatewayRefuses": {'weir_gateway_requests_total{status="503"}': "0+60x120"},
    "WeirClickHouseRefuses": {"weir_meter_clickhouse_failing_seconds": "0+60x120"},
    "WeirRefusalsUnrecorded": {"weir_gateway_refusals_unrecorded_total": "0+1x120"},
    "WeirInterimInvoicesFail": {'weir_threshold_closes_total{outcome="failed"}': "0+1x120"},
    "WeirWebhooksGivenUp": {'weir_webhook_given_up_total{namespace="air"}': "0+1x120"},
}
"""What of it is otherwise where an alert is to fire; and no other one does."""


def alerts() -> list[dict[str, Any]]:
    """The rules."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def alert_tests() -> dict[str, Any]:
    """A file of promtool's unit tests: each alert fires in its own case an hour in, and in no other."""
    return {"evaluation_interval": "1m", "tests": [_case(name) for name in ("", *BROKEN)]}


def _case(broken: str) -> dict[str, Any]:
    series = WELL | BROKEN.get(broken, {})
    return {
        "name": broken or "all is well",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        # Of an alert that fires only the number is compared: what it says depends on series that are another test's.
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{rule["alert"]}", alertstate="firing"}})',
                "eval_time": "60m",
                "exp_samples": [ONE] if rule["alert"] == broken else [],
            }
            for rule in alerts()
        ],
    }


def queries(dashboard: Path) -> Iterator[str]:
    """Every query of a dashboard."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def dashboard_rules(dashboard: Path) -> dict[str, Any]:
    """A file of recording rules, one a query."""
    rules = [{"record": f"dashboard:query:{number}", "expr": expr} for number, expr in enumerate(queries(dashboard))]
    return {"groups": [{"name": "dashboard", "rules": rules}]}


def dashboard_tests(dashboard: Path) -> list[dict[str, Any]]:
    """promtool's tests: where every metric that a query names has a sample, the query has one answer."""
    expressions = list(queries(dashboard))
    names = sorted({name for expr in expressions for name in re.findall(r"\b(?:weir_\w+|up)\b", expr)})
    labels = 'job="weir", instance="i", stage="s", outcome="o", reason="r", status="202", route="/", namespace="n"'
    series = [{"series": f'{name}{{{labels}, le="+Inf"}}', "values": "1+1x120"} for name in names]
    return [{
        "name": "the dashboard's queries",
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": f"count(dashboard:query:{number})", "eval_time": "60m", "exp_samples": [ONE]}
            for number in range(len(expressions))
        ],
    }]  # fmt: skip
