"""``weir explain``: how a line of an invoice came about, down to the events behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, refuse, services
from deploy.cli.errors import FAILED

if TYPE_CHECKING:
    import httpx
    import msgspec
    from rich.console import RenderableType

    from schemas.values.json_text import JsonObject

_PAGE: Final = 1000


def explain(
    invoice_id: Annotated[str, typer.Argument(metavar="INVOICE", help="An id that `weir invoices` shows.")],
    line: Annotated[int, typer.Argument(min=1, metavar="LINE", help="The line's number on the invoice: 1, 2, …")],
    events: Annotated[bool, typer.Option("--events", help="The events behind the quantity, all pages.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="With --events: also those that were considered and do not decide.")
    ] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """How a line came about: profile versions, period, checkpoint, quantity by day, steps, rounding.

    Exit code 1 where the records no longer give the quantity that was billed.
    """
    from deploy.cli.output import console

    path = f"/v1/invoices/{quote(invoice_id, safe='')}/lines/{line}/explain"
    with services(namespace).http("rating") as client:
        if events:
            shown = list(_events(client, f"{path}/events", everything=everything))
            zone = "" if as_json or not shown else _time_zone(client, path)
            _print_events(shown, zone, as_json=as_json)
            return
        response = client.get(path)
    answer: JsonObject = answered(response)
    if as_json:
        _print_exactly(response.content)
    else:
        for part in parts(answer):
            console().print(part)
    if answer["quantity"] is not None and not answer["quantity"]["agrees"]:
        raise typer.Exit(FAILED)


def _time_zone(client: httpx.Client, path: str) -> str:
    zone: str = answered(client.get(path))["period"]["time_zone"]
    return zone


def _events(client: httpx.Client, path: str, *, everything: bool) -> Iterator[msgspec.Raw]:
    """The text of each event on all pages, in which its properties stand as they were sent."""
    import msgspec

    cursor: str | None = ""
    while cursor is not None:
        position = {"cursor": cursor} if cursor else {}
        answer = client.get(path, params={**position, "limit": _PAGE, "all": everything})
        refuse(answer)
        page = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])
        yield from msgspec.json.decode(page["events"], type=list[msgspec.Raw])
        cursor = msgspec.json.decode(page["next_cursor"], type=str | None)


def _print_events(events: list[msgspec.Raw], zone: str, *, as_json: bool) -> None:
    import msgspec

    from deploy.cli.output import console, say, table

    if as_json:
        _print_exactly(msgspec.json.encode(events))
        return
    if not events:
        say("no events stand behind this line")
        return
    rows = [_event_row(msgspec.json.decode(event, type=dict[str, msgspec.Raw])) for event in events]
    columns = ("key", f"time ({zone})", "quantity", "value", "dimensions", "properties")
    console().print(table("", columns, rows, right=("quantity",)))


def _event_row(event: dict[str, msgspec.Raw]) -> tuple[str, ...]:
    """An event's cells: texts as texts, JSON as it was sent."""
    import msgspec

    texts = (msgspec.json.decode(event[name], type=str) for name in ("idempotency_key", "local_time", "quantity"))
    value, dimensions, properties = (bytes(event[name]).decode() for name in ("value", "dimensions", "properties"))
    return (*texts, "" if value == "null" else value, "" if dimensions == "{}" else dimensions, properties)


def _print_exactly(text: bytes) -> None:
    """JSON in which an event's properties stand as they were sent."""
    import msgspec

    from deploy.cli.output import say

    say(msgspec.json.format(text, indent=2).decode())


