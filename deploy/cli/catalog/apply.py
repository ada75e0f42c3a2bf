"""``weir apply``: publish a catalog document."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, connection, http

if TYPE_CHECKING:
    import httpx

    from schemas.settings import Settings


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
    settings = connection(namespace)
    with http(settings, "gateway") as client:
        answer = publish(client, document, dry_run=dry_run)
    if as_json:
        print_json(answer)
        return
    for line in [*answer_lines(answer, dry_run), *backfill_lines(settings, answer)]:
        say(line)


def backfill_lines(settings: Settings, answer: Any) -> list[str]:
    """What will be, or is being, backfilled: meters that start in the past, and how many stored events that means."""
    from contextlib import closing
    from datetime import UTC, datetime

    from rating.backfills import stored_events
    from schemas.clickhouse.client import connect
    from schemas.values.instants import micros, parse_rfc3339, rfc3339

    meters = [item for action in ("created", "changed") for item in answer[action] if item.get("start")]
    now = datetime.now(UTC)
    lines = []
    for item in meters:
        start = parse_rfc3339(item["start"])
        if start >= now:
            lines.append(f"meter {item['code']} version {item['version']} holds from {item['start']} on")
            continue
        with closing(connect(settings)) as client:
            stored = stored_events(client, answer["namespace"], item["event_name"], micros(start))
        oldest = "" if stored.oldest_us is None else f", the oldest of {rfc3339(stored.oldest_us)}"
        lines.append(
            f"meter {item['code']} version {item['version']} counts from {item['start']} on: {stored.events:,} stored events to"
            f" backfill{oldest}; `weir backfill list` tells how far it is, and what needs it is billed once it is done"
        )
    return lines


def publish(client: httpx.Client, document: bytes, *, dry_run: bool = False) -> Any:
    """The gateway's answer; it reads the document itself, so that no number is rounded here. Raises Failure."""
    return checked(
        client.post(
            "/v1/catalog/apply", content=document, params={"dry_run": "true"} if dry_run else {},
            headers={"content-type": "application/yaml"},
        )
    )  # fmt: skip


def answer_lines(answer: Any, dry_run: bool) -> list[str]:
    """The gateway's answer for people."""
    lines = [
        f"{action:<8} {item['kind']} {item['code']} version {item['version']}"
        for action in ("created", "changed", "retired")
        for item in answer[action]
    ]
    lines_of_warnings = [f"warning  {item['path']}: {item['detail']}" for item in answer.get("warnings", ())]
    would = "would be published" if dry_run else "published"
    return [
        *lines,
        *lines_of_warnings,
        f"{len(lines)} {would} in {answer['namespace']}, {len(answer['unchanged'])} unchanged",
    ]
