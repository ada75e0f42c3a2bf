"""``weir anomalies``: days of accounts that were spikes, drops or silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject


def anomalies(
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only of this account.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Only of this meter.profile.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only spike, drop, or silence.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only from this RFC 3339 instant on.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Days on which usage was odd by the account's own eight weeks before, with the numbers that say why, the newest
    first; watched by alert_rules with measure anomaly (`weir apply`)."""
    from deploy.cli.output import console, print_json, say, table

    filters = {"account_id": account, "metric": metric, "kind": kind, "since": since}
    parameters = {name: value for name, value in filters.items() if value is not None}
    asked_of = services(namespace)
    with asked_of.http("rating") as client:
        page: JsonObject = answered(client.get("/v1/anomalies", params=parameters | {"limit": str(limit)}))
    if as_json:
        print_json(page)
        return
    if not page["anomalies"]:
        say(f"no such anomalies in {asked_of.namespace}")
        return
    columns = ("day from", "account", "metric", "kind", "state", "value", "expected", "low", "high", "score")
    rows = [
        [item["period_start"], item["account_id"], item["metric"], item["anomaly"]["kind"], item["state"],
         item["value"], *(item["anomaly"][name] for name in ("expected", "low", "high", "score"))]
        for item in page["anomalies"]
    ]  # fmt: skip
    console().print(table("", columns, rows, right=("value", "expected", "low", "high", "score")))
    if page["next_cursor"] is not None:
        say(f"the newest {limit}; --limit shows more")
