"""``weir void``, ``weir correct``, ``weir voids``: events that were accepted by mistake, taken back or sent anew."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, Services, answered, refuse, services
from deploy.cli.errors import FAILED, USAGE, Failure
from deploy.cli.unknown_names import hint_accounts

if TYPE_CHECKING:
    import httpx

    from ingest.client import Client, VoidTaken
    from schemas.values.json_text import JsonObject

_WAIT_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.1
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
    from ingest.client import Refusal

    asked_of = services(namespace)
    asked_of.url("rating")  # which says what a void did: nothing is voided where nobody can be asked
    with _client(asked_of) as client:
        try:
            receipts = [client.void(key, reason, source) for key in keys]
        except Refusal as refusal:
            raise Failure(str(refusal), USAGE if refusal.status == HTTPStatus.NOT_FOUND else FAILED) from None
    effects = _effects(asked_of, receipts)
    if as_json:
        _print_json(receipts, effects)
    else:
        _say(receipts, effects)
    if any(map(_without_effect, effects)):
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
    from schemas.events.acceptance import same_content

    changes = _changes(properties, event)
    asked_of = services(namespace)
    asked_of.url("gateway")
    name = new_key or corrected_key(key)
    if name == key or len(name) > _MAX_KEY:
        raise Failure(f"--key: give a key of its own, of at most {_MAX_KEY} characters", USAGE)
    with asked_of.http("rating") as client:
        wrong = _copy(client, key, source)
        if wrong is None:
            raise Failure(f"no event with key {key!r} and source {source!r} counted in {asked_of.namespace}", FAILED)
        right = _right(wrong, changes, name, source)
        earlier = _copy(client, name, source)
    content = (right["event_name"], right["account_id"], bytes(right["properties"]).decode())
    if earlier is not None and not same_content(earlier.content, content):
        raise Failure(f"{key!r} was corrected before, otherwise, as {name!r}: correct that one, or give another --key")
    with _client(asked_of) as gateway:
        try:
            gateway.send([right])
        except Refusal as refusal:
            raise Failure(f"the correction was refused, and nothing is voided: {refusal}", USAGE) from None
        receipts = [] if wrong.voided else [gateway.void(key, reason, source)]
    effects = _effects(asked_of, receipts)
    done = not any(map(_without_effect, effects))
    if as_json:
        print_json({"corrected": key, "by": name, "voids": _list_json(receipts, effects)})
    else:
        _say(receipts, effects)
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


def _client(asked_of: Services) -> Client:
    from ingest.client import Client

    return Client(asked_of.url("gateway"), asked_of.key, asked_of.namespace)


def _without_effect(effect: JsonObject) -> bool:
    """Whether a void did not show in time, or its key means no event."""
    return effect["outcome"] in ("pending", "nothing_to_void")


@dataclass(frozen=True, slots=True)
class CountedCopy:
    """An event as it counted; ``timestamp``: RFC 3339; ``properties`` are JSON text, as the client sent them."""

    event_name: str
    account_id: str
    timestamp: str
    properties: str
    voided: bool

    @property
    def content(self) -> tuple[str, str, str]:
        """What two copies must agree on."""
        return self.event_name, self.account_id, self.properties


def _copy(client: httpx.Client, key: str, source: str) -> CountedCopy | None:
    """The copy of the key that counted last, None for none. Raises Failure."""
    import msgspec

    response = client.get("/v1/counted-event", params={"idempotency_key": key, "source": source})
    refuse(response)
    # Raw, so that no number is rounded on its way.
    event = msgspec.json.decode(response.content, type=dict[str, dict[str, msgspec.Raw] | None])["event"]
    if event is None:
        return None
    name, account, timestamp, voided = (
        msgspec.json.decode(event[field]) for field in ("event_name", "account_id", "timestamp", "voided")
    )
    return CountedCopy(name, account, timestamp, bytes(event["properties"]).decode(), voided)


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


def _right(wrong: CountedCopy, changes: JsonObject, key: str, source: str) -> JsonObject:
    """The event to send; properties stay JSON text, so that no number is rounded on its way."""
    import msgspec

    from schemas.values.json_text import canonical

    properties = canonical(changes["properties"]) if "properties" in changes else wrong.properties
    return {
        "event_name": changes.get("event_name", wrong.event_name),
        "account_id": changes.get("account_id", wrong.account_id),
        "timestamp": changes.get("timestamp", wrong.timestamp),
        "source": source,
        "idempotency_key": key,
        "properties": msgspec.Raw(properties.encode()),
    }


def _effects(asked_of: Services, receipts: Sequence[VoidTaken]) -> list[JsonObject]:
    """What each void did, once it is metered; ``pending`` where that did not show in time."""
    effects: list[JsonObject] = []
    deadline = time.monotonic() + _WAIT_SECONDS
    with asked_of.http("rating") as client:
        for receipt in receipts:
            url = f"/v1/voids/{receipt.generation}/{receipt.partition}/{receipt.offset}"
            effect = answered(client.get(url))
            while effect["outcome"] == "pending" and time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                effect = answered(client.get(url))
            effects.append(effect)
    return effects


def _say(receipts: Sequence[VoidTaken], effects: Sequence[JsonObject]) -> None:
    from deploy.cli.output import say

    for receipt, effect in zip(receipts, effects, strict=True):
        key, event = repr(receipt.idempotency_key), effect["event"]
        if effect["outcome"] == "pending":
            say(f"{key}: not metered within {_WAIT_SECONDS:g} s; `weir status` tells whether a worker runs")
        elif event is None:
            say(f"{key}: {effect['outcome'].replace('_', ' ')}: {effect['detail']}")
        else:
            profiles = ", ".join(event["profiles"]) or "no profile"
            say(f"{key}: voided {event['event_name']!r} of {event['account_id']} at {event['timestamp']} ({profiles})")


def _json(receipt: VoidTaken, effect: JsonObject) -> JsonObject:
    position = {"generation": receipt.generation, "partition": receipt.partition, "offset": receipt.offset}
    return {
        "idempotency_key": receipt.idempotency_key,
        "source": receipt.source,
        "author": receipt.author,
        "outcome": effect["outcome"],
        "detail": effect["detail"],
        "event": effect["event"],
        "void": position,
    }


def _list_json(receipts: Sequence[VoidTaken], effects: Sequence[JsonObject]) -> list[JsonObject]:
    return [_json(receipt, effect) for receipt, effect in zip(receipts, effects, strict=True)]


def _print_json(receipts: Sequence[VoidTaken], effects: Sequence[JsonObject]) -> None:
    from deploy.cli.output import print_json

    print_json(_list_json(receipts, effects))
