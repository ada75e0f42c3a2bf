"""The console's list of customers, with its search. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rating.console.catalog.entry_list import create_link
from rating.console.customers.account_page import customer_rows
from rating.console.frame import Frame
from rating.console.html import Html, tag


def customer_list(
    frame: Frame,
    rows: Sequence[tuple[str, str, Sequence[str]]],
    plans: Sequence[str],
    text: str,
    plan: str,
    after: str,
    following: str | None,
) -> Html:
    """A page of (account, time zone, plans). ``plans``: those that may be chosen; ``text``, ``plan``, ``after``: what
    was asked; ``following``: where the next page begins, None: there is none."""
    query = {"q": text or None, "plan": plan or None}
    options = [tag("option", "any plan", value="", selected=not plan)]
    options += [tag("option", frame.name_of("plan", code) or code, value=code, selected=code == plan) for code in plans]
    form = frame.form(
        tag("label", "Name or code", tag("input", type="search", name="q", value=text, size=28)),
        tag("label", "Plan", tag("select", options, name="plan")),
        tag("button", "Search", class_="first"),
        path=("accounts",),
    )
    paging = [frame.link("First page", "accounts", **query), " "] if after else []
    if following is not None:
        paging.append(frame.link("Further customers", "accounts", **query, after=following))
    return frame.page(
        "accounts", "Customers", tag("h1", "Customers"), create_link(frame, "accounts", "Create a customer"), form,
        customer_rows(frame, rows) if rows else _none(frame, bool(text or plan)), tag("p", paging),
    )  # fmt: skip


def _none(frame: Frame, filtered: bool) -> Html:
    if filtered:
        return tag("p", "No customer has this. ", frame.link("All customers", "accounts"))
    return tag("p", "There is no customer yet.")
