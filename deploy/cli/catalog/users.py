"""``weir users add|list|remove``: people who log in to the console by name and password."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import ADMIN_KEY, JsonOption, NamespaceOption, checked, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject

app = typer.Typer(help="Users of a namespace's console.", no_args_is_help=True)
UserArgument = Annotated[str, typer.Argument(help="The name that they log in with, e.g. an e-mail address.")]


@app.command(epilog=ADMIN_KEY)
def add(
    user: UserArgument,
    role: Annotated[
        str | None,
        typer.Option(help="viewer (looks), support (also holds drafts), billing (decides and changes) or admin."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name that people read.")] = None,
    keep_password: Annotated[bool, typer.Option("--keep-password", help="Of a user who is there.")] = False,
    end_sessions: Annotated[bool, typer.Option("--end-sessions", help="Log them out everywhere.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a user, or give one another role, name or password, which is asked for or read from standard input.

    Who is a user of several namespaces by one name and one password sees all of them after one login.
    """
    from urllib.parse import quote

    from deploy.cli.output import print_json, say

    body: JsonObject = {"end_sessions": end_sessions}
    body |= {field: value for field, value in (("role", role), ("name", name)) if value is not None}
    if not keep_password:
        body["password"] = _password()
    with services(namespace).http("gateway") as client:
        saved: JsonObject = checked(client.put(f"/v1/users/{quote(user, safe='')}", json=body))
    if as_json:
        print_json(saved)
    else:
        say(f"{saved['code']} may log in as {saved['role']}")


@app.command("list", epilog=ADMIN_KEY)
def list_users(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """All users; never their passwords."""
    from deploy.cli.connection import pages
    from deploy.cli.output import console, print_json, table

    with services(namespace).http("gateway") as client:
        users = [user for page in pages(client, "/v1/users", {"limit": "1000"}) for user in page["items"]]
    if as_json:
        print_json(users)
        return
    rows = [(user["code"], user["name"], user["role"], user["changed_at"], user["changed_by"]) for user in users]
    console().print(table("", ("user", "name", "role", "changed", "by"), rows))


@app.command(epilog=ADMIN_KEY)
def remove(user: UserArgument, namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Let a user in no more; their open sessions end within a second."""
    from urllib.parse import quote

    from deploy.cli.output import print_json, say

    with services(namespace).http("gateway") as client:
        answer = client.delete(f"/v1/users/{quote(user, safe='')}")
        if not answer.is_success:
            checked(answer)
    if as_json:
        print_json({"removed": user})
    else:
        say(f"{user} is removed")


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