def parts(answer: JsonObject) -> list[RenderableType]:
    """The explanation for people: sentences, then quantity by day, then the steps of the amount."""
    from rich.text import Text

    from deploy.cli.output import table

    period, checkpoint, rounding = answer["period"], answer["checkpoint"], answer["rounding"]
    line = f"line {answer['line']} ({answer['kind']}): {answer['description']}"
    run = f"run {checkpoint['run_id']}, catalog offset {checkpoint['catalog_offset']}"
    sentences = [
        f"invoice {answer['invoice_id']} version {answer['invoice_version']}, {line}",
        answer["sentence"],
        f"period  {period['local_start']} to {period['local_end']} (exclusive), {period['time_zone']}",
        f"        {period['start']} to {period['end']} UTC, {period['seconds']} s",
        f"as of   checkpoint {checkpoint['number']} ({checkpoint['as_of']}), {run}",
    ]
    for version in (answer["profile"] or {}).get("versions", ()):
        sentences.append(f"profile {answer['profile']['id']} version {version['version']}: {_rule(version)}")
    quantity = answer["quantity"]
    shown: list[RenderableType] = []
    if quantity is not None:
        sentences.append(f"events  {quantity['events_shown']} shown by --events: {quantity['rule']}")
        if answer["note"]:
            sentences.append(f"note    {answer['note']}")
        if not quantity["agrees"]:
            sentences.append(
                f"NOT AS BILLED: the records give {quantity['recomputed']} from {quantity['recomputed_events']} events;"
                " `weir verify --invoices` says more"
            )
        days = [(row["date"], row["quantity"], row["events"]) for row in quantity["by_day"] if row["events"]]
        note = "" if quantity["days_add_up"] else " (days do not add up for this aggregation)"
        if days:
            shown.append(
                table(f"quantity by local day{note}", ("day", "quantity", "events"), days, right=("quantity", "events"))
            )
        cells = [
            (_combination(row["values"]), row["quantity"], row["events"]) for row in quantity["by_dimensions"] or ()
        ]
        if cells:
            shown.append(
                table("quantity by dimensions", ("values", "quantity", "events"), cells, right=("quantity", "events"))
            )
    steps = [(step.get("text", ""), step.get("amount", "")) for step in answer["steps"]]
    if answer["adjustment"] is not None and answer["adjustment"]["before"] is not None:
        steps.append(("less what was billed before", f"-{answer['adjustment']['before']['amount']}"))
    steps.append((f"rounded {rounding['rule']}, to {rounding['digits']} digits", rounding["amount"]))
    shown.append(table("amount", ("step", rounding["currency"]), steps, right=(rounding["currency"],)))
    change = answer["adjustment"]
    if change is not None and change["before"] is not None:
        shown.append(_change(change))
    return [Text("\n".join(sentences)), *shown]


def _combination(values: dict[str, str | None]) -> str:
    return ", ".join(f"{name}={value or '(none)'}" for name, value in values.items())


def _change(change: JsonObject) -> RenderableType:
    from deploy.cli.output import table

    rows = [
        (name, total["checkpoint"], total["as_of"], total["quantity"], total["events"], total["amount"])
        for name, total in (("billed before", change["before"]), ("now", change["now"]))
    ]
    rows += [
        ("late event", "", event["timestamp"], event["quantity"], "", event["idempotency_key"])
        for event in change["late_events"]["events"]
    ]
    rows += [
        (
            "voided event",
            "",
            event["timestamp"],
            event["quantity"],
            "",
            f"{event['idempotency_key']}: {event['reason']} ({event['author']})",
        )
        for event in change["voided_events"]["events"]
    ]
    title = f"adjusts {change['adjusts']}"
    for what in ("late", "voided"):
        events = change[f"{what}_events"]
        if hidden := events["count"] - len(events["events"]):
            title += f"; and {hidden} more {what} events"
    columns = ("", "checkpoint", "as of, time", "quantity", "events", "amount, key")
    return table(title, columns, rows, right=("quantity", "events"))


def _rule(version: JsonObject) -> str:
    """What a profile version measures, in words."""
    of = f" of {'.'.join(version['property'])}" if version["property"] else ""
    conditions = [f"{'.'.join(part['property'])} {part['operator']} {part['value']}" for part in version["filters"]]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    span = ""
    if version["valid_from"] or version["valid_to"]:
        span = f", valid from {version['valid_from'] or 'the beginning'} to {version['valid_to'] or 'now on'}"
    return f"{version['aggregation']}{of} of events {version['event_name']!r}{where}{span}"
