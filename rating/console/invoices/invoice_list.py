"""The console's list of invoices, with its filters. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rating.console.frame import Frame
from rating.console.html import Html, tag
from rating.console.invoices.listed_invoices import heads
from rating.invoices.lists import Page

STATES: Final = (
    ("", "any state but drafts"),
    ("open", "open: to be paid"),
    ("finalized", "finalized"),
    ("paid", "paid"),
    ("void", "void"),
    ("draft", "drafts"),
)


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """What a list is of; "" for all. ``month``: YYYY-MM, in which the billed period begins by the account's clock;
    ``number``: of the invoice, or its end."""

    state: str = ""
    account_id: str = ""
    month: str = ""
    number: str = ""

    def to_query(self) -> dict[str, str | None]:
        """The query of the page's address."""
        names = ("state", "account_id", "month", "number")
        return {name: getattr(self, name) or None for name in names}


def invoice_list(frame: Frame, criteria: InvoiceFilter, page: Page, cursor: str | None, problem: str = "") -> Html:
    """A page of invoices; ``problem``: why there is none."""
    paging = [frame.link("First page", "invoices", **criteria.to_query()), " "] if cursor else []
    if page.next_cursor:
        paging.append(frame.link("Further invoices", "invoices", **criteria.to_query(), cursor=page.next_cursor))
    download = tag("a", "CSV", href=frame.address("invoices.csv", **criteria.to_query()))
    nothing = tag("p", "No invoice has this. ", frame.link("All invoices", "invoices"))
    return frame.page(
        "invoices",
        "Invoices",
        tag("h1", "Invoices"),
        _form(frame, criteria),
        tag("p", problem, class_="bad", role="alert") if problem else None,
        heads(frame, page.invoices) if page.invoices or criteria == InvoiceFilter() else nothing,
        tag("p", paging),
        tag("p", download, " of all that this shows"),
    )


def _form(frame: Frame, criteria: InvoiceFilter) -> Html:
    states = [tag("option", text, value=name, selected=name == criteria.state) for name, text in STATES]
    return frame.form(
        tag("label", "State", tag("select", states, name="state")),
        tag("label", "Customer (code)", tag("input", name="account_id", value=criteria.account_id, size=18)),
        tag("label", "Month", tag("input", name="month", value=criteria.month, size=9, placeholder="2026-11")),
        tag("label", "Number, or its end", tag("input", name="number", value=criteria.number, size=18)),
        tag("button", "Show", class_="first"),
        path=("invoices",),
    )
