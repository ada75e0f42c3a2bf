"""What a visitor of the console may do, by the scopes of their key or by their role. Pure."""

from __future__ import annotations

from typing import Final

from schemas.http.api_keys import Access
from schemas.http.scopes import ADMIN, CATALOG

_HOLDS: Final = frozenset({"hold", "release"})


def may_change(access: Access) -> bool:
    """Whether they may change the catalog."""
    return bool((ADMIN | CATALOG) & access.scopes)


def may_administer(access: Access) -> bool:
    """Whether keys and users are theirs to make and end."""
    return bool(ADMIN & access.scopes)


def may_decide(access: Access, decision: str = "") -> bool:
    """Whether they may decide on invoices; ``decision``: on which, as the last part of the API's path."""
    if ADMIN & access.scopes or access.role == "billing":
        return True
    return access.role == "support" and decision in _HOLDS
