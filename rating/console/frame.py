"""What stands around every page: the places, the namespace, the search, who is there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rating.console.html import Child, Html, address, document, join, link, tag

NAMESPACES_SHOWN: Final = 50
PLACES: Final = (
    ("", "Overview"),
    ("accounts", "Customers"),
    ("catalog/products", "Products"),
    ("catalog/plans", "Plans"),
    ("reports", "Reports"),
    ("simulate", "Simulate a price"),
    ("events", "Events"),
    ("invoices", "Invoices"),
    ("runs", "Billing runs"),
    ("alerts", "Alerts"),
    ("anomalies", "Anomalies"),
    ("doctor", "No usage showing?"),
    ("settings", "Settings"),
)
"""(path, what it is called)"""


def no_name(kind: str, code: str) -> str:
    """The display name of a catalog entry, where there is none."""
    return ""


@dataclass(frozen=True, slots=True)
class Frame:
    """A visitor's view of one namespace. ``namespaces``: those that may be chosen; ``clock``: what the clock of a
    sandbox that is ahead of the present shows; ``may_change``: whether they may change the catalog, ``may_decide``:
    decide on invoices, ``may_hold``: hold drafts back and release them, ``may_administer``: make keys and users;
    ``token``: what its forms carry; ``name_of``: (kind, code) → display name, "" for none; ``standing``: sentences
    about what of the pipeline stands still."""

    namespace: str
    namespaces: tuple[str, ...] = ()
    title: str = ""
    sandbox: bool = False
    clock: str = ""
    visitor: str = ""
    may_change: bool = False
    may_decide: bool = False
    may_hold: bool = False
    may_administer: bool = False
    has_password: bool = False
    """whether they logged in by a password"""
    token: str = ""
    name_of: Callable[[str, str], str] = no_name
    standing: tuple[str, ...] = ()

    def page(self, menu_path: str, title: str, *body: Child | Iterable[Child]) -> Html:
        """A whole document; ``menu_path``: the path of PLACES that it is at or below."""
        main = tag("main", self._warning(), *body, id="main")
        skip = tag("a", "Skip to the content", href="#main", class_="skip")
        return document(f"{title} · {self.namespace}", skip, tag("div", self._side(menu_path), main, class_="frame"))

    def _warning(self) -> Html | None:
        if not self.standing:
            return None
        text = "What is below may be older than it should be. Whoever runs Weir finds the reason by `weir status`."
        return tag(
            "p", [tag("strong", f"{sentence}. ") for sentence in self.standing], text, class_="bad", role="alert"
        )

    def link(self, text: Child, *path: str, **query: str | Sequence[str] | None) -> Html:
        """A link within the namespace."""
        return link(text, *path, namespace=self.namespace, **query)

    def address(self, *path: str, **query: str | Sequence[str] | None) -> str:
        """The URL of a page within the namespace."""
        return address(*path, namespace=self.namespace, **query)

    def named(self, kind: str, code: str) -> Html:
        """An entry's display name with its code behind it; the code alone where it has no name."""
        name = self.name_of(kind, code)
        if not name or name == code:
            return join(code)
        return join(name, " ", tag("span", code, class_="soft code"))

    def account(self, code: str) -> Html:
        """An account's name, which leads to its page, with its code behind it."""
        name = self.name_of("account", code)
        if not name or name == code:
            return self.link(code, "accounts", code)
        return join(self.link(name, "accounts", code), " ", tag("span", code, class_="soft code"))

    def form(self, *fields: Child | Iterable[Child], path: tuple[str, ...], class_: str = "line") -> Html:
        """A form that asks a page of the namespace; its answer's address says all of it."""
        hidden = tag("input", type="hidden", name="namespace", value=self.namespace)
        return tag("form", hidden, *fields, method="get", action=address(*path), class_=class_)

    def change_form(
        self, *fields: Child | Iterable[Child], path: tuple[str, ...], class_: str = "line", **query: str | None
    ) -> Html:
        """A form that changes something, as this session alone may."""
        token = tag("input", type="hidden", name="token", value=self.token)
        action = self.address(*path, **query)
        return tag("form", token, *fields, method="post", action=action, class_=class_)

    def _side(self, menu_path: str) -> Html:
        items = [
            tag(
                "li",
                tag(
                    "a", name, href=self.address(*filter(None, path.split("/"))), aria_current=_here(path == menu_path)
                ),
            )
            for path, name in PLACES
        ]
        box = tag("input", type="search", name="q", placeholder="Customer, invoice, event key", aria_label="Search")
        return tag(
            "header",
            tag("a", "Weir", href=self.address(), class_="brand"),
            self._namespace(),
            self.form(box, tag("button", "Search"), path=("search",), class_="search"),
            tag("nav", tag("ul", items, tag("li", tag("a", "API", href="/docs"))), aria_label="Places"),
            tag("form", self._who(), tag("button", "Log out"), method="post", action="/logout", class_="out"),
            class_="side",
        )

    def _who(self) -> Html | None:
        rights = "" if self.may_change or self.may_hold else ", may look only"
        return tag("span", f"{self.visitor}{rights}", class_="soft") if self.visitor else None

    def _namespace(self) -> Html:
        label = f"Sandbox: {self.clock}" if self.clock else "Sandbox"
        badge = tag("strong", label, class_="badge sandbox") if self.sandbox else None
        name = join(
            self.title or self.namespace, tag("span", self.namespace, class_="soft code") if self.title else None
        )
        others = [other for other in self.namespaces if other != self.namespace]
        if not others:
            return tag("div", tag("span", "Namespace", class_="soft"), tag("b", name), badge, class_="where")
        links = [tag("li", link(other, namespace=other)) for other in others[:NAMESPACES_SHOWN]]
        if len(others) > NAMESPACES_SHOWN:
            links.append(tag("li", f"and {len(others) - NAMESPACES_SHOWN} more: ?namespace=… opens one", class_="soft"))
        chosen = tag("summary", tag("span", "Namespace", class_="soft"), tag("b", name), badge)
        return tag("details", chosen, tag("ul", links), class_="where")


def _here(here: bool) -> str | None:
    return "page" if here else None
