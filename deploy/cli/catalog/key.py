"""``weir key create|list|revoke``: API keys of a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import ADMIN_KEY, JsonOption, NamespaceOption, checked, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject

app = typer.Typer(help="API keys of a namespace.", no_args_is_help=True)


@app.command(epilog=ADMIN_KEY)
def create(
    scope: Annotated[list[str], typer.Option("--scope", "-s", help="ingest, read, catalog or admin; repeat for more.")],
    name: Annotated[str, typer.Option(help="Whose key it is; shown in lists and as author of changes.")] = "",
    expires: Annotated[str | None, typer.Option(help="RFC 3339 instant after which it is refused.")] = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is printed once and cannot be read again: only its hash is stored.

    Without --json the key alone goes to standard output, the rest to standard error.
    """
    from deploy.cli.output import print_json

    body: JsonObject = {"name": name, "scopes": scope} | ({"expires_at": expires} if expires else {})
    with services(namespace).http("gateway") as client:
        created: JsonObject = checked(client.post("/v1/api-keys", json=body))
    if as_json:
        print_json(created)
        return
    typer.echo(f"{created['id']}: keep it now, it is not shown again; revoke it with `weir key revoke`", err=True)
    typer.echo(created["key"])


@app.command("list", epilog=ADMIN_KEY)
def list_keys(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """All keys, revoked ones too; never their secrets."""
    from deploy.cli.output import console, print_json, table

    keys: list[JsonObject] = []
    cursor: str | None = ""
    with services(namespace).http("gateway") as client:
        while cursor is not None:
            page = checked(client.get("/v1/api-keys", params={"limit": 1000, "cursor": cursor}))
            keys += page["items"]
            cursor = page["next_cursor"]
    if as_json:
        print_json(keys)
        return
    rows = [
        (key["id"], key["name"], ", ".join(key["scopes"]), key["created_at"], key["created_by"], _state(key))
        for key in keys
    ]
    console().print(table("", ("id", "name", "scopes", "created", "by", "state"), rows))


@app.command(epilog=ADMIN_KEY)
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id, as `weir key list` shows it: key_…")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a key from now on; every process knows within a second."""
    from urllib.parse import quote

    from deploy.cli.output import print_json, say

    with services(namespace).http("gateway") as client:
        answer = client.delete(f"/v1/api-keys/{quote(key_id, safe='')}")
        if not answer.is_success:
            checked(answer)
    if as_json:
        print_json({"revoked": key_id})
    else:
        say(f"{key_id} is revoked")


def _state(key: JsonObject) -> str:
    if key["revoked_at"]:
        return f"revoked {key['revoked_at']} by {key['revoked_by']}"
    return f"until {key['expires_at']}" if key["expires_at"] else "in force"
