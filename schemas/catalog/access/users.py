"""Users of a namespace as catalog entries (pydantic): people who log in to the console by name and password."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from schemas.catalog.base import Model
from schemas.catalog.keys import KeyScope
from schemas.values.fine_instants import Instant

USER: Final = "user"
UserRole = Literal["viewer", "support", "billing", "admin"]
ROLES: Final[tuple[UserRole, ...]] = get_args(UserRole)
SCOPES_OF_ROLE: Final[dict[UserRole, frozenset[KeyScope]]] = {
    "viewer": frozenset({"read"}),
    "support": frozenset({"read"}),
    "billing": frozenset({"read", "catalog"}),
    "admin": frozenset({"ingest", "read", "catalog", "admin"}),
}
"""What the APIs let them do. On the console support also holds drafts back and releases them, and billing decides on
invoices."""
LEAST_PASSWORD: Final = 10
"""Characters of a password."""
MOST_PASSWORD: Final = 256
UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$")]
DisplayText = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class User(Model):
    """A user of the namespace: name, role, and the hash of the password."""

    code: UserName
    """the name that they log in with, e.g. an e-mail address"""
    name: DisplayText = ""
    """display name"""
    hash: Annotated[str, StringConstraints(max_length=256, pattern=r"^\$argon2id\$[A-Za-z0-9+/=,$]+$")]
    """argon2id of the password, with its parameters and salt"""
    role: UserRole
    """what they may do"""
    sessions_from: Instant | None = None
    """sessions that began before this instant are ended"""


class UserChange(Model):
    """What a request says of a user; what is left out stays."""

    name: DisplayText | None = None
    """display name"""
    role: UserRole | None = None
    """what they may do; a new user needs one"""
    password: Annotated[str, StringConstraints(min_length=LEAST_PASSWORD, max_length=MOST_PASSWORD)] | None = None
    """10 characters at least; a new user needs one, and a new one ends all sessions"""
    end_sessions: Annotated[bool, Field()] = False
    """whether sessions that are open end now"""
