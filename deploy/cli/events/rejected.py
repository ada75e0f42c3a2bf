"""``weir rejected list`` and ``weir rejected replay``: what was refused, and its second chance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import (
    READ_KEY,
    STORES,
    JsonOption,
    NamespaceOption,
    answered,
    connection,
    declared,
    services,
)
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    import httpx
    from clickhouse_connect.driver.client import Client

    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

app: Final = typer.Typer(
    help="What was refused, with its reason and bytes; and its replay.", no_args_is_help=True, rich_markup_mode=None
)
_SHOWN_SECONDS: Final = 30.0
_PAGE: Final = 100

RejectionReasonOption = Annotated[
    str, typer.Option("--reason", help="Only this reason, e.g. too_old, malformed, undecodable.")
]
RejectionStageOption = Annotated[
    str, typer.Option("--stage", help="Only what was refused by: gateway, admit (an inbox) or meter.")
]
Since = Annotated[str, typer.Option("--since", help="Arrived at or after this date or RFC 3339 instant (UTC).")]


@app.command("list", epilog=READ_KEY)
def list_(
    *,
    reason: RejectionReasonOption = "",
    stage: RejectionStageOption = "",
    since: Since = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="Also what was replayed already.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was refused and not replayed yet, newest first. What could not be decoded belongs to no namespace, and needs
    the admin key."""
    from deploy.cli.output import console, print_json, say, table
    from schemas.values.instants import rfc3339

    instant = rfc3339(_instant(since)) if since else ""
    parameters = {"reason": reason, "stage": _known(stage), "since": instant, "all": "true" if everything else ""}
    with services(namespace).http("rating") as client:
        rejections = _pages(client, {name: value for name, value in parameters.items() if value}, limit)
    if as_json:
        print_json(rejections)
        return
    rows = [
        (
            rejection["id"],
            rejection["received_at"],
            rejection["stage"],
            rejection["reason"],
            rejection["events"],
            rejection["account_id"],
            f"replayed: {rejection['replayed']}" if rejection["replayed"] else rejection["detail"],
        )
        for rejection in rejections
    ]
    console().print(
        table("", ("id", "received", "by", "reason", "events", "account", "detail"), rows, right=("events",))
    )
    say(f"{len(rejections)} rejections{'' if len(rejections) < limit else f' (--limit {limit}: there may be more)'}")


@app.command(epilog=STORES)
def replay(
    *,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids from `weir rejected list`; or give a filter.")] = None,
    reason: RejectionReasonOption = "",
    stage: RejectionStageOption = "",
    since: Since = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 10_000,
    without_keys: Annotated[
        bool,
        typer.Option("--without-keys", help="Also events without key: counted twice if their sender sent them again."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would enter.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge rejections again, by today's rules at the instant of their original arrival, and take in what passes.

    Doing it twice changes nothing. Exit code 1 where some rejection stays out.
    """
    from deploy.cli.output import console, print_json, say, table
    from schemas.clickhouse.stored_rejections import RejectionCriteria, matching_rejections
    from stream_processors.replay.rejected_replay import Replayer
    from stream_processors.replay.rejected_rows import replays_shown

    if not (ids or reason or stage or since):
        raise Failure("say which: ids, or --reason, --stage, --since", USAGE)
    with _connected(namespace) as (settings, client):
        by_id = tuple(map(_id, ids or ()))
        since_us = _instant(since) if since else None
        criteria = RejectionCriteria(settings.namespace, by_id, reason, _known(stage), since_us, limit=limit)
        rejections = matching_rejections(client, criteria)
        outcomes = Replayer(settings, client).replay(rejections, keyless=without_keys, dry_run=dry_run)
        done = [outcome for outcome in outcomes if not outcome.why]
        deadline = time.monotonic() + _SHOWN_SECONDS
        shown = dry_run or not done or replays_shown(client, outcomes)
        while not shown and time.monotonic() < deadline:
            time.sleep(0.2)
            shown = replays_shown(client, outcomes)
    rows: list[JsonObject] = [
        {
            "id": outcome.rejection.rejection_id.hex(),
            "entered": outcome.entered,
            "counted_before": outcome.counted,
            "stays_out": outcome.why,
        }
        for outcome in outcomes
    ]
    entered = sum(outcome.entered for outcome in outcomes)
    if as_json:
        print_json({"dry_run": dry_run, "entered": entered, "rejections": rows})
    else:
        if rows:
            columns = ("id", "events entered", "counted before", "stays out")
            console().print(table("", columns, [tuple(row.values()) for row in rows]))
        entering = "would enter" if dry_run else "entered"
        say(f"{entered} events {entering}, {len(outcomes) - len(done)} rejections stay out")
    if not shown:
        raise Failure(
            "the replay is in the log, but lists do not show it yet: is a worker running? `weir status` tells"
        )
    if len(done) < len(outcomes):
        raise typer.Exit(FAILED)


@contextmanager
def _connected(namespace: str | None) -> Iterator[tuple[Settings, Client]]:
    from schemas.clickhouse.client import connect

    settings = connection(namespace)
    declared(settings)
    client = connect(settings)
    try:
        yield settings, client
    finally:
        client.close()


def _pages(client: httpx.Client, parameters: dict[str, str], limit: int) -> list[JsonObject]:
    """The newest ``limit`` rejections, by as many requests as that takes. Raises Failure."""
    rejections: list[JsonObject] = []
    cursor: str | None = ""
    while cursor is not None and len(rejections) < limit:
        page = parameters | {"limit": str(min(_PAGE, limit - len(rejections)))} | ({"cursor": cursor} if cursor else {})
        answer = answered(client.get("/v1/rejections", params=page))
        rejections += answer["rejections"]
        cursor = answer["next_cursor"]
    return rejections


def _known(stage: str) -> str:
    """The stage. Raises Failure where there is none such."""
    if stage not in ("", "gateway", "admit", "meter"):
        raise Failure(f"--stage {stage} is not known; give gateway, admit or meter", USAGE)
    return stage


def _id(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 16:
        raise Failure(f"{text!r} is no id; `weir rejected list` shows them, 32 hexadecimal digits", USAGE)
    return value


def _instant(text: str) -> int:
    from schemas.values.instants import micros, parse_rfc3339

    try:
        return micros(parse_rfc3339(text if "T" in text else f"{text}T00:00:00Z"))
    except ValueError as error:
        raise Failure(f"--since {text!r}: {error}; write 2026-01-31 or 2026-01-31T12:00:00Z", USAGE) from None
