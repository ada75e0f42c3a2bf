"""``weir void``, ``weir correct``, ``weir voids``: events that were accepted by mistake, taken back or sent anew."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, connection, declared, services
from deploy.cli.errors import FAILED, USAGE, Failure
from deploy.cli.unknown_names import hint_accounts

if TYPE_CHECKING:
    from ingest.client import Client, VoidTaken
    from rating.voided_events import StoredEvent, VoidOutcome
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

_WAIT_SECONDS: Final = 60.0
_MAX_KEY: Final = 256
_CORRECTED: Final = re.compile(r"(.*)#corrected(?:-([1-9]\d{0,5}))?", re.DOTALL)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept with the event.")]
SourceOption = Annotated[str, typer.Option("--source", help="The event's source; none by default.")]


def void(
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="Idempotency keys of the events.")],
    reason: ReasonOption,
    source: SourceOption = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take accepted events back: they count no longer, and invoices follow as for late usage. Waits until that is
    metered.

    The keys stay used: a correction is sent under a key of its own (`weir correct`). Exit code 1 where a key means no
    event; an event that was voided before is fine.
    """
    settings = connection(namespace)
    declared(settings)
    with _client(namespace) as client:
        receipts = [client.void(key, reason, source) for key in keys]
    outcomes = _outcomes(settings, receipts)
    if as_json:
        _print_json(receipts, outcomes)
    else:
        _say(receipts, outcomes)
    if any(_without_effect(outcome) for outcome in outcomes):
        raise typer.Exit(FAILED)


