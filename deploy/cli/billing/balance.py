"""``weir balance``: the live prepaid balance of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, pages, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject


def balance(
    account: Annotated[str, typer.Argument(help="The account's code.")],
    entries: Annotated[bool, typer.Option(help="All entries instead: grants, draws, voids, expiries.")] = False,
    topups: Annotated[bool, typer.Option(help="Its top-ups instead, which `weir topup` answers.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The prepaid balance of an account now: settled, less what ended periods and the running ones would draw."""
    from urllib.parse import quote

    from deploy.cli.output import console, print_json, say, table

    asked_of = services(namespace)
    path = f"/v1/accounts/{quote(account, safe='')}/balance"
    with asked_of.http("rating") as client:
        if entries:
            read = [entry for page in pages(client, f"{path}/entries", {"limit": "500"}) for entry in page["entries"]]
            _print_entries(read[::-1], as_json)
            return
        if topups:
            pages_of = pages(client, f"/v1/accounts/{quote(account, safe='')}/topups", {"limit": "500"})
            _print_topups([topup for page in pages_of for topup in page["topups"]], as_json)
            return
        answer: JsonObject = answered(client.get(path))
    if as_json:
        print_json(answer)
        return
    if not answer["grants"]:
        say(f"{account} has no credit grants in {asked_of.namespace}; declare them as credit_grants with `weir apply`")
        return
    amounts = ("granted", "settled", "pending", "running", "live")
    columns = ("code", "state", "expires", "currency", *amounts)
    console().print(
        table("", columns, [[grant[name] for name in columns] for grant in answer["grants"]], right=amounts)
    )
    for total in answer["balances"]:
        parts = f"{total['settled']} settled − {total['pending']} pending − {total['running']} running"
        say(f"live: {total['live']} {total['currency']} = {parts}")
    for problem in answer["problems"]:
        say(f"not counted: {problem}")
    say(f"as of {answer['as_of']['at']}")


def _print_entries(entries: list[JsonObject], as_json: bool) -> None:
    """``entries``: the oldest first."""
    columns = ("at", "kind", "grant", "amount", "balance", "total", "currency", "invoice_id", "line", "credit_note")
    nothing = "no entries: there are no credit grants"
    _print_listed("entries", entries, columns, ("amount", "balance", "total", "line"), nothing, as_json)


def _print_topups(topups: list[JsonObject], as_json: bool) -> None:
    """``topups``: the newest first."""
    columns = ("topup_id", "state", "at", "amount", "currency", "cost", "balance", "target", "reference")
    nothing = "no top-ups: none was needed, or `top_ups` of account, subscription and plan say nothing"
    _print_listed("topups", topups, columns, ("amount", "cost", "balance", "target"), nothing, as_json)


def _print_listed(
    name: str, items: list[JsonObject], columns: tuple[str, ...], right: tuple[str, ...], nothing: str, as_json: bool
) -> None:
    """``name``: of the items in JSON; ``nothing``: what is said where there are none."""
    from deploy.cli.output import console, print_json, say, table

    if as_json:
        print_json({name: items})
    elif not items:
        say(nothing)
    else:
        console().print(table("", columns, [[item[column] for column in columns] for item in items], right=right))
