"""``weir credits``: prepaid credits of an account, and what is left of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, connection, http


def credits(
    account: Annotated[str, typer.Argument(help="The account's code.")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Credit grants of an account in the order in which invoices draw on them: granted, used, left, expired."""
    from urllib.parse import quote

    from deploy.cli.output import console, print_json, say, table

    settings = connection(namespace)
    with http(settings, "rating") as client:
        found: dict[str, Any] = checked(client.get(f"/v1/accounts/{quote(account, safe='')}/credits"))
    if as_json:
        print_json(found)
        return
    if not found["grants"]:
        say(f"{account} has no credit grants in {settings.namespace}; declare them as credit_grants with `weir apply`")
        return
    columns = ("code", "state", "priority", "effective", "expires", "currency", "granted", "used", "left", "expired")
    rows = [[one[name] for name in columns] for one in found["grants"]]
    console().print(table("", columns, rows, right=("priority", "granted", "used", "left", "expired")))
    say("left: " + ", ".join(f"{amount} {currency}" for currency, amount in found["balances"].items()))
