"""Renders the page of all settings as Markdown, from ``schemas.settings.Settings``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from schemas.reference.page import type_text
from schemas.settings import Settings

_GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Kafka", ("kafka_", "partitions", "generation")),
    ("ClickHouse", ("clickhouse_",)),
    ("Weir's own services", ("gateway_host", "gateway_port", "gateway_url", "rating_host", "rating_port", "http_")),
    ("Who may come in", ("admin_key", "oidc_", "namespace")),
    (
        "What a gateway takes",
        ("key_", "namespace_", "connections", "body_bytes", "events_in_flight", "delivery_", "watched_", "minimum_"),
    ),
    ("The worker", ("worker_", "flush_", "checkpoint_", "backfill_", "poison_")),
    ("The rating service", ("rating_", "priced_", "snapshot_")),
    ("Closes on schedule", ("close_", "scheduler_")),
    ("Webhooks", ("webhook_",)),
)
"""Heading and what the names below it begin with (or are); the longest beginning decides, the rest comes last."""
_REST: Final = "The local stack, and others"

OTHER_VARIABLES: Final[Mapping[str, str]] = {
    "WEIR_KEY": "the API key of the command line; default: the local stack's admin key",
    "WEIR_RATING_URL": "where the command line finds the rating service; default: the local stack's",
    "WEIR_CLICKHOUSE_ANALYST_PASSWORD": "the local stack's password of the user `analyst`; default: made by `weir up`",
    "WEIR_IMAGE": "the image that `deploy/compose.yaml` runs; default: that of this version",
}
"""Variables that the command line or the local stack reads itself."""

_HEAD: Final = """# Settings

Every process reads its settings from variables of its environment, checked at its start: a wrong one ends the process
(exit code 2) with a line that names it. All processes of an installation may get the same variables; each reads what
concerns it. Secrets are shown by nothing. `make reference` writes this page from `schemas/settings.py` and
`schemas/store_settings.py`.
"""


def settings_page() -> str:
    """The whole page."""
    fields, types = Settings.model_fields, Settings.model_json_schema()["properties"]
    lines = [_HEAD]
    for heading, names in _grouped(fields):
        lines += [f"## {heading}\n", "| variable | default | takes | what for |", "| --- | --- | --- | --- |"]
        lines += [_row(name, fields[name], type_text(types[name])) for name in names]
        lines.append("")
    lines += ["## Of the command line and the local stack alone\n", "| variable | what for |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in OTHER_VARIABLES.items()]
    return "\n".join(lines) + "\n"


def _grouped(fields: Mapping[str, FieldInfo]) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {heading: [] for heading in (*(heading for heading, _ in _GROUPS), _REST)}
    beginnings = [(beginning, heading) for heading, names in _GROUPS for beginning in names]
    for name in fields:
        fitting = [
            (len(beginning), heading)
            for beginning, heading in beginnings
            if name == beginning or (beginning.endswith("_") and name.startswith(beginning))
        ]
        groups[max(fitting)[1] if fitting else _REST].append(name)
    return ((heading, names) for heading, names in groups.items() if names)


def _row(name: str, field: FieldInfo, takes: str) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `WEIR_{name.upper()}` | {_default(field.default)} | {takes} | {meaning} |"


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value == "":
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1024 * 1024 and value % (1024 * 1024) == 0:
        return f"`{value}` ({value // (1024 * 1024)} MiB)"
    return f"`{value}`"
