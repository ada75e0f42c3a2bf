"""Fields by which somebody chooses an entry of the namespace. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from rating.console.catalog.form_nodes import TypedField
from rating.console.login.display_names import display_name
from schemas.catalog.state import NamespaceView

SUGGESTED: Final = 300
"""Entries that a field suggests; another is typed."""
INTERVALS: Final = tuple((name, name) for name in ("month", "day", "week", "quarter", "year"))


def entries_of(view: NamespaceView, kind: str) -> tuple[tuple[str, str], ...]:
    """(code, display name) of the first SUGGESTED entries."""
    return tuple((entry.code, str(entry.body.get("name") or "")) for entry in islice(view.after(kind, ""), SUGGESTED))


def metrics_of(view: NamespaceView) -> list[tuple[str, str]]:
    """(meter.profile, display name) of the first SUGGESTED meters' profiles."""
    return [
        (address, display_name(view, "metric", address))
        for entry in islice(view.after("meter", ""), SUGGESTED)
        for profile in entry.body.get("profiles", ())
        if (address := f"{entry.code}.{profile.get('code')}")
    ]


def choice(
    name: str, label: str, entries: Iterable[tuple[str, str]], hint: str = "", *, required: bool = False
) -> TypedField:
    """One of some entries; a text with suggestions where there are too many to list."""
    listed = [(code, f"{title} ({code})" if title and title != code else code) for code, title in entries]
    if len(listed) >= SUGGESTED:
        return TypedField(name, label, hint=hint, options=tuple(listed), required=required)
    return TypedField(name, label, "choice", hint, (("", "–"), *listed), required=required)
