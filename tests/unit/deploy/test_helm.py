"""The chart without Helm: its variables are settings, every process of the README is in it, probes ask what is there,
requests are no less than what was measured. `make helm` renders it."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from pydantic import SecretStr

from deploy.capacity.measured import GATEWAY, MEASURED_EVENTS, WORKER, WORKER_MIB
from schemas.settings import Settings
from tests.helm.__main__ import beside
from tests.helm.cases import CHART, LEAST
from tests.helm.rendered import unsafe

ROOT = CHART.parents[2]
TEMPLATES = {path.name: path.read_text("utf8") for path in (CHART / "templates").iterdir()}
ALL = "\n".join(TEMPLATES.values())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf8"))
COMPONENTS = ("gateway", "worker", "rating", "webhooks", "close", "init")
LABELS = {"app": "weir"}


def test_every_variable_of_the_chart_is_a_setting() -> None:
    known = {f"WEIR_{field.upper()}" for field in Settings.model_fields}
    named = set(re.findall(r"(?:name: |\")(WEIR_[A-Z_]+)", ALL))
    assert len(named) > 25
    assert named <= known


def test_every_process_that_the_readme_names_is_in_the_chart() -> None:
    part = (ROOT / "README.md").read_text("utf8").split("## Running in production")[1].split("###")[0]
    processes = set(re.findall(r"python -m ([a-z_]+\.[a-z_]+)", part))
    assert len(processes) == 5
    assert processes == set(re.findall(r'"python" "-m" "([a-z_.]+)"', ALL))
    assert '(list "weir" "init")' in ALL


def test_probes_ask_paths_that_the_processes_answer() -> None:
    served = {
        "gateway.yaml": (ROOT / "ingest/app.py").read_text("utf8"),
        "rating.yaml": (ROOT / "rating/app.py").read_text("utf8"),
        "worker.yaml": (ROOT / "stream_processors/app.py").read_text("utf8"),
    }
    for name, code in served.items():
        [live] = re.findall(r'"live" "([^"]+)"', TEMPLATES[name])
        assert {f'"{live}"', '"/readyz"', '"/metrics"'} <= set(re.findall(r'"/\w+"', code)), name
    assert "path: /readyz" in TEMPLATES["_helpers.tpl"]


def test_requests_are_no_less_than_what_was_measured() -> None:
    def cores(component: str) -> float:
        text = VALUES[component]["resources"]["requests"]["cpu"]
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)

    used = MEASURED_EVENTS.value / 1e6  # seconds of CPU a second and µs an event
    assert cores("gateway") >= GATEWAY.value * used
    assert cores("worker") >= WORKER.value * used
    memory = {"Mi": 1, "Gi": 1024}
    request = VALUES["worker"]["resources"]["requests"]["memory"]
    assert float(request[:-2]) * memory[request[-2:]] >= WORKER_MIB.value


def test_the_schema_knows_every_value_and_refuses_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf8"))

    def compare(values: dict[str, Any], part: dict[str, Any], place: str) -> None:
        if "properties" not in part:
            return
        assert part["additionalProperties"] is False, place
        assert set(values) == set(part["properties"]) - {"global"}, place
        for name, value in values.items():
            if isinstance(value, dict):
                compare(value, part["properties"][name], f"{place}.{name}")

    compare(VALUES, schema, "")


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf8"))
    [version] = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf8"), re.MULTILINE)
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_nothing_is_a_secret_in_the_values_and_every_component_may_be_sized() -> None:
    assert all(LEAST[part][name].keys() == {"name"} for part, name in (("kafka", "passwordSecret"),))
    assert "password" not in {key for part in VALUES.values() if isinstance(part, dict) for key in part}
    assert all(VALUES[component]["resources"]["limits"].keys() == {"memory"} for component in COMPONENTS)


def test_every_secret_is_refused_among_the_settings() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf8"))
    names = schema["properties"]["settings"]["propertyNames"]
    secrets = [f"WEIR_{name.upper()}" for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    assert len(secrets) > 5
    assert [name for name in secrets if not re.search(names["not"]["pattern"], name)] == []


def pod(**container: Any) -> dict[str, Any]:
    whole = {
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        "env": [],
        "volumeMounts": [],
        **container,
    }
    spec = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [whole],
        "volumes": [],
    }
    return {
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": spec}},
    }


def test_what_a_rendered_chart_must_not_have_is_found() -> None:
    assert list(unsafe([pod()])) == []
    assert list(unsafe([pod(securityContext={})])) != []
    assert list(unsafe([pod(resources={"requests": {"cpu": "1"}})])) == [
        "Deployment a: it requests no cpu or no memory"
    ]
    secret = {"name": "WEIR_ADMIN_KEY", "value": "in the clear"}
    assert list(unsafe([pod(env=[secret])])) == [
        "Deployment a: WEIR_ADMIN_KEY: a secret comes from a Secret, and nothing else does"
    ]
    assert list(unsafe([pod(env=[{"name": "WEIR_NOTHING", "value": "1"}])])) == [
        "Deployment a: WEIR_NOTHING is no setting"
    ]
    [wrong] = unsafe([pod(env=[{"name": "WEIR_GATEWAY_PORT", "value": "tcp://10.0.0.1:8080"}])])
    assert "gateway_port" in wrong
    budget = {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b"},
        "spec": {"selector": {"matchLabels": {"x": "y"}}},
    }
    assert list(unsafe([pod(), budget])) == ["PodDisruptionBudget b: it selects no pod"]


def test_references_of_a_packaged_schema_lead_beside_it() -> None:
    schema = '{"$id": "https://somewhere/api/x", "p": {"$ref": "/api/_definitions.json#/$defs/y"}}'
    assert json.loads(beside(schema)) == {"p": {"$ref": "_definitions.json#/$defs/y"}}
