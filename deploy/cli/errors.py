"""What a person sees instead of a traceback: the place and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import WeirError

FAILED = 1
USAGE = 2


class Failure(WeirError):
    """Ends the command with a message and an exit code: 1 a failure, 2 wrong usage or input."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def explain(error: Exception) -> str | None:
    """One line for an expected failure of something outside; None for anything else, which is a bug of ours."""
    kind = type(error)
    module = kind.__module__.partition(".")[0]
    if isinstance(error, WeirError):
        return str(error)
    if module == "confluent_kafka" or kind.__module__ == "cimpl":
        return f"Kafka does not answer as it should: {error}; `weir status` tells what is up"
    if module in ("clickhouse_connect", "urllib3"):
        from schemas.clickhouse.errors import explained, meaning

        remedy = "; `weir status` tells what is up" if meaning(error) == "may pass" else ""
        return f"ClickHouse: {explained(error)}{remedy}"
    if module in ("httpx", "httpcore"):
        return f"no answer ({error or kind.__name__}); `weir status` tells what is up, `weir up` starts it"
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return f"{error.filename}: {error.strerror}"
    return None


def problem_text(body: Mapping[str, Any]) -> str:
    """An application/problem+json body as lines: what is wrong, with its place, and each of several things."""
    errors = [fault for fault in body.get("errors") or () if isinstance(fault, Mapping)]
    if len(errors) > 1:
        return "\n".join(
            [
                str(body.get("title") or "refused"),
                *(f"  {fault.get('path')}: {fault.get('detail')}" for fault in errors),
            ]
        )
    detail, path = str(body.get("detail") or body.get("title") or "refused"), str(body.get("path") or "")
    return detail if path in detail else f"{path}: {detail}"


def refused_parameters(body: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """What a problem says of single parameters, a line each: of the option that such a parameter is written as, else of
    the parameter. "" where it names none."""
    lines = []
    for fault in body.get("errors") or ():
        part, _, parameter = str(fault.get("path", "")).partition(".")
        if part not in ("query", "body"):
            return ""
        lines.append(f"{options.get(parameter, parameter)}: {fault.get('detail')}")
    return "\n".join(lines)
