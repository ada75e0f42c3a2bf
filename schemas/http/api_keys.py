"""API keys: their text, hash, and access rights. Pure, except that ``Keyring`` caches verified keys.

    weir_<namespace>.<id>.<secret>

The text names the key's catalog entry (kind ``api_key``, code = id), so that the lookup is one step. The secret has
256 random bits; a BLAKE2b-256 digest of the whole text is stored. A slow password hash would add nothing, since
256-bit secrets cannot be guessed. Revoking a key retires its entry, which every follower of the catalog reads
within a second.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from pydantic import ValidationError

from schemas.catalog.access.users import SCOPES_OF_ROLE, USER, User, UserRole
from schemas.catalog.keys import ApiKey, KeyLimits, KeyScope
from schemas.catalog.state import Catalog
from schemas.errors import WeirError
from schemas.values.base64url import base64url
from schemas.values.instants import micros

KIND: Final = "api_key"
ON_BEHALF_OF: Final = "weir-on-behalf-of"
"""The header in which a request with the admin key names the key, by its id, that it is to have the rights and the name
of: what the console changes, its visitor changes."""
SECRET_BYTES: Final = 32
ALL_SCOPES: Final[frozenset[KeyScope]] = frozenset({"ingest", "read", "catalog", "admin"})
ROOT_AUTHOR: Final = "admin"
MAX_REMEMBERED: Final = 10_000
USER_PREFIX: Final = "user:"
KEY_PREFIX: Final = "key_"
"""What the server has the id of each key begin with."""
_PREFIX: Final = "weir_"
_SCHEME: Final = "bearer "
_NO_HASH: Final = "0" * 64


class Denied(WeirError):
    """A request that is denied: 401 without a valid key, 403 beyond the key's rights, 503 if keys cannot be
    checked. ``look_again``: the key may have been made elsewhere a moment before (``second_looks``)."""

    def __init__(self, status: int, reason: str, detail: str, *, look_again: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.look_again = look_again


class KeyName(NamedTuple):
    """The part of a key's text without the secret."""

    namespace: str
    key_id: str

    @property
    def entry(self) -> tuple[str, str, str]:
        """Namespace, kind and code of the key's catalog entry."""
        return self.namespace, KIND, self.key_id


def key_text(namespace: str, key_id: str, secret: bytes) -> str:
    """The complete key, which its bearer gets once. ``secret``: SECRET_BYTES random bytes."""
    return f"{_PREFIX}{namespace}.{key_id}.{base64url(secret)}"


def key_name(text: str) -> KeyName | None:
    """Namespace and id of a key; None if the text is not a key."""
    namespace, _, key_part = text.removeprefix(_PREFIX).partition(".")
    key_id, _, secret = key_part.partition(".")
    return KeyName(namespace, key_id) if text.startswith(_PREFIX) and namespace and key_id and secret else None


def key_hash(text: str) -> str:
    """The stored digest, 64 hexadecimal digits. It covers namespace and id too, so that no entry matches another
    key."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32, person=b"weir-api-key").hexdigest()


@dataclass(frozen=True, slots=True)
class Access:
    """The rights of a key. ``namespace`` None: all namespaces (the admin key of the settings, which has no limits).
    ``by_operator``: whether the key was made with the admin key of the settings; ``role``: of a user of the console,
    whose ``key_id`` is their name behind ``user:``."""

    namespace: str | None
    scopes: frozenset[KeyScope]
    author: str
    key_id: str = ""
    limits: KeyLimits | None = None
    expires_us: int | None = None
    by_operator: bool = False
    role: UserRole | None = None

    def require(self, sufficient: frozenset[KeyScope]) -> None:
        """Raises Denied (403) unless the key has one of the scopes; ``admin`` includes all."""
        if "admin" not in self.scopes and not self.scopes & sufficient:
            needed = " or ".join(sorted(sufficient | {"admin"}))
            raise Denied(
                403, "scope", f"this needs a key with the scope {needed}; yours has {', '.join(sorted(self.scopes))}"
            )

    def reach(self, namespace: str) -> str:
        """Returns ``namespace`` if the key may access it. Raises Denied (403)."""
        if self.namespace is not None and namespace != self.namespace:
            raise Denied(
                403, "other_namespace", f"this key belongs to namespace {self.namespace}, not {namespace[:80]!r}"
            )
        return namespace

    def choose(self, requested: str | None, default: str) -> str:
        """The namespace of a request: the requested one, else the key's own, else ``default``. Raises Denied (403)."""
        return self.reach(requested) if requested else self.namespace or default


def user_access(namespace: str, user: User) -> Access:
    """What a user may do. One whose name to log in with reads as the author of another's changes, the admin key's or a
    key's, is named with ``user:`` before it; a
    provider's user by the subject there."""
    if user.subject:
        author = f"{user.name} (sso {user.subject})" if user.name else f"sso {user.subject}"
        return Access(namespace, SCOPES_OF_ROLE[user.role], author, USER_PREFIX + user.code, role=user.role)
    others = user.code.lower() == ROOT_AUTHOR or user.code.lower().startswith(KEY_PREFIX)
    code = USER_PREFIX + user.code if others else user.code
    author = f"{user.name} ({code})" if user.name else code
    return Access(namespace, SCOPES_OF_ROLE[user.role], author, USER_PREFIX + user.code, role=user.role)


def user_digest(proof: str) -> str:
    """What a session has of what its user logs in by (``User.proof``): it changes with the password, and tells nothing
    of it."""
    return blake2b(proof.encode(), digest_size=32, person=b"weir-user").hexdigest()


