"""The form that asks for a key. Pure."""

from __future__ import annotations

from rating.console.html import Html, page, tag


def login_form(next_page: str, note: str = "") -> Html:
    """``note``: what became of the last try, ``next_page``: what it leads to."""
    key = tag("input", type="password", name="key", required=True, autofocus=True, autocomplete="current-password")
    text = (
        "The admin key (WEIR_ADMIN_KEY) opens all namespaces. An API key with the scope read opens its own for looking,"
        " one with admin also for deciding on invoices: `weir key create` makes one."
    )
    form = tag(
        "form",
        tag("h1", "Weir"),
        tag("p", text, class_="soft"),
        tag("p", note, class_="bad", role="alert") if note else None,
        tag("label", "Key", key),
        tag("input", type="hidden", name="after", value=next_page),
        tag("button", "Log in", class_="first"),
        method="post",
        action="/login",
        class_="login",
    )
    return page("Log in", form)
