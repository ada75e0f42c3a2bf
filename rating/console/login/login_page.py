"""The form that asks for a user and password, or a key, or leads to the provider. Pure."""

from __future__ import annotations

from urllib.parse import urlencode

from rating.console.html import Html, page, tag


def login_form(next_page: str, note: str = "", provider_page: str = "") -> Html:
    """``note``: what became of the last try, ``next_page``: what it leads to, ``provider_page``: where a login at the
    provider begins, "" where there is none."""
    text = (
        "Log in as a user of a namespace, or with a key: the admin key (WEIR_ADMIN_KEY) opens all namespaces, an API"
        " key with the scope read or admin its own."
    )
    user = tag("input", name="user", autofocus=True, autocomplete="username", autocapitalize="none", maxlength=128)
    password = tag("input", type="password", name="password", autocomplete="current-password", maxlength=256)
    key = tag("input", type="password", name="key", autocomplete="off")
    at_provider = None
    if provider_page:
        href = f"{provider_page}?{urlencode({'after': next_page})}"
        at_provider = tag("p", tag("a", "Log in with your organisation", href=href, class_="button"))
    form = tag(
        "form",
        tag("h1", "Weir"),
        tag("p", text, class_="soft"),
        tag("p", note, class_="bad", role="alert") if note else None,
        at_provider,
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


def logged_in_page(next_page: str) -> Html:
    """Goes on to ``next_page`` from here: a browser that comes from the provider's site would not send the session's
    cookie with a redirect, since it is for visits from this site alone (SameSite=Strict)."""
    return page("Logged in", tag("h1", "Logged in"), tag("p", tag("a", "Go on", href=next_page)), goes_on=next_page)
