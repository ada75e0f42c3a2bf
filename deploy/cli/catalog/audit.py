"""``weir audit``: who changed what in the catalog, when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, services

if TYPE_CHECKING:
    import httpx

    from schemas.values.json_text import JsonObject

_PAGE = 200


def audit(
    kind: Annotated[
        str | None, typer.Option("--kind", "-k", help="Only this kind: meter, plan, subscription …")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", "-c", help="Only entries of this code.")] = None,
    author: Annotated[
        str | None, typer.Option("--author", "-a", help="Only changes made with this key's name.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many changes.")] = 50,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who changed what in the catalog, when; the newest first."""
    from deploy.cli.output import print_json, say

    asked_of = services(namespace)
    filters = {name: value for name, value in (("kind", kind), ("code", code), ("author", author)) if value is not None}
    with asked_of.http("gateway") as client:
        changes = list(_changes(client, filters, limit))
    if as_json:
        print_json(changes)
        return
    for change in changes:
        for line in lines(change):
            say(line)
    if not changes:
        say(f"no such change in namespace {asked_of.namespace}")


def _changes(client: httpx.Client, filters: dict[str, str], limit: int) -> Iterator[JsonObject]:
    cursor = ""
    while limit > 0:
        parameters = {**filters, "cursor": cursor, "limit": str(min(limit, _PAGE))}
        page = checked(client.get("/v1/catalog/audit", params=parameters))
        yield from page["items"]
        limit -= len(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def lines(change: JsonObject) -> list[str]:
    """One change for people: what happened, then field by field."""
    entry = f"{change['action']} {change['kind']} {change['code']} version {change['version']}"
    head = f"{change['at']}  {change['author'] or '(unknown)'}  {entry}"
    if change["action"] != "changed":
        return [head]
    fields = change["changes"]
    return [head, *(f"    {field['path']}: {_side(field, 'before')} -> {_side(field, 'after')}" for field in fields)]


def _side(change: JsonObject, side: str) -> str:
    return json.dumps(change[side], ensure_ascii=False) if side in change else "(nothing)"
