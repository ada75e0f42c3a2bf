"""What stands around a page of the portal: whose customer it is, and links that carry the token. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rating.console.html import Child, Html, address, link, page, tag


@dataclass(frozen=True, slots=True)
class PortalFrame:
    """``seller``: whose customer it is; ``token``: what opened the page, and opens those that it leads to; ``name_of``:
    see Frame."""

    seller: str
    token: str
    name_of: Callable[[str, str], str]

    def page(self, title: str, *body: Child | Iterable[Child], above: bool = True) -> Html:
        """A document; ``above``: with the way back to the portal's first page."""
        back = tag("p", "← ", self.link("Overview"), class_="soft") if above else None
        return page(title, tag("p", self.seller, class_="soft"), back, *body)

    def link(self, text: Child, *path: str, **query: str | None) -> Html:
        """A link within the portal."""
        return link(text, "portal", *path, token=self.token, **query)

    def address(self, *path: str, **query: str | None) -> str:
        """The URL of a page of the portal."""
        return address("portal", *path, token=self.token, **query)

    def metric(self, code: str) -> str:
        """A metric's display name, else its code."""
        return self.name_of("metric", code) or code