def correct(
    *,
    key: Annotated[str, typer.Argument(help="The wrong event's idempotency key.")],
    reason: ReasonOption,
    properties: Annotated[
        str, typer.Option("--properties", help="The right properties, a JSON object, in place of all of them.")
    ] = "",
    event: Annotated[
        Path | None,
        typer.Option("--event", help="A file with a JSON object: fields of the event that are to be others."),
    ] = None,
    new_key: Annotated[str, typer.Option("--key", help="The correction's key; KEY#corrected by default.")] = "",
    source: SourceOption = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send an event anew with what is right, and void the wrong one. Doing it again changes nothing.

    What is not given is taken from the event as it counted. The right event is sent first, so where the gateway refuses
    it (too old, against its type's schema), nothing is changed.
    """
    from deploy.cli.output import print_json, say
    from ingest.client import Refusal
    from rating.voided_events import stored_event
    from schemas.clickhouse.client import connect
    from schemas.events.acceptance import same_content

    changes = _changes(properties, event)
    settings = connection(namespace)
    declared(settings)
    name = new_key or corrected_key(key)
    if name == key or len(name) > _MAX_KEY:
        raise Failure(f"--key: give a key of its own, of at most {_MAX_KEY} characters", USAGE)
    database = connect(settings)
    try:
        wrong = stored_event(database, settings.namespace, source, key)
        if wrong is None:
            raise Failure(f"no event with key {key!r} and source {source!r} counted in {settings.namespace}", FAILED)
        right = _right(wrong, changes, name, source)
        earlier = stored_event(database, settings.namespace, source, name)
    finally:
        database.close()
    content = (right["event_name"], right["account_id"], bytes(right["properties"]).decode())
    if earlier is not None and not same_content(earlier.content, content):
        raise Failure(f"{key!r} was corrected before, otherwise, as {name!r}: correct that one, or give another --key")
    with _client(namespace) as client:
        try:
            client.send([right])
        except Refusal as refusal:
            raise Failure(f"the correction was refused, and nothing is voided: {refusal}", USAGE) from None
        receipts = [] if wrong.voided else [client.void(key, reason, source)]
    outcomes = _outcomes(settings, receipts)
    done = not any(_without_effect(outcome) for outcome in outcomes)
    if as_json:
        print_json({"corrected": key, "by": name, "voids": _list_json(receipts, outcomes)})
    else:
        _say(receipts, outcomes)
        say(
            f"{name!r} counts in place of {key!r}"
            if done
            else f"{name!r} is sent, but {key!r} is not voided; try again"
        )
    if not done:
        raise typer.Exit(FAILED)


def voids(
    account: Annotated[str | None, typer.Option("--account", "-a", help="Only this account.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, max=1000, help="At most so many.")] = 100,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Voided events, newest void first: which, by whom, why."""
    from deploy.cli.output import console, print_json, say, table

    asked_of = services(namespace)
    account_filter = {"account_id": account} if account is not None else {}
    with asked_of.http("rating") as client:
        answer = answered(client.get("/v1/voided-events", params={"limit": limit, **account_filter}))
    voided: list[JsonObject] = answer["voided_events"]
    if as_json:
        print_json(voided)
    elif not voided:
        if account is not None:
            hint_accounts(asked_of, [account])
        say(f"no voided events in {asked_of.namespace}")
    else:
        names = ("voided_at", "idempotency_key", "event_name", "account_id", "timestamp", "reason", "author")
        console().print(table("", names, [[event[name] for name in names] for event in voided]))


def corrected_key(key: str) -> str:
    """The key of a correction, always the same: KEY#corrected, of that KEY#corrected-2, -3, …"""
    correction = _CORRECTED.fullmatch(key)
    return f"{key}#corrected" if correction is None else f"{correction[1]}#corrected-{int(correction[2] or 1) + 1}"


def _client(namespace: str | None) -> Client:
    from ingest.client import Client

    asked_of = services(namespace)
    return Client(asked_of.url("gateway"), asked_of.key, asked_of.namespace)


def _without_effect(outcome: VoidOutcome | None) -> bool:
    """Whether a void did not show in time, or its key means no event."""
    return outcome is None or outcome.what == "nothing_to_void"


def _changes(properties: str, event: Path | None) -> JsonObject:
    """Fields of the event that are to be others. Raises Failure."""
    from schemas.values.json_text import exact

    fields = ("event_name", "account_id", "timestamp", "properties")
    changes: JsonObject = {}
    for option, text in (("--event", event.read_text() if event is not None else ""), ("--properties", properties)):
        if text:
            try:
                value = exact(text)
            except ValueError as error:
                raise Failure(f"{option} is not JSON: {error}", USAGE) from None
            given = {"properties": value} if option == "--properties" else value
            if not isinstance(given, dict) or not isinstance(given.get("properties", {}), dict):
                raise Failure(f'{option}: not an object; write e.g. {{"seconds": 90}}', USAGE)
            changes |= given
    if unknown := sorted(changes.keys() - set(fields)):
        raise Failure(f"--event: {', '.join(unknown)} cannot be corrected; give {', '.join(fields)}", USAGE)
    if not changes:
        raise Failure(
            "say what is right: --properties '{…}', or --event FILE; to take it back for good: `weir void`", USAGE
        )
    return changes


def _right(wrong: StoredEvent, changes: JsonObject, key: str, source: str) -> JsonObject:
    """The event to send; properties stay JSON text, so that no number is rounded on its way."""
    import msgspec

    from schemas.values.instants import rfc3339
    from schemas.values.json_text import canonical

    properties = canonical(changes["properties"]) if "properties" in changes else wrong.properties
    return {
        "event_name": changes.get("event_name", wrong.event_name),
        "account_id": changes.get("account_id", wrong.account_id),
        "timestamp": changes.get("timestamp", rfc3339(wrong.timestamp_us)),
        "source": source,
        "idempotency_key": key,
        "properties": msgspec.Raw(properties.encode()),
    }


def _outcomes(settings: Settings, receipts: Sequence[VoidTaken]) -> list[VoidOutcome | None]:
    """What each void did, once it is metered; None where that did not show in time."""
    from rating.voided_events import outcome_of
    from schemas.clickhouse.client import connect
    from schemas.ledgers.checkpoints import read_progress

    outcomes: dict[int, VoidOutcome] = {}
    deadline = time.monotonic() + _WAIT_SECONDS
    client = connect(settings)
    try:
        while len(outcomes) < len(receipts) and time.monotonic() < deadline:
            progress = read_progress(client)
            for number, receipt in enumerate(receipts):
                if number in outcomes or progress.get((receipt.generation, receipt.partition), 0) <= receipt.offset:
                    continue
                position = (receipt.generation, receipt.partition, receipt.offset)
                if (outcome := outcome_of(client, settings.namespace, position)) is not None:
                    outcomes[number] = outcome
            if len(outcomes) < len(receipts):
                time.sleep(0.1)
    finally:
        client.close()
    return [outcomes.get(number) for number in range(len(receipts))]


def _say(receipts: Sequence[VoidTaken], outcomes: Sequence[VoidOutcome | None]) -> None:
    from deploy.cli.output import say

    for receipt, outcome in zip(receipts, outcomes, strict=True):
        key = repr(receipt.idempotency_key)
        if outcome is None:
            say(f"{key}: not metered within {_WAIT_SECONDS:g} s; `weir status` tells whether a worker runs")
        elif outcome.event is None:
            say(f"{key}: {outcome.what.replace('_', ' ')}: {outcome.detail}")
        else:
            event = outcome.event.to_json()
            profiles = ", ".join(event["profiles"]) or "no profile"
            say(f"{key}: voided {event['event_name']!r} of {event['account_id']} at {event['timestamp']} ({profiles})")


def _json(receipt: VoidTaken, outcome: VoidOutcome | None) -> JsonObject:
    event = None if outcome is None or outcome.event is None else outcome.event.to_json()
    position = {"generation": receipt.generation, "partition": receipt.partition, "offset": receipt.offset}
    return {
        "idempotency_key": receipt.idempotency_key,
        "source": receipt.source,
        "author": receipt.author,
        "outcome": "pending" if outcome is None else outcome.what,
        "detail": "" if outcome is None else outcome.detail,
        "event": event,
        "void": position,
    }


def _list_json(receipts: Sequence[VoidTaken], outcomes: Sequence[VoidOutcome | None]) -> list[JsonObject]:
    return [_json(receipt, outcome) for receipt, outcome in zip(receipts, outcomes, strict=True)]


def _print_json(receipts: Sequence[VoidTaken], outcomes: Sequence[VoidOutcome | None]) -> None:
    from deploy.cli.output import print_json

    print_json(_list_json(receipts, outcomes))
