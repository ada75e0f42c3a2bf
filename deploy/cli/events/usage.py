"""``weir usage``: totals of a profile by account and time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, services
from deploy.cli.errors import USAGE, Failure
from deploy.cli.unknown_names import hint_accounts

if TYPE_CHECKING:
    from rating.periods import Granularity
    from rating.usage.usage_parameters import UsageParameters
    from schemas.values.json_text import JsonObject

_STEPS: tuple[Granularity, ...] = ("hour", "day", "week", "month", "quarter", "year")
_OPTIONS = {
    "account_id": "--account",
    "from": "--period",
    "to": "--period",
    "time_zone": "--tz",
    "group_by": "--by, --dimension",
}


def usage(
    *,
    metric: Annotated[str, typer.Argument(help="METER.PROFILE, or METER where it has one profile.")],
    account: Annotated[list[str] | None, typer.Option("--account", "-a", help="Only these accounts.")] = None,
    period: Annotated[
        str, typer.Option("--period", "-p", help="2013, 2013-Q1, 2013-03, 2013-03-10, A..B, or RFC 3339..RFC 3339.")
    ] = "",
    tz: Annotated[
        str, typer.Option("--tz", help="IANA time zone of the dates; the account's own where one is named, else UTC.")
    ] = "",
    by: Annotated[str, typer.Option("--by", help=f"One row for each {', '.join(_STEPS)}.")] = "",
    dimension: Annotated[list[str] | None, typer.Option("--dimension", "-d", help="Split by this dimension.")] = None,
    total: Annotated[bool, typer.Option("--total", help="All accounts together in place of one row each.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
    namespace: NamespaceOption = None,
) -> None:
    """Usage by account, metric, dates and time zone; live, so it includes what came a moment ago."""
    from deploy.cli.output import console, print_csv, print_json, say, table
    from rating.usage.naming import columns as columns_of

    if as_csv and as_json:
        raise Failure("--csv and --json exclude each other; give one of them", USAGE)
    asked_of = services(namespace)
    question = parameters(metric, account or (), period, tz, by, dimension or (), total=total)
    with asked_of.http("rating") as client:
        answer: JsonObject = answered(client.get("/v1/usage", params=question.to_query()), _OPTIONS)
    hint_accounts(asked_of, question.account_ids)
    columns = ["quantity", "unit", "events"]
    dimensions = dict(zip(dimension or (), columns_of(dimension or (), ("account", "from", *columns)), strict=True))
    keys = [*([] if total else ["account"]), *(["from"] if by else []), *dimensions.values()]
    records = list(_records(answer, dimensions, by_account=not total))
    if as_json:
        head = {name: answer[name] for name in ("metric", "aggregation", "time_zone")}
        print_json(head | {"start": answer["from"], "end": answer["to"], "rows": records})
        return
    names = [*keys, *columns]
    values = [[record[name] for name in names] for record in records]
    if as_csv:
        instants = [names.index("from")] if by else []
        print_csv(names, values, raw=[*instants, len(names) - 3, len(names) - 1])
        return
    start, end = (_local(answer[name], answer["time_zone"]) for name in ("from", "to"))
    title = f"{answer['metric']} ({answer['aggregation']}) from {start} to {end}"
    if values:
        console().print(table(title, names, values, right=("quantity", "events")))
    else:
        say(f"{title}: no usage")


def parameters(
    metric: str,
    accounts: list[str] | tuple[str, ...],
    period: str,
    tz: str,
    by: str,
    dimensions: list[str] | tuple[str, ...],
    *,
    total: bool,
) -> UsageParameters:
    """The options as parameters of GET /v1/usage. Raises Failure (code 2) for a step of time that there is not."""
    from rating.usage.naming import PREFIX
    from rating.usage.usage_parameters import UsageParameters, range_of_period

    if by and by not in _STEPS:
        raise Failure(f"--by {by} is not known; give one of {', '.join(_STEPS)}", USAGE)
    start, end = range_of_period(period)
    groups = (*(() if total else ("account",)), *((by,) if by else ()), *(PREFIX + name for name in dimensions))
    return UsageParameters(metric, tuple(accounts), start, end, tz or None, groups)


def _records(answer: JsonObject, dimensions: dict[str, str], *, by_account: bool) -> Iterator[JsonObject]:
    """Rows with usage, each by its columns' names. ``dimensions``: name → column."""
    nothing = "0" if answer["aggregation"] in ("sum", "count", "count_unique") else None
    for row in answer["rows"]:
        if not row["events"] and row["quantity"] == nothing and "from" in row:
            continue  # a piece of time that the service fills in, so that a history has no gaps
        record: JsonObject = {"account": row["account_id"]} if by_account else {}
        if "from" in row:
            record["from"] = _local(row["from"], answer["time_zone"])
        record |= {column: row["dimensions"][name] for name, column in dimensions.items()}
        yield record | {"quantity": row["quantity"], "unit": answer["unit"], "events": row["events"]}


def _local(text: str, zone: str) -> str:
    """An instant of an answer, with the offset that its zone has then."""
    from schemas.values.instants import parse_rfc3339
    from schemas.values.time_zones import parse_zone

    return parse_rfc3339(text).astimezone(parse_zone(zone)).isoformat()
