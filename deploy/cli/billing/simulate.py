"""``weir simulate`` and ``weir profile try``: what if. Both only read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, connection, declared
from deploy.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from rating.whatif import Scenario
    from schemas.catalog.models import Meter, Plan

profile_app = typer.Typer(no_args_is_help=True, help="Ways of measuring a meter's events.", rich_markup_mode=None)
_SHOWN = 20


def simulate(
    period: Annotated[
        str, typer.Option("--period", "-p", help="2013, 2013-Q1, 2013-03 or A..B, local to each account.")
    ],
    price: Annotated[
        list[str] | None,
        typer.Option("--price", help="CHARGE=JSON: the price that a charge would have; may be repeated."),
    ] = None,
    to_plan: Annotated[
        str | None, typer.Option("--to-plan", help="Plan that the subscriptions would be on: CODE or CODE:VERSION.")
    ] = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan-file", "-f", help="YAML or JSON of a plan that is not published.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    plan: Annotated[str | None, typer.Option("--plan", help="Only subscriptions on this plan.")] = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Another price or plan over a past period's real usage: before, after, difference, who would pay less and more.

    It writes nothing. --json prints all subscriptions, the table the first and last of them.
    """
    from deploy.cli.output import StepsBar, console, print_json, say, table
    from rating.whatif import ScenarioError
    from rating.whatif import simulate as simulated
    from schemas.clickhouse.client import connect
    from schemas.values.instants import micros

    scenario = _scenario(price or [], to_plan, plan_file, account, plan)
    settings = connection(namespace)
    view = declared(settings)
    client = connect(settings)
    try:
        with StepsBar() as bar:
            found = simulated(client, view, scenario, period, micros(datetime.now(UTC)), bar)
    except ScenarioError as error:
        raise Failure(f"{error.place}: {error}", USAGE) from None
    finally:
        client.close()
    if as_json:
        print_json({"namespace": settings.namespace, **found.to_json()})
        return
    shown = found.to_json(_SHOWN)
    rows = [
        (
            one["account_id"],
            one["subscription"],
            one["currency"],
            one["before"],
            one["after"],
            one["difference"],
            one["pays"],
        )
        for one in shown["subscriptions"]
    ]
    amounts = ("before", "after", "difference")
    columns = ("account", "subscription", "currency", *amounts, "pays")
    if rows:
        console().print(table(f"{period} in {settings.namespace}", columns, rows, right=amounts))
    for one in shown["totals"]:
        say(
            f"{one['currency']}: {one['before']} before, {one['after']} after, difference {one['difference']}; of {one['subscriptions']} "
            f"subscriptions {one['pay_less']} would pay less, {one['pay_more']} more, {one['pay_the_same']} the same"
        )
    if shown["left_out"]:
        say(f"{shown['left_out']} subscriptions between those are not shown; --json prints all")
    for problem in found.problems:
        say(f"not compared: {problem}")
    if not rows and not found.problems:
        say(f"no billing period of these subscriptions begins in {period} and has ended")


def _scenario(
    prices: list[str], to_plan: str | None, plan_file: Path | None, account: str | None, plan: str | None
) -> Scenario:
    from rating.whatif import Scenario
    from schemas.values.json_text import exact

    wanted: dict[str, Any] = {}
    for text in prices:
        charge, equals, written = text.partition("=")
        try:
            wanted[charge] = exact(written) if equals else None
        except ValueError as error:
            raise Failure(f"--price {charge}: {error}", USAGE) from None
        if not isinstance(wanted[charge], dict):
            raise Failure(
                '--price: write CHARGE=JSON, e.g. calls=\'{"model": "per_unit", "unit_amount": "0.02"}\'', USAGE
            )
    if plan_file is not None:
        if to_plan is not None:
            raise Failure("--to-plan and --plan-file exclude each other; give one of them", USAGE)
        return Scenario(wanted, _plan(plan_file), None, account, plan)
    code, _, version = (to_plan or "").partition(":")
    if version and not version.isdecimal():
        raise Failure(f"--to-plan {to_plan}: the version is no number", USAGE)
    return Scenario(wanted, code or None, int(version) if version else None, account, plan)


def _plan(file: Path) -> Plan:
    from schemas.catalog.models import Plan

    return Plan.model_validate(_read(file, "plan"))


def _meter(file: Path) -> Meter:
    from schemas.catalog.models import Meter

    return Meter.model_validate(_read(file, "meter"))


def _read(file: Path, kind: str) -> Any:
    """The model's body: the whole document, or the only entry of its list in a catalog document. Raises Failure."""
    from ingest.catalog.document import DocumentError, load_document
    from ingest.catalog.entries import read_model

    try:
        document = load_document(file.read_bytes())
    except DocumentError as error:
        raise Failure(f"{file}: {error}", USAGE) from None
    listed = document.get(f"{kind}s")
    if listed is not None:
        if not isinstance(listed, list) or len(listed) != 1:
            raise Failure(f"{file}: give one {kind}, not {len(listed) if isinstance(listed, list) else 'none'}", USAGE)
        document = listed[0]
    faults: list[Any] = []
    model = read_model(kind, document, "$", faults)
    if model is None:
        raise Failure("\n".join(f"{file}: {fault.path}: {fault.detail}" for fault in faults), USAGE)
    return json.loads(model.model_dump_json())


@profile_app.command("try")
def try_profile(
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON of a meter with the draft profiles.")],
    period: Annotated[str, typer.Option("--period", "-p", help="2013, 2013-Q1, 2013-03, 2013-03-10 or A..B.")],
    tz: Annotated[
        str, typer.Option("--tz", help="IANA time zone of the dates; the account's where one is named, else UTC.")
    ] = "",
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account's events.")] = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a draft meter on past events before it is published: how many match, what total, by account. It writes
    nothing."""
    from deploy.cli.output import StepsBar, console, print_json, say, table
    from rating.periods import parse_range, parse_zone
    from rating.whatif.draft import try_meter
    from schemas.clickhouse.client import connect

    meter = _meter(file)
    settings = connection(namespace)
    view = declared(settings)
    try:
        zone = parse_zone(tz or ("UTC" if account is None else view.time_zone(account)))
        interval = parse_range(period, zone)
    except ValueError as error:
        raise Failure(str(error), USAGE) from None
    client = connect(settings)
    try:
        with StepsBar() as bar:
            found = try_meter(client, view, meter, interval, account_id=account, on_progress=bar)
    finally:
        client.close()
    if as_json:
        print_json({"namespace": settings.namespace, "time_zone": zone.key, **found.to_json(10_000)})
        return
    say(
        f"{found.events} events {found.event_name} from {interval.start.astimezone(zone).isoformat()} to {interval.end.astimezone(zone).isoformat()}"
    )
    for one in found.to_json(_SHOWN)["profiles"]:
        unusable = ", ".join(f"{count} {reason}" for reason, count in one["unmeterable"].items())
        told = f"{one['profile']}: {one['matched']} match, {one['not_matched']} do not" + (
            f", {unusable}" if unusable else ""
        )
        now = one["current"]
        said = f"; now {now['quantity']} from {now['events']} events" if now else "; not published yet"
        say(f"{told}; {one['aggregation']} {one['quantity']} {one['unit']}".rstrip() + said)
        rows = [(item["account_id"], item["events"], item["quantity"]) for item in one["accounts"]]
        if rows:
            console().print(table("", ("account", "events", "quantity"), rows, right=("events", "quantity")))
        if one["accounts_left_out"]:
            say(f"and {one['accounts_left_out']} more accounts; --json prints them")
