"""The form that asks for a user and password, or a key. Pure."""

from __future__ import annotations

from rating.console.html import Html, page, tag


def login_form(next_page: str, note: str = "") -> Html:
    """``note``: what became of the last try, ``next_page``: what it leads to."""
    text = (
        "Log in as a user of a namespace, or with a key: the admin key (WEIR_ADMIN_KEY) opens all namespaces, an API"
        " key with the scope read or admin its own."
    )
    user = tag("input", name="user", autofocus=True, autocomplete="username", autocapitalize="none", maxlength=128)
    password = tag("input", type="password", name="password", autocomplete="current-password", maxlength=256)
    key = tag("input", type="password", name="key", autocomplete="off")
    form = tag(
        "form",
        tag("h1", "Weir"),
        tag("p", text, class_="soft"),
        tag("p", note, class_="bad", role="alert") if note else None,
        tag("label", "User", user),
        tag("label", "Password", password),
        tag("label", "or a key", key),
        tag("input", type="hidden", name="after", value=next_page),
        tag("button", "Log in", class_="first"),
        method="post",
        action="/login",
        class_="login",
    )
    return page("Log in", form)