class Keyring:
    """Verifies keys and returns their Access. ``fresh``: whether ``catalog`` is up to date, so that no revocation
    is missed.

    For one thread. Verified keys are cached by digest until the catalog changes, so no secret is stored and a
    revoked key is dropped with the next record.
    """

    def __init__(self, admin_key: str, catalog: Catalog, fresh: Callable[[], bool]) -> None:
        self._admin_key = admin_key.encode()
        self._catalog = catalog
        self._fresh = fresh
        self.root = Access(None, ALL_SCOPES, ROOT_AUTHOR)
        """the rights of the admin key"""
        self._remembered: dict[str, Access] = {}
        self._as_of = -1

    def access(self, authorization: str | None, now_us: int) -> Access:
        """The rights of the bearer in an Authorization header. Raises Denied (401, 503)."""
        if authorization is None:
            raise Denied(401, "unauthorised", "no key; send the header Authorization: Bearer <key>")
        text = authorization[len(_SCHEME) :].strip()
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise _wrong()
        if hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self._admin_key):
            return self.root
        return self.of_key(text, now_us)

    def of_key(self, text: str, now_us: int) -> Access:
        """The rights of an API key. Raises Denied (401, 503)."""
        digest = key_hash(text)
        return _unexpired(self._known(digest) or self._verified(key_name(text), digest), now_us)

    def of_verified(self, name: KeyName, digest: str, now_us: int) -> Access:
        """The rights, as they are now, of a key whose text was verified before; ``digest``: its hash. The caller
        vouches for both, as by a signature. Raises Denied (401, 503)."""
        return _unexpired(self._known(digest) or self._verified(name, digest), now_us)

    def of_user(self, namespace: str, code: str, digest: str, since_us: int) -> Access:
        """The rights, as they are now, of a user who logged in at ``since_us``, when the hash of their password had
        this ``digest`` (``user_digest``). Raises Denied (401, 503)."""
        user = self.user(namespace, code)
        if user is None or not hmac.compare_digest(digest, user_digest(user.proof)):
            raise Denied(401, "unauthorised", "this user was removed, or has another password since; log in again")
        if user.sessions_from is not None and since_us < micros(user.sessions_from):
            raise Denied(401, "unauthorised", "this session was ended; log in again")
        return user_access(namespace, user)

    def user(self, namespace: str, code: str) -> User | None:
        """A user of the namespace, None for none. Raises Denied (503)."""
        if not self._fresh():
            raise _lost()
        versions = self._catalog.versions(namespace, USER, code, self._catalog.next_offset)
        return versions[-1].model if versions and not versions[-1].retired else None

    def of_entry(self, name: KeyName, now_us: int) -> Access:
        """The rights, as they are now, of a key or user (``user:`` before the name) whose login a process with the
        admin key has checked. Raises Denied (401, 503)."""
        if name.key_id.startswith(USER_PREFIX):
            user = self.user(name.namespace, name.key_id.removeprefix(USER_PREFIX))
            if user is None:
                raise _wrong(look_again=True)
            return user_access(name.namespace, user)
        if not self._fresh():
            raise _lost()
        versions = self._catalog.versions(*name.entry, self._catalog.next_offset)
        if not versions or versions[-1].retired:
            raise _wrong(look_again=True)
        return self.of_verified(name, str(versions[-1].body.get("hash", "")), now_us)

    def _known(self, digest: str) -> Access | None:
        """The rights of a key that was looked at since the catalog changed. Raises Denied (503)."""
        if not self._fresh():
            raise _lost()
        offset = self._catalog.next_offset
        if offset != self._as_of or len(self._remembered) >= MAX_REMEMBERED:
            self._remembered, self._as_of = {}, offset
        return self._remembered.get(digest)

    def unchanged(self, access: Access, as_of: int, now_us: int) -> bool:
        """Whether ``access``, which this keyring gave when ``as_of`` was the catalog's next offset, would be given
        again, as no key was changed since."""
        expired = access.expires_us is not None and now_us >= access.expires_us
        return self._catalog.next_offset == as_of and not expired and self._fresh()

    def _verified(self, name: KeyName | None, digest: str) -> Access:
        # Not through a view: views are cached by namespace, and this name comes from an unauthenticated request.
        versions = self._catalog.versions(*name.entry, self._as_of) if name is not None else []
        try:
            key: ApiKey | None = versions[-1].model if versions and not versions[-1].retired else None
        except ValidationError:
            key = None  # the entry was not written by Weir; no key matches it
        # An unknown id takes as long as a wrong secret and gets the same response.
        if not hmac.compare_digest(digest, key.hash if key is not None else _NO_HASH) or key is None or name is None:
            raise _wrong(look_again=name is not None)
        expires = None if key.expires_at is None else micros(key.expires_at)
        author = f"{key.name} ({key.code})" if key.name else key.code
        by_operator = versions[-1].author == ROOT_AUTHOR
        access = Access(name.namespace, frozenset(key.scopes), author, key.code, key.limits, expires, by_operator)
        self._remembered[digest] = access
        return access


def _unexpired(access: Access, now_us: int) -> Access:
    if access.expires_us is not None and now_us >= access.expires_us:
        raise Denied(401, "unauthorised", f"the key {access.key_id} has expired; make another with `weir key create`")
    return access


def _lost() -> Denied:
    return Denied(503, "unavailable", "keys cannot be checked now: this process has lost sight of the catalog")


def _wrong(*, look_again: bool = False) -> Denied:
    detail = "wrong or revoked key; send the header Authorization: Bearer <key>"
    return Denied(401, "unauthorised", detail, look_again=look_again)
