"""``weir audit``: who changed what in the catalog, when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, checked, connection, http

if TYPE_CHECKING:
    import httpx

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

    settings = connection(namespace)
    wanted = {name: value for name, value in (("kind", kind), ("code", code), ("author", author)) if value is not None}
    with http(settings, "gateway") as client:
        found = list(_changes(client, wanted, limit))
    if as_json:
        print_json(found)
        return
    for change in found:
        for line in lines(change):
            say(line)
    if not found:
        say(f"no such change in namespace {settings.namespace}")


def _changes(client: httpx.Client, wanted: dict[str, str], limit: int) -> Iterator[Any]:
    cursor = ""
    while limit > 0:
        parameters = {**wanted, "cursor": cursor, "limit": str(min(limit, _PAGE))}
        page = checked(client.get("/v1/catalog/audit", params=parameters))
        yield from page["items"]
        limit -= len(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def lines(change: Any) -> list[str]:
    """One change for people: what happened, then field by field."""
    head = f"{change['at']}  {change['author'] or '(unknown)'}  {change['action']} {change['kind']} {change['code']} version {change['version']}"
    if change["action"] != "changed":
        return [head]
    return [head, *(f"    {one['path']}: {_side(one, 'before')} -> {_side(one, 'after')}" for one in change["changes"])]


def _side(change: Any, side: str) -> str:
    return json.dumps(change[side], ensure_ascii=False) if side in change else "(nothing)"
