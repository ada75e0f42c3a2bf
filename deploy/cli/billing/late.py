"""``weir late``: late usage that is on no invoice yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, services
from deploy.cli.errors import FAILED
from deploy.cli.unknown_names import hint_accounts

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject


def late(
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Billed lines whose usage has changed since, because events came late or were voided: billed, now, difference. The
    next close bills them, but not what lies behind the namespace's lock date: that is listed as left out.

    Exit code 1 where something is named that no close can bill as the catalog stands: what cannot be rated, and usage
    without a price.
    """
    from deploy.cli.output import console, print_json, say, table

    asked_of = services(namespace)
    parameters = {"limit": "10000"} | ({"account_id": account} if account is not None else {})
    with asked_of.http("rating") as client:
        report: JsonObject = answered(client.get("/v1/reports/late-usage", params=parameters))
    code = FAILED if report["problems"] or report["unpriced"] else 0
    if as_json:
        print_json(report)
        raise typer.Exit(code)
    for problem in report["problems"]:
        say(f"cannot be rated: {problem}")
    for unpriced in report["unpriced"]:
        say(f"no price: invoice {unpriced['invoice_id']}, {unpriced['text']}")
    for line in report["left_out"]["lines"]:
        say(
            f"left out: invoice {line['invoice_id']} of {line['account_id']}, {line['charge']}: {line['difference']} "
            f"{line['currency']}"
        )
    if behind := report["left_out"]["count"]:
        totals = ", ".join(f"{amount} {currency}" for currency, amount in report["left_out"]["totals"].items())
        say(f"{behind} lines, {totals} lie behind the lock date {report['left_out']['lock_date']}: no close bills them")
    if not report["lines"]:
        if account is not None:
            hint_accounts(asked_of, [account])
        if not code:
            say(f"no late usage in {asked_of.namespace} is without an invoice")
        raise typer.Exit(code)
    columns = {
        "account": "account_id",
        "invoice": "invoice_id",
        "charge": "charge",
        "from": "period_start",
        "to (excl.)": "period_end",
        "quantity": "quantity_now",
        "billed": "billed",
        "now": "now",
        "difference": "difference",
        "currency": "currency",
        "checkpoint": "billed_as_of_checkpoint",
    }
    rows = [[line[name] for name in columns.values()] for line in report["lines"]]
    console().print(table("", tuple(columns), rows, right=("quantity", "billed", "now", "difference", "checkpoint")))
    totals = ", ".join(f"{amount} {currency}" for currency, amount in report["totals"].items())
    say(
        f"{report['count']} lines, {totals} not invoiced yet;"
        " `weir close` bills it when a subscription's next period is due"
    )
    raise typer.Exit(code)
