"""``weir invoices``, ``weir invoices export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, connection, declared
from deploy.cli.errors import USAGE, Failure
from deploy.cli.unknown_names import InvoiceState, hint_accounts

if TYPE_CHECKING:
    from schemas.settings import Settings

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def invoices(
    context: typer.Context,
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    state: Annotated[InvoiceState | None, typer.Option("--state", help="Only this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest periods first.")] = 100_000,
    namespace: NamespaceOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a row an invoice.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List invoices, and drafts below them; --json prints them whole, with lines and steps, and drafts with --state
    draft alone. `weir invoices export` writes their lines for accounting."""
    if context.invoked_subcommand is not None:
        return
    from deploy.cli.billing.invoice_tables import drafts_table, heads_table
    from deploy.cli.output import console, print_csv, print_json, say

    if as_csv and as_json:
        raise Failure("--csv and --json exclude each other; give one of them", USAGE)
    settings = connection(namespace)
    view = declared(settings)
    if account is not None:
        hint_accounts(view, [account])
    found = read_invoices(settings, account=account, state=state, limit=limit, whole=as_json)
    if as_json:
        print_json(found)
    elif as_csv:
        columns = (
            "invoice_id",
            "account_id",
            "subscription",
            "period_start",
            "period_end",
            "currency",
            "total",
            "state",
            "number",
            "due_date",
            "subtotal",
            "amount_paid",
            "amount_due",
            "service_start",
            "service_end",
        )
        raw = ("total", "subtotal", "amount_paid", "amount_due")
        print_csv(columns, [[invoice[name] for name in columns] for invoice in found], map(columns.index, raw))
    elif state == "draft" and found:
        console().print(drafts_table(found))
    elif drafts := read_invoices(settings, account=account, state="draft", limit=limit) if state is None else []:
        if found:
            console().print(heads_table(found))
        console().print(drafts_table(drafts))
    elif found:
        console().print(heads_table(found))
    else:
        say(f"no invoices in {settings.namespace}; `weir close` makes those that are due{_elsewhere(settings)}")


def _elsewhere(settings: Settings) -> str:
    from schemas.clickhouse.client import connect

    client = connect(settings)
    try:
        rows = client.query("SELECT DISTINCT namespace FROM invoices ORDER BY namespace LIMIT 20").result_rows
    finally:
        client.close()
    names = [str(row[0]) for row in rows if row[0] != settings.namespace]
    return f"; there are some in {', '.join(names)} (-n)" if names else ""


def read_invoices(
    settings: Settings,
    *,
    account: str | None = None,
    state: str | None = None,
    limit: int = 100_000,
    whole: bool = False,
) -> list[dict[str, Any]]:
    """Invoices as JSON values, latest period first; ``whole``: with their lines."""
    from rating.invoices.read import MAX_LIMIT, list_invoices, with_lines
    from schemas.clickhouse.client import connect

    client = connect(settings)
    try:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(found) < limit:
            page = list_invoices(
                client, settings.namespace, account_id=account, state=state, cursor=cursor,
                limit=min(MAX_LIMIT, limit - len(found)),
            )  # fmt: skip
            shown = with_lines(client, settings.namespace, page.invoices) if whole else page.invoices
            found.extend(one.to_json() for one in shown)
            cursor = page.next_cursor
            if cursor is None:
                break
        return found
    finally:
        client.close()


@app.command()
def export(
    form: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; standard output where none is given.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    state: Annotated[InvoiceState | None, typer.Option("--state", help="Only this state.")] = None,
    namespace: NamespaceOption = None,
) -> None:
    """Lines of all invoices for accounting, one row a line; decimals are exact in both formats."""
    from deploy.cli.output import say_aside
    from rating.invoices.export import MEDIA_TYPES, line_pages, write_lines
    from schemas.clickhouse.client import connect

    chosen = next((known for known in MEDIA_TYPES if known == form), None)
    if chosen is None:
        raise Failure(f"--format {form} is not known; give one of {', '.join(MEDIA_TYPES)}", USAGE)
    if chosen == "parquet" and out is None and sys.stdout.isatty():
        raise Failure("Parquet is not for a terminal; give --out FILE, or pipe it", USAGE)
    settings = connection(namespace)
    view = declared(settings)
    if account is not None:
        hint_accounts(view, [account])
    client = connect(settings)
    try:
        pages = line_pages(client, settings.namespace, account_id=account, state=state)
        if out is None:
            write_lines(sys.stdout.buffer, pages, chosen)
            sys.stdout.buffer.flush()
            return
        file: IO[bytes]
        with out.open("wb") as file:
            count = write_lines(file, pages, chosen)
    finally:
        client.close()
    say_aside(f"{count} lines of {settings.namespace} in {out}")
