"""``weir backfill``: versions published with a start in the past, how far they are counted, and doing it by hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
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
    from deploy.cli.connection import Services
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

app: Final = typer.Typer(
    help="Profile versions that were published with a start in the past: how far their events are counted.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Name = Annotated[str, typer.Argument(metavar="METER[/VERSION]", help="Its last version where none is given.")]


@app.command("list", epilog=READ_KEY)
def list_(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Each backfill with its progress. A worker does what waits by itself, unless WEIR_BACKFILL_AUTOMATIC is false."""
    from deploy.cli.output import console, print_json, say, table

    asked_of = services(namespace)
    backfills = _by_http(asked_of)
    if as_json:
        print_json(backfills)
        return
    if not backfills:
        say(f"no meter of {asked_of.namespace} has a start in the past")
        return
    rows = [
        (
            f"{backfill['meter']}/{backfill['version']}",
            backfill["start"],
            backfill["state"],
            f"{backfill['percent']} %",
            f"{backfill['events_read']:,}",
            f"{backfill['records']:,}",
            backfill["checkpoint"] or "",
            backfill["oldest_event"] or "",
        )
        for backfill in backfills
    ]
    columns = ("meter/version", "start", "state", "read", "events", "records", "checkpoint", "oldest event")
    console().print(table("", columns, rows, right=("read", "events", "records", "checkpoint")))


@app.command(epilog=READ_KEY)
def status(name: _Name, namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """How far one backfill is. Exit code 0 where it is done, 1 where it is not yet."""
    from deploy.cli.output import print_json, say
    from rating.backfill_status import sentence

    backfill = _named(_by_http(services(namespace)), name)
    if as_json:
        print_json(backfill)
    else:
        say(sentence(backfill))
    if backfill["state"] != "done":
        raise typer.Exit(FAILED)


@app.command(epilog=STORES)
def run(
    name: Annotated[
        str, typer.Argument(metavar="[METER[/VERSION]]", help="Only this one; all that waits by default.")
    ] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what waits, here and now: the same that a worker does, beside it if need be. Interrupt it and run it again as
    you like.

    A worker must be running, to roll up the checkpoint under which it is recorded. Versions of one meter are done in
    their order. Exit code 1 where something still waits.
    """
    from deploy.cli.output import StepsBar, print_json, say
    from rating.backfill_status import sentence
    from schemas.catalog.follower import CatalogFollower
    from stream_processors.backfill.journal_pages import PassProgress
    from stream_processors.backfill.steps import Backfiller

    settings = connection(namespace)
    present = _from_stores(settings)
    chosen = [_named(present, name)] if name else [backfill for backfill in present if backfill["state"] != "done"]
    names = [backfill["backfill"] for backfill in chosen]
    catalog = CatalogFollower(settings).start()
    try:
        with StepsBar() as bar:

            def report(progress: PassProgress) -> None:
                bar(
                    f"backfilling {progress.name}",
                    progress.events_read,
                    max(progress.events_total, progress.events_read, 1),
                )

            backfiller = Backfiller(settings, catalog, threading.Event(), report=report)
            for backfill_name in names:
                backfiller.run(backfill_name)
    finally:
        catalog.stop()
    treated = [backfill for backfill in _from_stores(settings) if backfill["backfill"] in names]
    if as_json:
        print_json(treated)
    else:
        for backfill in treated:
            say(sentence(backfill))
    if not treated and not as_json:
        say(f"nothing waits in {settings.namespace}")
    if any(backfill["state"] != "done" for backfill in treated):
        raise typer.Exit(FAILED)


def _by_http(asked_of: Services) -> list[JsonObject]:
    """The namespace's backfills as the rating service shows them."""
    with asked_of.http("rating") as client:
        backfills: list[JsonObject] = answered(client.get("/v1/backfills"))["backfills"]
    return backfills


def _from_stores(settings: Settings) -> list[JsonObject]:
    """The namespace's backfills as the stores have them, ahead of what a service knows already."""
    from rating.backfill_status import read_backfills
    from schemas.clickhouse.client import connect

    view = declared(settings)
    with closing(connect(settings)) as client:
        return [backfill.to_json() for backfill in read_backfills(client, view)]


def _named(backfills: Sequence[JsonObject], name: str) -> JsonObject:
    """The backfill of ``METER/VERSION``, or of the meter's last version. Raises Failure (code 2)."""
    meter, _, version = name.partition("/")
    matches = [backfill for backfill in backfills if _is_named(backfill, meter, version)]
    if not matches:
        known = ", ".join(f"{backfill['meter']}/{backfill['version']}" for backfill in backfills)
        raise Failure(f"no backfill {name}; known: {known or 'none: no meter has a start in the past'}", USAGE)
    return matches[-1]


def _is_named(backfill: JsonObject, meter: str, version: str) -> bool:
    return backfill["meter"] == meter and version in ("", str(backfill["version"]))
