"""``weir webhook``: where a namespace's invoices are sent, its secret, and what became of its messages."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, connection, http
from deploy.cli.errors import Failure

app = typer.Typer(
    help="The namespace's webhook: each version of an invoice, signed, at least once.", no_args_is_help=True
)


@app.command("set")
def set_url(
    url: Annotated[str, typer.Argument(help="https://host/path")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send what becomes of invoices from now on there. What it said before of events and rotation stays."""
    _change(namespace, lambda webhook: {**(webhook or {}), "url": url}, f"webhook set to {url}", as_json)


@app.command()
def remove(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Send nothing any longer. What waits is given up."""
    _change(namespace, lambda _: None, "webhook removed", as_json)


@app.command()
def enable(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Go on after `weir webhook disable`; what waits is sent."""
    _change(namespace, lambda webhook: {**_required(webhook), "enabled": True}, "webhook enabled", as_json)


@app.command()
def disable(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Send nothing for the time being; what comes waits."""
    _change(namespace, lambda webhook: {**_required(webhook), "enabled": False}, "webhook disabled", as_json)


@app.command()
def rotate(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Make a new secret. The old one signs beside it for WEIR_WEBHOOK_OVERLAP_SECONDS."""
    present = _get("/v1/webhooks/secret", namespace)["rotation"]
    _change(
        namespace, lambda webhook: {**_required(webhook), "rotation": present + 1},
        "new secret: `weir webhook secret` shows it", as_json,
    )  # fmt: skip


@app.command()
def secret(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """The secret that receivers verify with: whsec_…"""
    from deploy.cli.output import print_json

    found = _get("/v1/webhooks/secret", namespace)
    if as_json:
        print_json(found)
    else:
        typer.echo(found["secret"])


@app.command("test")
def ping(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Send a signed webhook.ping now. Exit code 1 where the receiver does not take it."""
    from deploy.cli.output import print_json, say

    with http(connection(namespace), "rating") as client:
        found = checked(client.post("/v1/webhooks/test"))
    if as_json:
        print_json(found)
    elif found["delivered"]:
        say(f"{found['url']} answered {found['status']} after {found['seconds']} s")
    if not found["delivered"]:
        if as_json:
            raise typer.Exit(1)
        raise Failure(f"{found['url']} did not take it: {found['error']}")


@app.command()
def status(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """How deliveries stand. Exit code 1 where some are given up, or nobody delivers."""
    from deploy.cli.output import print_json, say

    found = _get("/v1/webhooks", namespace)
    if as_json:
        print_json(found)
    else:
        for line in _lines(found):
            say(line)
    if found["given_up"] or (found["webhook"] is not None and not found["delivering"]):
        raise typer.Exit(1)


@app.command("deliveries")
def list_deliveries(
    state: Annotated[str | None, typer.Option(help="Only waiting, delivered or given_up.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Messages, the newest first."""
    from deploy.cli.output import console, print_json, table

    found = _get("/v1/webhooks/deliveries", namespace, limit=limit, **({"state": state} if state else {}))["deliveries"]
    if as_json:
        print_json(found)
        return
    columns = ("message_id", "type", "state", "attempts", "status", "last_attempt", "next_try", "error")
    rows = [[one[name] for name in columns] for one in found]
    console().print(table("", columns, rows, right=("attempts", "status")))


@app.command()
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
    asked = {"invoice_id": invoice, "since": since, "given_up": given_up}
    with http(connection(namespace), "rating") as client:
        found = checked(client.post("/v1/webhooks/replay", json=asked))
    if as_json:
        print_json(found)
    else:
        say(
            f"{found['messages']} message{'' if found['messages'] == 1 else 's'} will be sent again ({found['replay']})"
        )


def _get(path: str, namespace: str | None, **params: Any) -> dict[str, Any]:
    with http(connection(namespace), "rating") as client:
        found: dict[str, Any] = checked(client.get(path, params=params))
    return found


def _required(webhook: dict[str, Any] | None) -> dict[str, Any]:
    if webhook is None:
        raise Failure("there is no webhook; set one with `weir webhook set URL`")
    return webhook


def _change(namespace: str | None, change: Any, told: str, as_json: bool) -> None:
    """The next version of the namespace's settings, on the one that was read."""
    from deploy.cli.output import print_json, say

    settings = connection(namespace)
    with http(settings, "gateway") as client:
        path = f"/v1/namespaces/{quote(settings.namespace, safe='')}"
        answer = client.get(path)
        found = checked(answer)
        body = found | {"webhook": change(found.get("webhook"))}
        stands = checked(client.put(path, json=body, headers={"if-match": answer.headers["etag"]}))
    if as_json:
        print_json(stands["webhook"])
    else:
        say(f"{settings.namespace}: {told}")


def _lines(found: dict[str, Any]) -> list[str]:
    webhook = found["webhook"]
    if webhook is None:
        lines = [f"{found['namespace']} has no webhook: set one with `weir webhook set URL`"]
    else:
        lines = [
            f"{webhook['url']}   {'enabled' if webhook['enabled'] else 'disabled'}, since {webhook['since']}, rotation {webhook['rotation']}"
        ]
        lines.append(f"sent: {', '.join(webhook['events'])}")
        if not found["delivering"]:
            lines.append("nobody delivers: `python -m rating.webhooks` does not run; `weir status` tells")
    lines.append(f"{found['delivered']} delivered, {found['waiting']} waiting, {found['given_up']} given up")
    if found["waiting"]:
        lines.append(f"oldest since {found['oldest_waiting']}, next try {found['next_try'] or 'now'}")
    for name, text in (("last_success", "last success"), ("last_failure", "last failure")):
        one = found[name]
        if one is not None:
            what = f"{one['message_id']} ({one['type']})"
            when = one["last_attempt"] if name == "last_success" else f"{one['refused_at']}: {one['error']}"
            lines.append(f"{text}: {what} at {when}")
    if found["given_up"]:
        lines.append("send again what was given up: `weir webhook replay --given-up`")
    return lines
