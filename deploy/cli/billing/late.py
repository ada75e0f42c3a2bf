"""``weir late``: late usage that is on no invoice yet."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, connection, declared, http
from deploy.cli.errors import FAILED
from deploy.cli.unknown_names import hint_accounts


def late(
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Billed lines whose usage has changed since, because events came late or were voided: billed, now, difference. The
    next close bills them.

    Exit code 1 where something is named that no close can bill as the catalog stands: what cannot be rated, and usage
    without a price.
    """
    from deploy.cli.output import console, print_json, say, table

    settings = connection(namespace)
    with http(settings, "rating") as client:
        chosen = {"account_id": account} if account is not None else {}
        found: dict[str, Any] = checked(client.get("/v1/reports/late-usage", params={"limit": 10_000, **chosen}))
    code = FAILED if found["problems"] or found["unpriced"] else 0
    if as_json:
        print_json(found)
        raise typer.Exit(code)
    for problem in found["problems"]:
        say(f"cannot be rated: {problem}")
    for one in found["unpriced"]:
        say(f"no price: invoice {one['invoice_id']}, {one['text']}")
    if not found["lines"]:
        if account is not None:
            hint_accounts(declared(settings), [account])
        if not code:
            say(f"no late usage in {settings.namespace} is without an invoice")
        raise typer.Exit(code)
    columns = {
        "account": "account_id", "invoice": "invoice_id", "charge": "charge", "from": "period_start", "to (excl.)": "period_end",
        "quantity": "quantity_now", "billed": "billed", "now": "now", "difference": "difference", "currency": "currency",
        "checkpoint": "billed_as_of_checkpoint",
    }  # fmt: skip
    rows = [[one[name] for name in columns.values()] for one in found["lines"]]
    console().print(table("", tuple(columns), rows, right=("quantity", "billed", "now", "difference", "checkpoint")))
    totals = ", ".join(f"{amount} {currency}" for currency, amount in found["totals"].items())
    say(
        f"{found['count']} lines, {totals} not invoiced yet; `weir close` bills it when a subscription's next period is due"
    )
    raise typer.Exit(code)
