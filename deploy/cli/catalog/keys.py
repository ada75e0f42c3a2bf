"""``weir key create|list|revoke``: API keys of a namespace."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, connection, http

app = typer.Typer(help="API keys of a namespace.", no_args_is_help=True)


@app.command()
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

    wanted: dict[str, Any] = {"name": name, "scopes": scope} | ({"expires_at": expires} if expires else {})
    with http(connection(namespace), "gateway") as client:
        made = checked(client.post("/v1/api-keys", json=wanted))
    if as_json:
        print_json(made)
        return
    typer.echo(f"{made['id']}: keep it now, it is not shown again; revoke it with `weir key revoke`", err=True)
    typer.echo(made["key"])


@app.command("list")
def list_keys(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """All keys, revoked ones too; never their secrets."""
    from deploy.cli.output import console, print_json, table

    keys: list[dict[str, Any]] = []
    cursor: str | None = ""
    with http(connection(namespace), "gateway") as client:
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


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id, as `weir key list` shows it: key_…")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a key from now on; every process knows within a second."""
    from urllib.parse import quote

    from deploy.cli.output import print_json, say

    with http(connection(namespace), "gateway") as client:
        answer = client.delete(f"/v1/api-keys/{quote(key_id, safe='')}")
        if not answer.is_success:
            checked(answer)
    if as_json:
        print_json({"revoked": key_id})
    else:
        say(f"{key_id} is revoked")


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return f"revoked {key['revoked_at']} by {key['revoked_by']}"
    return f"until {key['expires_at']}" if key["expires_at"] else "in force"
