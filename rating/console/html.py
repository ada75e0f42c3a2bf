"""HTML that cannot be injected into: every text is escaped unless it is already ``Html``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

STYLE: Final = Path(__file__).with_name("style.css").read_text()
STYLE_NAME: Final = f"{sha256(STYLE.encode()).hexdigest()[:12]}.css"
"""Changes with what it says, so that a browser may keep it for ever."""
_VOID: Final = frozenset({"input", "link", "meta"})


class Html(str):
    """Markup."""

    __slots__ = ()


Child: TypeAlias = "Html | str | int | None"


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: str | int | bool | None) -> Html:
    """One element. Attribute names lose a trailing underscore, and inner ones become dashes; None and False leave it
    out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child | Iterable[Child]) -> Html:
    """Children one after another."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str | int):
            parts.append(escape(str(child)))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]], numbers: frozenset[int] = frozenset()) -> Html:
    """A table; columns whose index is in ``numbers`` are set right."""

    def cells(kind: str, row: Iterable[Child]) -> list[Html]:
        return [tag(kind, cell, class_="number" if index in numbers else None) for index, cell in enumerate(row)]

    body = [tag("tr", cells("td", row)) for row in rows]
    return tag(
        "div", tag("table", tag("thead", tag("tr", cells("th", head))), tag("tbody", body)), class_="scroll", tabindex=0
    )


def facts(rows: Iterable[tuple[str, Child]]) -> Html:
    """A table of what is said of one thing: (what, text) each."""
    body = [tag("tr", tag("th", what, scope="row"), tag("td", text)) for what, text in rows]
    return tag("div", tag("table", tag("tbody", body), class_="facts"), class_="scroll")


def link(text: Child, *path: str, **query: str | Sequence[str] | None) -> Html:
    """A link below `/`; the parts of the path are quoted whole."""
    return tag("a", text, href=address(*path, **query))


def address(*path: str, **query: str | Sequence[str] | None) -> str:
    """The URL of a page. A parameter of several values stands once for each of them."""
    given = {name.rstrip("_"): value for name, value in query.items() if value is not None}
    return "/" + "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(given, doseq=True)}" if given else "")


def document(title: str, *body: Child | Iterable[Child], goes_on: str = "") -> Html:
    """A whole document. ``goes_on``: the page that a browser opens next, at once."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="refresh", content=f"0;url={goes_on}") if goes_on else None,
        tag("title", f"{title} · Weir"),
        tag("link", rel="icon", type="image/svg+xml", href="/assets/icon.svg"),
        tag("link", rel="stylesheet", href=f"/assets/{STYLE_NAME}"),
    )
    return Html("<!doctype html>" + tag("html", head, tag("body", *body), lang="en"))


def page(title: str, *body: Child | Iterable[Child], goes_on: str = "") -> Html:
    """A document for somebody who is not logged in."""
    return document(title, tag("main", *body, class_="alone"), goes_on=goes_on)
