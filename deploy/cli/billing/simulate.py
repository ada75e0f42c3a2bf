"""``weir simulate`` and ``weir profile try``: what if. Both only read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy.cli.connection import READ_KEY, JsonOption, NamespaceOption, answered, services
from deploy.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from ingest.catalog.document import Fault
    from schemas.values.json_text import JsonObject

profile_app = typer.Typer(no_args_is_help=True, help="Ways of measuring a meter's events.", rich_markup_mode=None)
_SHOWN: Final = 20
_ALL: Final = 1_000_000
_SECONDS: Final = 900.0
_MAX_ACCOUNTS: Final = 10_000
_OPTIONS: Final = {
    "period": "--period", "to_plan": "--to-plan", "to_version": "--to-plan", "account_id": "--account",
    "time_zone": "--tz", "time_zone, period": "--tz, --period",
}  # fmt: skip


def simulate(
    *,
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
    import msgspec

    from deploy.cli.output import console, print_json, say, table

    body = scenario(price or [], to_plan, plan_file, account, plan)
    body |= {"period": period, "limit": _ALL if as_json else _SHOWN}
    asked_of = services(namespace)
    with asked_of.http("rating", timeout=_SECONDS) as client:
        # msgspec writes a decimal as text, so that no amount passes through a float on its way.
        response = client.post(
            "/v1/simulations", content=msgspec.json.encode(body), headers={"content-type": "application/json"}
        )
    simulation: JsonObject = answered(response, _OPTIONS)
    if as_json:
        print_json(simulation)
        return
    amounts = ("before", "after", "difference")
    members = ("account_id", "subscription", "currency", *amounts, "pays")
    rows = [[compared[name] for name in members] for compared in simulation["subscriptions"]]
    if rows:
        columns = ("account", *members[1:])
        console().print(table(f"{period} in {asked_of.namespace}", columns, rows, right=amounts))
    for total in simulation["totals"]:
        say(
            f"{total['currency']}: {total['before']} before, {total['after']} after, difference {total['difference']};"
            f" of {total['subscriptions']} subscriptions {total['pay_less']} would pay less, {total['pay_more']} more,"
            f" {total['pay_the_same']} the same"
        )
    if simulation["left_out"]:
        say(f"{simulation['left_out']} subscriptions between those are not shown; --json prints all")
    for problem in simulation["problems"]:
        say(f"not compared: {problem}")
    if not rows and not simulation["problems"]:
        say(f"no billing period of these subscriptions begins in {period} and has ended")


def scenario(
    prices: list[str], to_plan: str | None, plan_file: Path | None, account: str | None, plan: str | None
) -> JsonObject:
    """What would be different, as POST /v1/simulations takes it. Raises Failure (code 2)."""
    from schemas.values.json_text import exact

    by_charge: JsonObject = {}
    for text in prices:
        charge, equals, written = text.partition("=")
        try:
            by_charge[charge] = exact(written) if equals else None
        except ValueError as error:
            raise Failure(f"--price {charge}: {error}", USAGE) from None
        if not isinstance(by_charge[charge], dict):
            raise Failure(
                '--price: write CHARGE=JSON, e.g. calls=\'{"model": "per_unit", "unit_amount": "0.02"}\'', USAGE
            )
    body: JsonObject = {"prices": by_charge, "account_id": account, "plan": plan}
    if plan_file is not None:
        if to_plan is not None:
            raise Failure("--to-plan and --plan-file exclude each other; give one of them", USAGE)
        return body | {"to_plan": _read(plan_file, "plan")}
    code, _, version = (to_plan or "").partition(":")
    if version and not version.isdecimal():
        raise Failure(f"--to-plan {to_plan}: the version is no number", USAGE)
    return body | {"to_plan": code or None, "to_version": int(version) if version else None}


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
    faults: list[Fault] = []
    model = read_model(kind, document, "$", faults)
    if model is None:
        raise Failure("\n".join(f"{file}: {fault.path}: {fault.detail}" for fault in faults), USAGE)
    return json.loads(model.model_dump_json())


@profile_app.command("try", epilog=f"{READ_KEY} At most 1,000,000 events at once.")
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
    from deploy.cli.output import console, print_json, say, table
    from schemas.values.instants import parse_rfc3339
    from schemas.values.time_zones import parse_zone

    body: JsonObject = {
        "meter": _read(file, "meter"),
        "period": period,
        "time_zone": tz or None,
        "account_id": account,
        "limit": _MAX_ACCOUNTS if as_json else _SHOWN,
    }
    with services(namespace).http("rating", timeout=_SECONDS) as client:
        trial: JsonObject = answered(client.post("/v1/profiles/try", json=body), _OPTIONS)
    if as_json:
        print_json(trial)
        return
    zone = parse_zone(trial["time_zone"])
    start, end = (parse_rfc3339(trial[edge]).astimezone(zone).isoformat() for edge in ("from", "to"))
    say(f"{trial['events']} events {trial['event_name']} from {start} to {end}")
    for profile in trial["profiles"]:
        unusable = "".join(f", {count} {reason}" for reason, count in profile["unmeterable"].items())
        matches = f"{profile['profile']}: {profile['matched']} match, {profile['not_matched']} do not{unusable}"
        now = profile["current"]
        published = f"; now {now['quantity']} from {now['events']} events" if now else "; not published yet"
        measured = f"{profile['aggregation']} {profile['quantity']} {profile['unit']}".rstrip()
        say(f"{matches}; {measured}{published}")
        columns = ("account", "events", "quantity")
        rows = [(usage["account_id"], usage["events"], usage["quantity"]) for usage in profile["accounts"]]
        if rows:
            console().print(table("", columns, rows, right=columns[1:]))
        if profile["accounts_left_out"]:
            say(f"and {profile['accounts_left_out']} more accounts; --json prints them")
