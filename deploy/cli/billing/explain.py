"""``weir explain``: how a line of an invoice came about, down to the events behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, connection
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from rating.explain import Subject
    from rating.explain.events import CountedEvent


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
    from rating.explain import Ledgers, NotExplained, read_subject
    from rating.explain import explain as explained
    from rating.verify.scope import open_scope

    settings = connection(namespace)
    scope = open_scope(settings, settings.namespace)
    try:
        ledgers = Ledgers(scope.catalog, scope.checkpoints)
        subject = read_subject(scope.client, ledgers, settings.namespace, invoice_id, line)
        if events:
            _print_events(subject, _events(scope.client, subject, everything), as_json)
            return
        answer = explained(scope.client, ledgers, subject)
    except NotExplained as error:
        raise Failure(str(error), USAGE) from None
    finally:
        scope.client.close()
    if as_json:
        _print_exactly(answer)
    else:
        for part in parts(answer):
            console().print(part)
    if answer["quantity"] is not None and not answer["quantity"]["agrees"]:
        raise typer.Exit(FAILED)


def _events(client: Any, subject: Subject, everything: bool) -> Iterator[CountedEvent]:
    from rating.explain.events import MAX_LIMIT, read_events

    cursor: str | None = None
    while subject.need is not None:
        page = read_events(client, subject.query, cursor=cursor, limit=MAX_LIMIT, everything=everything)
        yield from page.events
        cursor = page.next_cursor
        if cursor is None:
            return


def _print_events(subject: Subject, found: Iterator[CountedEvent], as_json: bool) -> None:
    from deploy.cli.output import console, say, table
    from rating.pricing import plain
    from schemas.values.instants import instant

    if as_json:
        _print_exactly([event.to_json(subject.zone) for event in found])
        return
    rows = [
        (
            event.idempotency_key, instant(event.us).astimezone(subject.zone).isoformat(), plain(event.quantity), event.value,
            event.dimensions, event.properties,
        )
        for event in found
    ]  # fmt: skip
    if not rows:
        say("no events stand behind this line")
        return
    columns = ("key", f"time ({subject.zone.key})", "quantity", "value", "dimensions", "properties")
    console().print(table("", columns, rows, right=("quantity",)))


def _print_exactly(value: Any) -> None:
    """JSON in which an event's properties stand as they were sent."""
    import msgspec

    from deploy.cli.output import say

    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def parts(answer: dict[str, Any]) -> list[Any]:
    """The explanation for people: sentences, then quantity by day, then the steps of the amount."""
    from rich.text import Text

    from deploy.cli.output import table

    period, checkpoint, rounding = answer["period"], answer["checkpoint"], answer["rounding"]
    told = [
        f"invoice {answer['invoice_id']} version {answer['invoice_version']}, line {answer['line']} ({answer['kind']}): {answer['description']}",
        answer["sentence"],
        f"period  {period['local_start']} to {period['local_end']} (exclusive), {period['time_zone']}",
        f"        {period['start']} to {period['end']} UTC, {period['seconds']} s",
        f"as of   checkpoint {checkpoint['number']} ({checkpoint['as_of']}), run {checkpoint['run_id']}, catalog offset {checkpoint['catalog_offset']}",
    ]
    for version in (answer["profile"] or {}).get("versions", ()):
        told.append(f"profile {answer['profile']['id']} version {version['version']}: {_rule(version)}")
    quantity = answer["quantity"]
    shown: list[Any] = []
    if quantity is not None:
        told.append(f"events  {quantity['events_shown']} shown by --events: {quantity['rule']}")
        if answer["note"]:
            told.append(f"note    {answer['note']}")
        if not quantity["agrees"]:
            told.append(
                f"NOT AS BILLED: the records give {quantity['recomputed']} from {quantity['recomputed_events']} events; "
                "`weir verify --invoices` says more"
            )
        days = [(row["date"], row["quantity"], row["events"]) for row in quantity["by_day"] if row["events"]]
        note = "" if quantity["days_add_up"] else " (days do not add up for this aggregation)"
        if days:
            shown.append(
                table(f"quantity by local day{note}", ("day", "quantity", "events"), days, right=("quantity", "events"))
            )
        cells = [
            (", ".join(f"{name}={value or '(none)'}" for name, value in row["values"].items()), row["quantity"], row["events"])
            for row in quantity["by_dimensions"] or ()
        ]  # fmt: skip
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
    return [Text("\n".join(told)), *shown]


def _change(change: dict[str, Any]) -> Any:
    from deploy.cli.output import table

    rows = [
        (name, one["checkpoint"], one["as_of"], one["quantity"], one["events"], one["amount"])
        for name, one in (("billed before", change["before"]), ("now", change["now"]))
    ]
    rows += [
        ("late event", "", event["timestamp"], event["quantity"], "", event["idempotency_key"])
        for event in change["late_events"]["events"]
    ]
    rows += [
        ("voided event", "", event["timestamp"], event["quantity"], "", f"{event['idempotency_key']}: {event['reason']} ({event['author']})")
        for event in change["voided_events"]["events"]
    ]  # fmt: skip
    title = f"adjusts {change['adjusts']}"
    for what in ("late", "voided"):
        if more := change[f"{what}_events"]["count"] - len(change[f"{what}_events"]["events"]):
            title += f"; and {more} more {what} events"
    columns = ("", "checkpoint", "as of, time", "quantity", "events", "amount, key")
    return table(title, columns, rows, right=("quantity", "events"))


def _rule(version: dict[str, Any]) -> str:
    """What a profile version measures, in words."""
    of = f" of {'.'.join(version['property'])}" if version["property"] else ""
    where = " and ".join(f"{'.'.join(one['property'])} {one['operator']} {one['value']}" for one in version["filters"])
    span = ""
    if version["valid_from"] or version["valid_to"]:
        span = f", valid from {version['valid_from'] or 'the beginning'} to {version['valid_to'] or 'now on'}"
    return f"{version['aggregation']}{of} of events {version['event_name']!r}{' where ' + where if where else ''}{span}"
