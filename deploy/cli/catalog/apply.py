"""``weir apply``: publish a catalog document."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, checked, services
from deploy.cli.errors import Failure

if TYPE_CHECKING:
    import httpx

    from deploy.cli.connection import Services
    from schemas.values.json_text import JsonObject


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON document; - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be published.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish what a catalog document declares and is not published yet; applying it again changes nothing.

    The namespace is the document's (`namespace: {code: …}`), or --namespace.
    """
    from deploy.cli.output import print_json, say

    document = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    asked_of = services(namespace)
    with asked_of.http("gateway") as client:
        answer = publish(client, document, dry_run=dry_run)
    if as_json:
        print_json(answer)
        return
    for line in [*answer_lines(answer, dry_run), *backfill_lines(asked_of, answer, datetime.now(UTC))]:
        say(line)


def backfill_lines(asked_of: Services, answer: JsonObject, now: datetime) -> list[str]:
    """What will be, or is being, backfilled: meters that start in the past, and how many stored events that means."""
    from schemas.values.instants import parse_rfc3339

    lines = []
    for meter in [entry for action in ("created", "changed") for entry in answer[action] if entry.get("start")]:
        version = f"meter {meter['code']} version {meter['version']}"
        if parse_rfc3339(meter["start"]) >= now:
            lines.append(f"{version} holds from {meter['start']} on")
            continue
        lines.append(
            f"{version} counts from {meter['start']} on: {_stored_events(asked_of, answer['namespace'], meter)}"
            " `weir backfill list` tells how far it is, and what needs it is billed once it is done"
        )
    return lines


def _stored_events(asked_of: Services, namespace: str, meter: JsonObject) -> str:
    """How many stored events a meter's start means, as far as the key may ask the rating service."""
    import httpx

    parameters = {"event_name": meter["event_name"], "from": meter["start"]}
    try:
        with asked_of.http("rating", timeout=30) as client:
            answer = client.get("/v1/stored-events", params=parameters, headers={"weir-namespace": namespace})
        if answer.status_code == 404:  # a namespace that was declared a moment ago, or is not yet
            return "0 stored events to backfill;"
        stored: JsonObject = answered(answer)
    except (httpx.HTTPError, Failure):
        return "its stored events are backfilled;"
    oldest = f", the oldest of {stored['oldest']}" if stored["oldest"] is not None else ""
    return f"{stored['events']:,} stored events to backfill{oldest};"


def publish(client: httpx.Client, document: bytes, *, dry_run: bool = False) -> JsonObject:
    """The gateway's answer; it reads the document itself, so that no number is rounded here. Raises Failure."""
    answer: JsonObject = checked(
        client.post(
            "/v1/catalog/apply",
            content=document,
            params={"dry_run": "true"} if dry_run else {},
            headers={"content-type": "application/yaml"},
        )
    )
    return answer


def answer_lines(answer: JsonObject, dry_run: bool) -> list[str]:
    """The gateway's answer for people."""
    lines = [
        f"{action:<8} {entry['kind']} {entry['code']} version {entry['version']}"
        for action in ("created", "changed", "retired")
        for entry in answer[action]
    ]
    lines_of_warnings = [f"warning  {warning['path']}: {warning['detail']}" for warning in answer.get("warnings", ())]
    would = "would be published" if dry_run else "published"
    return [
        *lines,
        *lines_of_warnings,
        f"{len(lines)} {would} in {answer['namespace']}, {len(answer['unchanged'])} unchanged",
    ]
