"""``weir verify``, ``weir doctor``, ``weir ledger``: evidence that the numbers are right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, connection, declared, refuse, services
from deploy.cli.errors import FAILED

if TYPE_CHECKING:
    from rich.console import Group

    from schemas.values.json_text import JsonObject

_OPTIONS: Final = {"account_id": "ACCOUNT", "metric": "METER.PROFILE", "period": "--period", "time_zone": "--tz"}


def verify(
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only this one, or WEIR_NAMESPACE; all where none is given.")
    ] = None,
    invoices: Annotated[
        bool | None,
        typer.Option(
            "--invoices/--no-invoices",
            help="Only the invoices, each line also re-rated from the raw events by a path of its own; or all but"
            " them.",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            help="Of invoices look only at those whose period ends after this date or instant (UTC), with what they"
            " follow; events, records and windows are looked at as ever.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Recompute windows from records, records from events, invoices from records; print what differs, exit code 1.

    With --invoices every stored invoice is re-rated from the events' own properties, and compared with the topic
    usage.invoices and with the prices in the catalog. It writes nothing.

    With --since the earlier invoices are not looked at, and neither are the snapshot and the folds of invoices compared
    with the whole topic: run it without from time to time.
    """
    from deploy.cli.billing.close import parse_as_of
    from deploy.cli.output import StepsBar, print_json, say
    from rating.verify.verification import checks
    from rating.verify.verification import verify as recompute
    from schemas.values.instants import micros, rfc3339

    settings = connection(namespace)
    scope = settings.namespace if namespace or os.environ.get("WEIR_NAMESPACE") else None
    if scope is not None:
        declared(settings)
    since_us = micros(parse_as_of(since, "--since")) if since else None
    with StepsBar() as bar:
        differences = recompute(settings, namespace=scope, invoices=invoices, since_us=since_us, on_progress=bar)
    if as_json:
        print_json([difference.to_json() for difference in differences])
    else:
        for difference in differences:
            say(str(difference))
        where = scope or "all namespaces"
        say(
            f"{len(differences)} differences in {where}"
            if differences
            else f"{where}: {', '.join(checks(invoices, since_us))}: no difference"
        )
        if since_us is not None and invoices is not False:
            say(
                f"not looked at: invoices whose period ends by {rfc3339(since_us)}, unless later ones depend on them"
                "; the snapshot and the folds of invoices"
            )
    if differences:
        raise typer.Exit(FAILED)


def doctor(
    account: Annotated[str, typer.Argument(help="The account's id.")],
    metric: Annotated[str, typer.Argument(metavar="METER.PROFILE", help="Or METER where it has one profile.")],
    period: Annotated[
        str, typer.Option("--period", "-p", help="2013, 2013-Q1, 2013-03, 2013-03-10 or A..B; default: this month.")
    ] = "",
    tz: Annotated[str, typer.Option("--tz", help="IANA time zone of the dates; default: the account's.")] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """What became of an account's events for a metric: matched, refused by which filter, duplicate, outside the
    period."""
    from deploy.cli.output import print_json, say

    question = {"account_id": account, "metric": metric, "period": period, "time_zone": tz}
    parameters = {name: value for name, value in question.items() if value}
    media_type = "application/json" if as_json else "text/plain"
    with services(namespace).http("rating") as client:
        response = client.get("/v1/diagnosis", params=parameters, headers={"accept": media_type})
    if as_json:
        print_json(answered(response, _OPTIONS))
        return
    refuse(response, _OPTIONS)
    say(response.text)


def ledger(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """The books of events: what came, and what became of it. Exit code 1 where they do not balance."""
    from deploy.cli.output import console, print_json

    with services(namespace).http("rating") as client:
        books: JsonObject = answered(client.get("/v1/ledger"))
    if as_json:
        print_json(books)
    else:
        console().print(books_table(books))
    if not books["balanced"]:
        raise typer.Exit(FAILED)


def books_table(books: JsonObject) -> Group:
    """The books as an account: what was received, and each part of it below."""
    from deploy.cli.output import table

    rows = [(name, f"{books[key]:,}", what) for name, key, what in _BOOKS]
    verdict = "balanced" if books["balanced"] else "NOT balanced: events are under way, or `weir verify` says more"
    rows.append(
        ("", "", f"received = refused + accepted; accepted = metered + unmatched + duplicates + conflicts: {verdict}")
    )
    return table("", ("events", "count", ""), rows, right=("count",))


_BOOKS = (
    ("received", "received", "by every door"),
    ("  refused", "refused", "answered with an error, or refused in the inbox"),
    ("  accepted", "accepted", "durable in usage.events"),
    ("    metered", "metered", "counted, with at least one record"),
    ("      voided", "voided", "taken back since: `weir void`"),
    ("    unmatched", "unmatched", "counted, but no profile measures it"),
    ("    duplicates", "duplicates", "copies of an event that counted"),
    ("    conflicts", "conflicts", "the same key with other content"),
    ("lost", "lost", "at least so many acknowledged, but not in the log: `weir verify` says what to do"),
    ("given up", "given_up", "lost, and named as lost: `weir log show`"),
)
