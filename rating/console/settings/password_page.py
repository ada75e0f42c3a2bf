"""The form for another password of one's own. Pure."""

from __future__ import annotations

from rating.console.frame import Frame
from rating.console.html import Html, tag
from schemas.catalog.access.users import LEAST_PASSWORD, MOST_PASSWORD


def password_page(frame: Frame, problem: str = "", *, changed: bool = False) -> Html:
    """``problem``: why the last try changed nothing; ``changed``: whether it did."""
    done = "Your password is changed. All your other sessions are ended."
    return frame.page(
        "settings",
        "Password",
        tag("p", "← ", frame.link("Settings", "settings"), class_="soft"),
        tag("h1", "Password"),
        tag("p", problem, class_="bad", role="alert") if problem else None,
        tag("p", done, role="status") if changed else None,
        frame.change_form(
            tag(
                "fieldset",
                tag("legend", f"Another password for {frame.visitor}"),
                tag(
                    "div",
                    _field("Present password", "old_password", "current-password", 1),
                    _field(f"New password, {LEAST_PASSWORD} characters or more", "password", "new-password"),
                    _field("New password once more", "password_again", "new-password"),
                    class_="fields",
                ),
                tag("button", "Change the password", class_="first"),
            ),
            path=("settings", "password"),
            class_="entry",
        ),
    )


def _field(text: str, name: str, autocomplete: str, least: int = LEAST_PASSWORD) -> Html:
    field = tag(
        "input",
        type="password",
        name=name,
        size=30,
        required=True,
        minlength=least,
        maxlength=MOST_PASSWORD,
        autocomplete=autocomplete,
    )
    return tag("label", text, field)
