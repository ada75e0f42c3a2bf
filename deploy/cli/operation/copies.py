"""``weir copies rebuild``: what ClickHouse has of ledger topics is made again from them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from deploy.cli.connection import STORES, connection
from deploy.cli.errors import FAILED, USAGE, Failure

app: Final = typer.Typer(
    help="ClickHouse's copies of ledger topics: invoices, rejections, the catalog, windows.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
KINDS: Final = ("invoices", "rejections", "catalog", "numbers")
"""What is made again where nothing is named; windows only where they are."""


@app.command(epilog=STORES)
def rebuild(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHAT]...", help="invoices, rejections, catalog, numbers or windows; default: all but windows."
        ),
    ] = None,
) -> None:
    """Write copies again from their topics, and windows from records. Safe to repeat, and while the stack runs.

    A version of an invoice that ClickHouse has and the topic has not is kept and told, exit code 1: it may be a
    payment.
    """
    from deploy.cli.output import say
    from stream_processors.projections.rebuild import Rebuild

    copies = what or list(KINDS)
    if unknown := [name for name in copies if name not in (*KINDS, "windows")]:
        raise Failure(f"no such copy: {', '.join(unknown)}; there are {', '.join(KINDS)}, windows", USAGE)
    settings = connection()
    work = Rebuild(settings)
    ahead = []
    try:
        if "invoices" in copies:
            ahead = work.invoices(say)
        if "rejections" in copies:
            work.rejections(say)
        if "catalog" in copies:
            work.catalog(say)
        if "numbers" in copies:
            work.numbers(say)
        if "windows" in copies:
            work.windows(say)
    finally:
        work.close()
    _drop_set_aside(copies)
    for invoice in ahead:
        version = f"version {invoice.version} of {invoice.invoice_id} of {invoice.namespace} ({invoice.state})"
        say(
            f"kept: {version}, which usage.invoices does not have (its newest is {invoice.topic or 'none'}): record"
            " again what it says (`weir invoice pay`, `approve`, `void`), then rebuild once more"
        )
    if ahead:
        raise typer.Exit(FAILED)


def _drop_set_aside(copies: list[str]) -> None:
    """Damaged parts whose rows are there again."""
    from schemas.clickhouse.client import connect
    from schemas.clickhouse.damaged_parts import COPIES, NUMBERS, WINDOWS, damaged_parts_of, drop

    client = connect(connection())
    try:
        for part in damaged_parts_of(client):
            if (part.table in WINDOWS and "windows" in copies) or (
                part.table in COPIES | NUMBERS and set(KINDS) <= set(copies)
            ):
                drop(client, part)
    finally:
        client.close()
