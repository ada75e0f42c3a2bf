"""``weir alerts``: what alert rules said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject


def alerts(
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only of this account.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only of this rule.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only fired, or recovered.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that have fired and not recovered.")] = False,
    since: Annotated[str | None, typer.Option("--since", help="Only from this RFC 3339 instant on.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Alerts that fired and recovered, the newest first; rules are declared as alert_rules with `weir apply`."""
    from deploy.cli.output import console, print_json, say, table

    filters = {"account_id": account, "rule": rule, "state": state, "since": since}
    parameters = {name: value for name, value in filters.items() if value is not None}
    asked_of = services(namespace)
    with asked_of.http("rating") as client:
        query = parameters | {"open": str(open_only).lower(), "limit": str(limit)}
        page: JsonObject = answered(client.get("/v1/alerts", params=query))
    if as_json:
        print_json(page)
        return
    if not page["alerts"]:
        say(f"no such alerts in {asked_of.namespace}")
        return
    columns = ("at", "rule", "account", "subscription", "of", "threshold", "state", "episode", "value")
    rows = [
        [alert["at"], alert["rule"], alert["account_id"], alert["subscription"],
         alert["metric"] or f"{alert['measure']} {alert['feature'] or alert['currency']}", alert["threshold"],
         alert["state"], alert["episode"], alert["value"]]
        for alert in page["alerts"]
    ]  # fmt: skip
    console().print(table("", columns, rows, right=("threshold", "episode", "value")))
    if page["next_cursor"] is not None:
        say(f"the newest {limit}; --limit shows more")
