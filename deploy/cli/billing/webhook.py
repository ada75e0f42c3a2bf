"""``weir webhook``: where a namespace's invoices are sent, its secret, and what became of its messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from deploy.cli.connection import ADMIN_KEY, READ_KEY, JsonOption, NamespaceOption, checked, services
from deploy.cli.errors import Failure

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject

app = typer.Typer(
    help="The namespace's webhooks: each version of an invoice, and alerts, signed, at least once.",
    no_args_is_help=True,
)
NameOption = Annotated[str, typer.Option("--name", help="One of several webhooks, by its code; else the one without.")]


@app.command("set", epilog=ADMIN_KEY)
def set_url(
    url: Annotated[str, typer.Argument(help="https://host/path")],
    event: Annotated[
        list[str] | None, typer.Option("--event", help="Send only these types; again for each, e.g. usage.alert.fired.")
    ] = None,
    name: NameOption = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send what becomes of invoices from now on there. What it said before of events and rotation stays."""
    settings = {"url": url} | ({"events": event} if event else {})
    _change(namespace, name, lambda webhook: {**(webhook or {}), **settings}, f"webhook set to {url}", as_json)


@app.command(epilog=ADMIN_KEY)
def remove(name: NameOption = "", namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Send nothing any longer. What waits is given up."""
    _change(namespace, name, lambda _: None, "webhook removed", as_json)


@app.command(epilog=ADMIN_KEY)
def enable(name: NameOption = "", namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Go on after `weir webhook disable`; what waits is sent."""
    _change(namespace, name, lambda webhook: {**_required(webhook), "enabled": True}, "webhook enabled", as_json)


@app.command(epilog=ADMIN_KEY)
def disable(name: NameOption = "", namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Send nothing for the time being; what comes waits."""
    _change(namespace, name, lambda webhook: {**_required(webhook), "enabled": False}, "webhook disabled", as_json)


@app.command(epilog=ADMIN_KEY)
def rotate(name: NameOption = "", namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Make a new secret. The old one signs beside it for WEIR_WEBHOOK_OVERLAP_SECONDS."""
    rotation = _get("/v1/webhooks/secret", namespace, webhook=name)["rotation"] + 1
    done = "new secret: `weir webhook secret` shows it"
    _change(namespace, name, lambda webhook: {**_required(webhook), "rotation": rotation}, done, as_json)


@app.command(epilog=ADMIN_KEY)
def secret(name: NameOption = "", namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """The secret that receivers verify with: whsec_…"""
    from deploy.cli.output import print_json

    answer = _get("/v1/webhooks/secret", namespace, webhook=name)
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer["secret"])


@app.command("test", epilog=ADMIN_KEY)
def ping(name: NameOption = "", namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Send a signed webhook.ping now. Exit code 1 where the receiver does not take it."""
    from deploy.cli.output import print_json, say

    with services(namespace).http("rating") as client:
        attempt: JsonObject = checked(client.post("/v1/webhooks/test", params={"webhook": name}))
    if as_json:
        print_json(attempt)
    elif attempt["delivered"]:
        say(f"{attempt['url']} answered {attempt['status']} after {attempt['seconds']} s")
    if not attempt["delivered"]:
        if as_json:
            raise typer.Exit(1)
        raise Failure(f"{attempt['url']} did not take it: {attempt['error']}")


@app.command(epilog=READ_KEY)
def status(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """How deliveries stand. Exit code 1 where some are given up, or nobody delivers."""
    from deploy.cli.output import print_json, say

    deliveries = _get("/v1/webhooks", namespace)
    if as_json:
        print_json(deliveries)
    else:
        for line in _lines(deliveries):
            say(line)
    hooked = deliveries["webhook"] is not None or deliveries["webhooks"]
    if deliveries["given_up"] or (hooked and not deliveries["delivering"]):
        raise typer.Exit(1)


@app.command("deliveries", epilog=READ_KEY)
def list_deliveries(
    state: Annotated[str | None, typer.Option(help="Only waiting, delivered or given_up.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Messages to the webhook and what became of each, the newest first."""
    from deploy.cli.output import console, print_json, table

    filters = {"state": state} if state else {}
    deliveries: list[JsonObject] = _get("/v1/webhooks/deliveries", namespace, limit=str(limit), **filters)["deliveries"]
    if as_json:
        print_json(deliveries)
        return
    columns = ("message_id", "type", "state", "attempts", "status", "last_attempt", "next_try", "error")
    rows = [[delivery[name] for name in columns] for delivery in deliveries]
    console().print(table("", columns, rows, right=("attempts", "status")))


@app.command(epilog=ADMIN_KEY)
def replay(
    invoice: Annotated[str | None, typer.Option(help="Only versions of this invoice.")] = None,
    since: Annotated[str | None, typer.Option(help="Only versions from this RFC 3339 instant on.")] = None,
    given_up: Annotated[bool, typer.Option("--given-up", help="Only those that were given up.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send versions again, under the ids that they had; also those of before there was a webhook."""
    from deploy.cli.output import print_json, say

    if invoice is None and since is None and not given_up:
        raise typer.BadParameter("say which versions: --invoice, --since or --given-up")
    versions = {"invoice_id": invoice, "since": since, "given_up": given_up}
    with services(namespace).http("rating") as client:
        queued: JsonObject = checked(client.post("/v1/webhooks/replay", json=versions))
    if as_json:
        print_json(queued)
    else:
        plural = "" if queued["messages"] == 1 else "s"
        say(f"{queued['messages']} message{plural} will be sent again ({queued['replay']})")


def _get(path: str, namespace: str | None, **parameters: str) -> JsonObject:
    with services(namespace).http("rating") as client:
        answer: JsonObject = checked(client.get(path, params=parameters))
    return answer


def _required(webhook: JsonObject | None) -> JsonObject:
    if webhook is None:
        raise Failure("there is no webhook; set one with `weir webhook set URL`")
    return webhook


def _change(
    namespace: str | None,
    name: str,
    change: Callable[[JsonObject | None], JsonObject | None],
    done: str,
    as_json: bool,
) -> None:
    """Publish the next version of the namespace's settings: those that stand, with the webhook of this code changed."""
    from deploy.cli.output import print_json, say

    asked_of = services(namespace)
    with asked_of.http("gateway") as client:
        path = f"/v1/namespaces/{quote(asked_of.namespace, safe='')}"
        answer = client.get(path)
        present: JsonObject = checked(answer)
        body = present | _changed(present, name, change)
        changed: JsonObject = checked(client.put(path, json=body, headers={"if-match": answer.headers["etag"]}))
    if as_json:
        named = {webhook["code"]: webhook for webhook in changed.get("webhooks", ())}
        print_json(named.get(name) if name else changed["webhook"])
    else:
        say(f"{asked_of.namespace}: {done}")


def _changed(present: JsonObject, name: str, change: Callable[[JsonObject | None], JsonObject | None]) -> JsonObject:
    if not name:
        return {"webhook": change(present.get("webhook"))}
    named: JsonObject = {webhook["code"]: webhook for webhook in present.get("webhooks", ())}
    webhook = change(named.pop(name, None))
    return {"webhooks": [*named.values(), *([] if webhook is None else [{**webhook, "code": name}])]}


def _settings(webhook: JsonObject) -> tuple[str, str]:
    state = "enabled" if webhook["enabled"] else "disabled"
    name = f"{webhook['code']}: " if webhook["code"] else ""
    first = f"{name}{webhook['url']}   {state}, since {webhook['since']}, rotation {webhook['rotation']}"
    return first, f"sent: {', '.join(webhook['events'])}"


def _lines(status: JsonObject) -> list[str]:
    hooks = [webhook for webhook in (status["webhook"], *status["webhooks"]) if webhook is not None]
    if not hooks:
        lines = [f"{status['namespace']} has no webhook: set one with `weir webhook set URL`"]
    else:
        lines = [line for webhook in hooks for line in _settings(webhook)]
        if not status["delivering"]:
            lines.append("nobody delivers: `python -m rating.webhooks` does not run; `weir status` tells")
    lines.append(f"{status['delivered']} delivered, {status['waiting']} waiting, {status['given_up']} given up")
    if status["waiting"]:
        lines.append(f"oldest since {status['oldest_waiting']}, next try {status['next_try'] or 'now'}")
    if (success := status["last_success"]) is not None:
        lines.append(f"last success: {success['message_id']} ({success['type']}) at {success['last_attempt']}")
    if (failure := status["last_failure"]) is not None:
        message = f"{failure['message_id']} ({failure['type']})"
        lines.append(f"last failure: {message} at {failure['refused_at']}: {failure['error']}")
    if status["given_up"]:
        lines.append("send again what was given up: `weir webhook replay --given-up`")
    return lines
