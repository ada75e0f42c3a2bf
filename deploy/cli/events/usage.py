"""``weir usage``: totals of a profile by account and time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, connection, declared
from deploy.cli.errors import USAGE, Failure
from deploy.cli.unknown_names import check_dimensions, hint_accounts

if TYPE_CHECKING:
    from rating.periods import Interval
    from rating.periods.split import Granularity
    from rating.usage import UsageQuery
    from schemas.catalog.state import NamespaceView

_STEPS: tuple[Granularity, ...] = ("hour", "day", "week", "month", "quarter", "year")


def usage(
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
    from rating.usage import usage_totals
    from rating.usage.naming import columns as columns_of
    from schemas.clickhouse.client import connect
    from schemas.prices import plain
    from schemas.values.instants import instant, rfc3339

    if as_csv and as_json:
        raise Failure("--csv and --json exclude each other; give one of them", USAGE)
    settings = connection(namespace)
    asked = _Asked(metric, tuple(account or ()), period, tz, by, tuple(dimension or ()), total)
    view = declared(settings)
    query, zone = build_query(view, asked, datetime.now(UTC))
    hint_accounts(view, asked.accounts)
    client = connect(settings)
    try:
        rows = usage_totals(client, query)
    finally:
        client.close()

    def local(us: int | None) -> str:
        return "" if us is None else instant(us).astimezone(zone).isoformat()

    columns = ["quantity", "unit", "events"]
    dimensions = columns_of(query.dimensions, ("account", "from", *columns))
    keys = [*(["account"] if query.by_account else []), *(["from"] if query.buckets_us else []), *dimensions]
    printed: list[dict[str, Any]] = []
    for row in rows:
        record: dict[str, Any] = {}
        if query.by_account:
            record["account"] = row.account_id
        if query.buckets_us:
            record["from"] = local(row.bucket_us)
        record |= dict(zip(dimensions, row.dimensions, strict=True))
        quantity = row.usage.quantity
        record["quantity"] = None if quantity is None else plain(quantity)
        record["unit"] = query.profile.unit
        record["events"] = row.usage.events
        printed.append(record)
    if as_json:
        about = {"metric": query.profile.profile_id, "aggregation": query.profile.aggregation, "time_zone": str(zone)}
        print_json(about | {"start": rfc3339(query.start_us), "end": rfc3339(query.end_us), "rows": printed})
        return
    values = [[record[name] for name in [*keys, *columns]] for record in printed]
    if as_csv:
        at = [*keys, *columns]
        instants = [int(query.by_account)] if query.buckets_us else []
        print_csv(at, values, raw=[*instants, len(at) - 3, len(at) - 1])
        return
    title = f"{query.profile.profile_id} ({query.profile.aggregation}) from {local(query.start_us)} to {local(query.end_us)}"
    if values:
        console().print(table(title, [*keys, *columns], values, right=("quantity", "events")))
    else:
        say(f"{title}: no usage")


@dataclass(frozen=True, slots=True)
class _Asked:
    metric: str
    accounts: tuple[str, ...]
    period: str
    tz: str
    by: str
    dimensions: tuple[str, ...]
    total: bool


def build_query(view: NamespaceView, asked: _Asked, now: datetime) -> tuple[UsageQuery, Any]:
    """The query, and the time zone of its dates. Raises Failure (code 2) that says what to give."""
    from rating.periods import parse_range, parse_zone
    from rating.usage import UsageQuery, measured
    from schemas.catalog.profiles import dimension_names, resolve
    from schemas.values.instants import micros

    try:
        versions = resolve(view, asked.metric)
        check_dimensions(asked.dimensions, dimension_names(versions), versions[-1].profile_id)
        own = view.time_zone(asked.accounts[0]) if len(asked.accounts) == 1 else "UTC"
        zone = parse_zone(asked.tz or own)
        period = asked.period or now.astimezone(zone).strftime("%Y-%m")
        interval = parse_range(period, zone)
        start, end = micros(interval.start), micros(interval.end)
        query = UsageQuery(
            namespace=view.namespace, profile=measured(versions, start, end), start_us=start, end_us=end,
            accounts=asked.accounts or None, by_account=not asked.total, buckets_us=_buckets(interval, asked.by, zone),
            dimensions=asked.dimensions,
        )  # fmt: skip
    except (LookupError, ValueError) as error:
        raise Failure(str(error.args[0] if error.args else error), USAGE) from None
    return query, zone


def _buckets(interval: Interval, by: str, zone: Any) -> tuple[int, ...]:
    from rating.periods import split
    from schemas.values.instants import micros

    if not by:
        return ()
    step = next((known for known in _STEPS if known == by), None)
    if step is None:
        raise ValueError(f"--by {by} is not known; give one of {', '.join(_STEPS)}")
    starts = tuple(micros(piece.start) for piece in split(interval, step, zone))
    if len(starts) > 20_000:
        raise ValueError(f"{len(starts)} rows an account; take a shorter --period or a longer --by")
    return starts
