"""``weir credits``: prepaid credits of an account, and what is left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject


def credits(
    account: Annotated[str, typer.Argument(help="The account's code.")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Credit grants of an account in the order in which invoices draw on them: granted, used, left, expired."""
    from urllib.parse import quote

    from deploy.cli.output import console, print_json, say, table

    asked_of = services(namespace)
    with asked_of.http("rating") as client:
        credits: JsonObject = answered(client.get(f"/v1/accounts/{quote(account, safe='')}/credits"))
    if as_json:
        print_json(credits)
        return
    if not credits["grants"]:
        say(f"{account} has no credit grants in {asked_of.namespace}; declare them as credit_grants with `weir apply`")
        return
    columns = (
        "code",
        "state",
        "source",
        "priority",
        "effective",
        "expires",
        "currency",
        "granted",
        "used",
        "left",
        "expired",
    )
    rows = [[grant[name] for name in columns] for grant in credits["grants"]]
    console().print(table("", columns, rows, right=("priority", "granted", "used", "left", "expired")))
    say("left: " + ", ".join(f"{amount} {currency}" for currency, amount in credits["balances"].items()))
