"""``weir invoices`` and ``weir invoices export``: lists of invoices, and their lines for accounting."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import READ_KEY, JsonOption, NamespaceOption, answered, refuse, services
from deploy.cli.errors import USAGE, Failure
from deploy.cli.unknown_names import ListedState, hint_accounts

if TYPE_CHECKING:
    import httpx

    from deploy.cli.connection import Services
    from schemas.values.json_text import JsonObject

app = typer.Typer(rich_markup_mode=None)
_EXPORT_SECONDS: Final = 900.0
_PAGE: Final = 500
_WHOLE_PAGE: Final = 100
_ELSEWHERE: Final = 20


@app.callback(invoke_without_command=True, epilog=READ_KEY)
def invoices(
    *,
    context: typer.Context,
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    state: Annotated[ListedState | None, typer.Option("--state", help="Only this state.")] = None,
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
    asked_of = services(namespace)
    drafts: list[JsonObject] = []
    with asked_of.http("rating") as client:
        listed = fetch_invoices(client, account=account, state=state, limit=limit, with_lines=as_json)
        if state is None and not as_json and not as_csv:
            drafts = fetch_invoices(client, account=account, state="draft", limit=limit)
    if account is not None:
        hint_accounts(asked_of, [account])
    if as_json:
        print_json(listed)
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
        print_csv(columns, [[invoice[name] for name in columns] for invoice in listed], map(columns.index, raw))
    elif state == "draft" and listed:
        console().print(drafts_table(listed))
    elif listed or drafts:
        if listed:
            console().print(heads_table(listed))
        if drafts:
            console().print(drafts_table(drafts))
    else:
        say(f"no invoices in {asked_of.namespace}; `weir close` makes those that are due{_elsewhere(asked_of)}")


def _elsewhere(asked_of: Services) -> str:
    """Which other namespaces have invoices, as far as the key may ask; of the first ones."""
    import httpx

    if not asked_of.gateway_url:
        return ""
    try:
        with asked_of.http("gateway", timeout=10) as gateway, asked_of.http("rating", timeout=10) as rating:
            listed = gateway.get("/v1/namespaces", params={"limit": _ELSEWHERE})
            codes = [entry["code"] for entry in listed.json()["items"]] if listed.is_success else []
            names = [code for code in codes if code != asked_of.namespace and _has_invoices(rating, code)]
    except (httpx.HTTPError, ValueError, KeyError):  # away, or somebody else answers there
        return ""
    return f"; there are some in {', '.join(names)} (-n)" if names else ""


def _has_invoices(client: httpx.Client, namespace: str) -> bool:
    page = client.get("/v1/invoices", params={"limit": 1}, headers={"weir-namespace": namespace})
    return page.is_success and bool(page.json()["invoices"])


def fetch_invoices(
    client: httpx.Client,
    *,
    account: str | None = None,
    state: str | None = None,
    limit: int = 100_000,
    with_lines: bool = False,
) -> list[JsonObject]:
    """Invoices as the rating service shows them, latest period first, at most ``limit``; ``with_lines``: whole.
    Raises Failure."""
    filters: dict[str, str] = {name: text for name, text in (("account_id", account), ("state", state)) if text}
    size = _WHOLE_PAGE if with_lines else _PAGE
    invoices: list[JsonObject] = []
    cursor: str | None = ""
    while cursor is not None and len(invoices) < limit:
        position = {"cursor": cursor} if cursor else {}
        parameters = {**filters, **position, "limit": str(min(size, limit - len(invoices)))}
        parameters |= {"lines": "true"} if with_lines else {}
        page = answered(client.get("/v1/invoices", params=parameters))
        invoices += page["invoices"]
        cursor = page["next_cursor"]
    return invoices


@app.command(epilog=READ_KEY)
def export(
    form: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; standard output where none is given.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    state: Annotated[ListedState | None, typer.Option("--state", help="Only this state.")] = None,
    namespace: NamespaceOption = None,
) -> None:
    """Lines of all invoices for accounting, one row a line; decimals are exact in both formats."""
    from deploy.cli.output import say_aside
    from rating.invoices.accounting_export import MEDIA_TYPES

    if form not in MEDIA_TYPES:
        raise Failure(f"--format {form} is not known; give one of {', '.join(MEDIA_TYPES)}", USAGE)
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise Failure("Parquet is not for a terminal; give --out FILE, or pipe it", USAGE)
    asked_of = services(namespace)
    filters = {name: text for name, text in (("account_id", account), ("state", state)) if text}
    if account is not None:
        hint_accounts(asked_of, [account])
    with (
        asked_of.http("rating", timeout=_EXPORT_SECONDS) as client,
        client.stream("GET", "/v1/invoices/export", params={"format": form, **filters}) as answer,
    ):
        if not answer.is_success:
            answer.read()
        refuse(answer)
        if out is None:
            for part in answer.iter_bytes():
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
            return
        with out.open("wb") as file:
            for part in answer.iter_bytes():
                file.write(part)
        count = answer.headers["weir-lines"]
    say_aside(f"{count} lines of {asked_of.namespace} in {out}")
