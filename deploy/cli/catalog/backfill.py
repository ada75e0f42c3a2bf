"""``weir backfill``: versions published with a start in the past, how far they are counted, and doing it by hand."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, connection, declared
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from rating.backfills import BackfillStatus
    from schemas.settings import Settings

app: Final = typer.Typer(
    help="Profile versions that were published with a start in the past: how far their events are counted.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Name = Annotated[str, typer.Argument(metavar="METER[/VERSION]", help="Its last version where none is given.")]


@app.command("list")
def list_(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Each with its progress. A worker does what waits by itself, unless WEIR_BACKFILL_AUTOMATIC is false."""
    from deploy.cli.output import console, print_json, say, table
    from schemas.values.instants import rfc3339

    settings = connection(namespace)
    found = _read(settings)
    if as_json:
        print_json([one.to_json() for one in found])
        return
    if not found:
        say(f"no meter of {settings.namespace} has a start in the past")
        return
    rows = [
        (f"{one.job.meter}/{one.job.version}", rfc3339(one.job.start_us), one.state, f"{one.percent} %", f"{one.events_read:,}",
         f"{one.records:,}", one.checkpoint or "", "" if one.oldest_us is None else rfc3339(one.oldest_us))
        for one in found
    ]  # fmt: skip
    columns = ("meter/version", "start", "state", "read", "events", "records", "checkpoint", "oldest event")
    console().print(table("", columns, rows, right=("read", "events", "records", "checkpoint")))


@app.command()
def status(name: _Name, namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """One of them. Exit code 0 where it is done, 1 where it is not yet."""
    from deploy.cli.output import print_json, say

    found = _one(_read(connection(namespace)), name)
    if as_json:
        print_json(found.to_json())
    else:
        say(found.sentence())
    if found.state != "done":
        raise typer.Exit(FAILED)


@app.command()
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
    from schemas.catalog.follower import CatalogFollower
    from stream_processors.backfill.pages import Progress
    from stream_processors.backfill.steps import Backfiller

    settings = connection(namespace)
    before = _read(settings)
    wanted = [_one(before, name)] if name else [one for one in before if one.state != "done"]
    catalog = CatalogFollower(settings).start()
    try:
        with StepsBar() as bar:

            def report(progress: Progress) -> None:
                bar(
                    f"backfilling {progress.name}",
                    progress.events_read,
                    max(progress.events_total, progress.events_read, 1),
                )

            backfiller = Backfiller(settings, catalog, threading.Event(), report=report)
            for one in wanted:
                backfiller.run(one.job.name)
    finally:
        catalog.stop()
    names = {one.job.name for one in wanted}
    done = [one for one in _read(settings) if one.job.name in names]
    if as_json:
        print_json([one.to_json() for one in done])
    else:
        for one in done:
            say(one.sentence())
    if not done and not as_json:
        say(f"nothing waits in {settings.namespace}")
    if any(one.state != "done" for one in done):
        raise typer.Exit(FAILED)


def _read(settings: Settings) -> list[BackfillStatus]:
    from rating.backfills import read_backfills
    from schemas.clickhouse.client import connect

    view = declared(settings)
    with closing(connect(settings)) as client:
        return read_backfills(client, view)


def _one(found: list[BackfillStatus], name: str) -> BackfillStatus:
    meter, _, version = name.partition("/")
    mine = [one for one in found if one.job.meter == meter and version in ("", str(one.job.version))]
    if not mine:
        known = (
            ", ".join(f"{one.job.meter}/{one.job.version}" for one in found) or "none: no meter has a start in the past"
        )
        raise Failure(f"no backfill {name}; known: {known}", USAGE)
    return mine[-1]
