"""What the groups of a provider may do in Weir, as WEIR_OIDC_ROLES says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.catalog.access.users import ROLES, UserRole
from schemas.settings import SettingsError

MOST_NAMESPACES: Final = 8
"""Namespaces that one login opens, since its cookie names each; a user of a password has a hash to check in each."""


@dataclass(frozen=True, slots=True)
class GroupRole:
    """A group's role in a namespace."""

    group: str
    namespace: str
    role: UserRole


def group_roles(text: str) -> tuple[GroupRole, ...]:
    """The parts of ``group=namespace:role[,…]``. Raises SettingsError with the part that is wrong."""
    roles = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, _, place = part.rpartition("=")
        namespace, _, name = place.partition(":")
        role = next((role for role in ROLES if role == name.strip()), None)
        if not group.strip() or not namespace.strip() or role is None:
            raise SettingsError(
                f"WEIR_OIDC_ROLES: {part[:200]!r} is no group=namespace:role; the roles are {', '.join(ROLES)}"
            )
        roles.append(GroupRole(group.strip(), namespace.strip(), role))
    return tuple(roles)


def granted(roles: Sequence[GroupRole], claim: object) -> Mapping[str, UserRole]:
    """Namespace → role of somebody with these groups: the highest of theirs in each. ``claim``: what the ID token has,
    a text or a list of texts."""
    values: list[Any] = claim if isinstance(claim, list) else [claim]
    groups = {value for value in values if isinstance(value, str)}
    highest: dict[str, UserRole] = {}
    for entry in roles:
        if entry.group in groups:
            highest[entry.namespace] = max(highest.get(entry.namespace, entry.role), entry.role, key=ROLES.index)
    return dict(list(highest.items())[:MOST_NAMESPACES])
