"""The accounts of a namespace as people look for them: in order of codes, by code, name or plan. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from schemas.catalog.state import Entry, NamespaceView
from schemas.values.suggestions import similar

SHOWN: Final = 50
LOOKED_AT: Final = 200_000
"""Accounts among which a text is looked for; beyond them by the beginning of the code alone."""
_NEAR: Final = 2_000


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """A page of accounts; ``following``: the code behind which the next one begins, None on the last."""

    entries: tuple[Entry, ...]
    following: str | None


def customers(view: NamespaceView, text: str = "", plan: str = "", after: str = "", limit: int = SHOWN) -> CustomerPage:
    """Accounts in force with codes above ``after``, whose code or name has ``text`` in it, whatever the case, and who
    have a subscription in force to ``plan``."""
    wanted_text = text.strip().casefold()
    subscribed = (
        None if not plan else {str(entry.body["account"]) for entry in view.referring("subscription", "plan", plan)}
    )
    matching: list[Entry] = []
    for entry in islice(view.after("account", after), LOOKED_AT):
        if subscribed is not None and entry.code not in subscribed:
            continue
        if wanted_text and not _has(entry, wanted_text):
            continue
        matching.append(entry)
        if len(matching) > limit:
            return CustomerPage(tuple(matching[:limit]), matching[limit - 1].code)
    return CustomerPage(tuple(matching), None)


def _has(entry: Entry, text: str) -> bool:
    return text in entry.code.casefold() or text in str(entry.body.get("name") or "").casefold()


def plans_of(view: NamespaceView, account_id: str) -> list[str]:
    """The plans of an account's subscriptions, each once."""
    held = view.referring("subscription", "account", account_id)
    return list(dict.fromkeys(str(entry.body["plan"]) for entry in held))


def near_accounts(view: NamespaceView, account_id: str) -> Sequence[str]:
    """At most three accounts that are called alike, of those that begin alike."""
    codes = (entry.code for entry in islice(view.after("account", account_id[:1]), _NEAR))
    return similar(codes, [account_id])
