"""Users of a namespace: who there is, a new one, another role or password, the end of sessions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rating.console.frame import Frame
from rating.console.html import Html, join, table, tag
from schemas.catalog.access.users import LEAST_PASSWORD, MOST_PASSWORD
from schemas.values.json_text import JsonObject

ROLES_SHOWN: Final = (
    ("viewer", "Viewer: looks"),
    ("support", "Support: looks, holds drafts back and releases them"),
    ("billing", "Billing: decides on invoices, changes products, plans, customers and subscriptions"),
    ("admin", "Admin: everything, also keys and users"),
)


def user_page(frame: Frame, users: Sequence[JsonObject], following: str | None, problem: str = "") -> Html:
    """``users``: a page of them as the API lists them, ``following``: the next one's cursor."""
    listed = table(("User", "Role", "Changed", "Sessions", "Access"), [_row(frame, user) for user in users])
    return frame.page(
        "settings",
        "Users",
        tag("p", "← ", frame.link("Settings", "settings"), class_="soft"),
        tag("h1", "Users"),
        tag("p", problem, class_="bad", role="alert") if problem else None,
        _form(frame),
        tag("h2", "Users of this namespace"),
        listed if users else tag("p", "There is none yet: whoever looks logs in with a key."),
        tag("p", frame.link("Further users", "settings", "users", cursor=following)) if following else None,
    )


def _form(frame: Frame) -> Html:
    password = tag(
        "input",
        type="password",
        name="password",
        size=30,
        minlength=LEAST_PASSWORD,
        maxlength=MOST_PASSWORD,
        autocomplete="new-password",
    )
    options = [tag("option", text, value=role) for role, text in ROLES_SHOWN]
    return frame.change_form(
        tag(
            "fieldset",
            tag("legend", "A new user, or another password, name or role"),
            tag(
                "div",
                tag("label", "Name to log in with", tag("input", name="code", required=True, size=30, maxlength=128)),
                tag("label", "Name that people read", tag("input", name="name", size=30, maxlength=256)),
                tag("label", f"Password, {LEAST_PASSWORD} characters or more (empty: stays)", password),
                tag("label", "Role", tag("select", options, name="role")),
                class_="fields",
            ),
            tag("button", "Save the user", class_="first"),
        ),
        path=("settings", "users"),
        class_="entry",
    )


def _row(frame: Frame, user: JsonObject) -> list[Html | str]:
    code = user["code"]
    known_as = f"sso {subject}" if (subject := user.get("subject")) else code
    name = join(user["name"] or known_as, " ", tag("span", known_as, class_="soft code") if user["name"] else None)
    return [name, user["role"], f"{user['changed_at'][:10]} by {user['changed_by']}",
            _button(frame, code, "end", "End sessions"), _button(frame, code, "remove", "Remove")]  # fmt: skip


def _button(frame: Frame, code: str, do: str, text: str) -> Html:
    return frame.change_form(
        tag("input", type="hidden", name="code", value=code),
        tag("button", text, name="do", value=do, aria_label=f"{text}: {code}"),
        path=("settings", "users"),
    )
