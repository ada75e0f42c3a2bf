"""Users of a namespace as catalog entries (pydantic): people who log in to the console by name and password, or at an
OpenID Connect provider.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import Field, StringConstraints, ValidationInfo, model_validator

from schemas.catalog.base import Model, is_stored
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


PROVIDER_PREFIX: Final = "sso-"
"""What the name of each user of a provider begins with, and no other's."""
ProviderIssuer = Annotated[str, StringConstraints(max_length=512, pattern=r"^(https?://[^\s\x00-\x1f\x7f]+)?$")]
ProviderSubject = Annotated[str, StringConstraints(max_length=255, pattern=r"^[\x21-\x7e]*$")]


def provider_code(issuer: str, subject: str) -> str:
    """The name of a provider's user, the same for ever: an e-mail address may become another person's."""
    digest = blake2b(f"{issuer}\n{subject}".encode(), digest_size=12, person=b"weir-sso").hexdigest()
    return f"{PROVIDER_PREFIX}{digest}"


class User(Model):
    """A user of the namespace: name, role, and the hash of the password, or who the user is at a provider."""

    code: UserName
    """the name that they log in with, e.g. an e-mail address"""
    name: DisplayText = ""
    """display name"""
    hash: Annotated[str, StringConstraints(max_length=256, pattern=r"^(\$argon2id\$[A-Za-z0-9+/=,$]+)?$")] = ""
    """argon2id of the password, with its parameters and salt; empty for a user of a provider"""
    issuer: ProviderIssuer = ""
    """the OpenID Connect provider, where the user logs in there"""
    subject: ProviderSubject = ""
    """who the user is there: the claim sub"""
    role: UserRole
    """what they may do"""
    sessions_from: Instant | None = None
    """sessions that began before this instant are ended"""

    @model_validator(mode="after")
    def _logs_in_one_way(self, info: ValidationInfo) -> Self:
        if is_stored(info):
            return self
        if bool(self.issuer) != bool(self.subject):
            raise ValueError("a user of a provider has an issuer and a subject")
        if bool(self.hash) == bool(self.subject):
            raise ValueError("a user has either a password or an issuer and a subject")
        if self.subject and self.code != provider_code(self.issuer, self.subject):
            raise ValueError("a user of a provider is called as the provider's issuer and subject say")
        if not self.subject and self.code.startswith(PROVIDER_PREFIX):
            raise ValueError(f"names that begin with {PROVIDER_PREFIX} are those of a provider's users")
        return self

    def written(self) -> dict[str, Any]:
        """As the catalog keeps it. Fields that say nothing are left out, so that an earlier release, which does not
        know them, reads a user with a password."""
        left_out = {name for name in ("issuer", "subject") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=left_out)

    @property
    def proof(self) -> str:
        """What the user logs in by; sessions end with a change of it."""
        return self.hash or f"{self.issuer}\n{self.subject}"


class UserChange(Model):
    """What a request says of a user; what is left out stays."""

    name: DisplayText | None = None
    """display name"""
    role: UserRole | None = None
    """what they may do; a new user needs one"""
    password: Annotated[str, StringConstraints(min_length=LEAST_PASSWORD, max_length=MOST_PASSWORD)] | None = None
    """10 characters at least; a new user needs one, and a new one ends all sessions"""
    issuer: ProviderIssuer = ""
    """the OpenID Connect provider of a new user who has no password; the console sends it at a login there"""
    subject: ProviderSubject = ""
    """… and who the user is there"""
    end_sessions: Annotated[bool, Field()] = False
    """whether sessions that are open end now"""


class PasswordChange(Model):
    """What a user says who changes their own password."""

    old_password: Annotated[str, StringConstraints(min_length=1, max_length=MOST_PASSWORD)]
    """the present one"""
    password: Annotated[str, StringConstraints(min_length=LEAST_PASSWORD, max_length=MOST_PASSWORD)]
    """the new one, 10 characters at least; all sessions of the user end"""
