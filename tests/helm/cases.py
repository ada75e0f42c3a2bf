"""Values that the chart must render, and values that it must refuse: pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

CHART: Final = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "weir"
VERSIONS: Final = ("1.28.0", "1.37.0")
"""The oldest and the newest Kubernetes that the chart is held against."""

Values = dict[str, Any]

LEAST: Final[Values] = {
    "kafka": {"bootstrap": "kafka:9093", "username": "weir", "passwordSecret": {"name": "weir-kafka"}},
    "clickhouse": {"host": "clickhouse", "passwordSecret": {"name": "weir-clickhouse"}},
    "adminKeySecret": {"name": "weir"},
}
"""What every installation has to say."""


def with_values(**more: Any) -> Values:
    """LEAST, with these values in it; a mapping is merged into the one of its name."""
    merged: Values = dict(LEAST)
    for name, value in more.items():
        merged[name] = {**merged[name], **value} if isinstance(merged.get(name), dict) else value
    return merged


_CERTIFICATE: Final = {"name": "weir-certificate"}
GOOD: Final[dict[str, Values]] = {
    "least": LEAST,
    "certificates, no passwords": {
        "kafka": {
            "bootstrap": "a:9094,b:9094",
            "securityProtocol": "SSL",
            "caSecret": {"name": "kafka-ca"},
            "certificateSecret": _CERTIFICATE,
        },
        "clickhouse": {"host": "c", "caSecret": {"name": "c-ca"}, "certificateSecret": _CERTIFICATE, "cluster": "one"},
        "adminKeySecret": {"name": "weir"},
        "webhookKeySecret": {"name": "weir"},
    },
    "everything else than by default": with_values(
        image={"digest": "sha256:" + "0" * 64, "repository": "registry/weir"},
        imagePullSecrets=["pull"],
        settings={
            "WEIR_FLUSH_SECONDS": 2,
            "WEIR_BACKFILL_AUTOMATIC": False,
            "WEIR_WEBHOOK_REACH": "any",
            "WEIR_OIDC_CLIENT_ID": "weir",
        },
        oidcClientSecret={"name": "weir-oidc"},
        gateway={"autoscaling": {"enabled": False}, "replicas": 3, "tag": "0.0.9", "service": {"type": "LoadBalancer"}},
        worker={"disruptionBudget": {"enabled": False}},
        close={"mode": "scheduler", "namespaces": ["shop", "air"]},
        init={"enabled": False},
        networkPolicy={
            "clients": [{"namespaceSelector": {"matchLabels": {"name": "shop"}}}],
            "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "kafka": {"peers": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [9096]},
            "clickhouse": {"peers": [{"ipBlock": {"cidr": "10.0.1.0/24"}}]},
            "receivers": [],
            "identityProvider": [{"to": [{"ipBlock": {"cidr": "10.0.2.0/24"}}], "ports": [{"port": 443}]}],
        },
        serviceAccountName="weir",
        podAnnotations={"a": "b"},
        podLabels={"team": "billing"},
        nodeSelector={"disk": "fast"},
        tolerations=[{"key": "billing", "operator": "Exists"}],
        affinity={"podAntiAffinity": {}},
        priorityClassName="high",
    ),
    "nothing optional": with_values(
        close={"enabled": False},
        networkPolicy={"enabled": False},
        rating={"disruptionBudget": {"enabled": False}},
    ),
}

REFUSED: Final[dict[str, Values]] = {
    "additional properties 'password' not allowed": with_values(kafka={"password": "secret"}),
    "invalid propertyName 'WEIR_ADMIN_KEY'": with_values(settings={"WEIR_ADMIN_KEY": "secret"}),
    "invalid propertyName 'WEIR_KAFKA_SASL_PASSWORD'": with_values(settings={"WEIR_KAFKA_SASL_PASSWORD": "secret"}),
    "invalid propertyName 'WEIR_OIDC_CLIENT_SECRET'": with_values(settings={"WEIR_OIDC_CLIENT_SECRET": "secret"}),
    "invalid propertyName 'WEIR_RATING_PORT'": with_values(settings={"WEIR_RATING_PORT": 80}),
    "kafka.bootstrap is required": {name: value for name, value in LEAST.items() if name != "kafka"},
    "'kafka' does not match pattern": with_values(kafka={"bootstrap": "kafka"}),
    "kafka.username is required": with_values(kafka={"username": ""}),
    "kafka.passwordSecret.name is required": with_values(kafka={"passwordSecret": {"name": ""}}),
    "clickhouse.host is required": with_values(clickhouse={"host": ""}),
    "adminKeySecret.name is required": with_values(adminKeySecret={"name": ""}),
    "value must be one of 'cronjob', 'scheduler'": with_values(close={"mode": "daemon"}),
}
"""By the words of the refusal."""
