"""API keys of a namespace: which there are, a new one, the end of one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rating.console.frame import Frame
from rating.console.html import Html, join, table, tag
from schemas.values.json_text import JsonObject

SCOPES: Final = (
    ("ingest", "sends events, and sets usage apart"),
    ("read", "reads usage, invoices and the catalog; opens this console for looking"),
    ("catalog", "changes metrics, products, plans, customers and subscriptions"),
    ("admin", "everything in this namespace, also invoices and keys"),
)


def key_page(
    frame: Frame, keys: Sequence[JsonObject], following: str | None, made: JsonObject | None = None, problem: str = ""
) -> Html:
    """``keys``: a page of them as the API lists them, ``following``: the next one's cursor; ``made``: the key that was
    made just now, with its text, which is never shown again."""
    return frame.page(
        "settings",
        "API keys",
        tag("p", "← ", frame.link("Settings", "settings"), class_="soft"),
        tag("h1", "API keys"),
        tag("p", problem, class_="bad", role="alert") if problem else None,
        None if made is None else _made(made),
        _create(frame),
        tag("h2", "Keys of this namespace"),
        table(("Key", "May", "Made", "Until", "End it"), [_row(frame, key) for key in keys])
        if keys
        else tag("p", "There is none: only the admin key opens this namespace."),
        tag("p", frame.link("Further keys", "settings", "keys", cursor=following)) if following else None,
    )


def _made(made: JsonObject) -> Html:
    return tag(
        "div",
        tag("p", tag("strong", "The key is made. Keep it now: it is never shown again.")),
        tag("pre", made["key"], tabindex=0, aria_label="The new key"),
        class_="note",
        role="status",
    )


def _create(frame: Frame) -> Html:
    boxes = [
        tag(
            "label",
            tag("input", type="checkbox", name=f"scope.{scope}", value="on"),
            f" {scope}: {about}",
            class_="box",
        )
        for scope, about in SCOPES
    ]
    until = tag("input", name="expires_at", size=24, placeholder="2027-01-01T00:00:00Z", autocomplete="off")
    return frame.change_form(
        tag(
            "fieldset",
            tag("legend", "A new key"),
            tag(
                "div",
                tag("label", "Name, which the audit trail shows", tag("input", name="name", size=30, maxlength=256)),
                tag("label", "Valid until (empty: for ever)", until),
                class_="fields",
            ),
            tag("fieldset", tag("legend", "It may"), boxes, class_="row"),
            tag("button", "Make the key", class_="first"),
        ),
        path=("settings", "keys"),
        class_="entry",
    )


def _row(frame: Frame, key: JsonObject) -> list[Html | str]:
    name = join(key["name"] or "without a name", " ", tag("span", key["id"], class_="soft code"))
    made = f"{key['created_at'][:10]} by {key['created_by']}"
    if key["revoked_at"]:
        ended = f"revoked {key['revoked_at'][:10]} by {key['revoked_by']}"
        return [name, ", ".join(key["scopes"]), made, ended, ""]
    revoke = frame.change_form(
        tag("input", type="hidden", name="id", value=key["id"]),
        tag("button", "Revoke", aria_label=f"Revoke {key['name'] or key['id']}"),
        path=("settings", "keys", "revoke"),
    )
    return [name, ", ".join(key["scopes"]), made, (key["expires_at"] or "for ever")[:16], revoke]
