"""API keys: their text, their hash, and what a bearer of one may do (pure; ``Keyring`` only remembers what it
verified).

    weir_<namespace>.<id>.<secret>

The text names its catalog entry (kind ``api_key``, whose code is the id), so that a look-up is one step. The secret is
256 random bits; of the whole text a BLAKE2b-256 digest is kept. A slow password hash would add nothing: there is no
dictionary of 256-bit secrets to try. A revoked key is a retired entry, which every follower of the catalog has within a
second.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from pydantic import ValidationError

from schemas.catalog.keys import ApiKey, KeyLimits, KeyScope
from schemas.catalog.state import Catalog
from schemas.errors import WeirError
from schemas.values.instants import micros

KIND: Final = "api_key"
SECRET_BYTES: Final = 32
ALL_SCOPES: Final[frozenset[KeyScope]] = frozenset({"ingest", "read", "catalog", "admin"})
ROOT_AUTHOR: Final = "admin"
MAX_REMEMBERED: Final = 10_000
_PREFIX: Final = "weir_"
_SCHEME: Final = "bearer "
_NO_HASH: Final = "0" * 64


class Denied(WeirError):
    """A request that may not go on: 401 without a valid key, 403 beyond what the key may do, 503 where that is
    unknown."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class KeyName(NamedTuple):
    """What a key's text tells without its secret."""

    namespace: str
    key_id: str

    @property
    def entry(self) -> tuple[str, str, str]:
        """Namespace, kind and code of its catalog entry."""
        return self.namespace, KIND, self.key_id


def key_text(namespace: str, key_id: str, secret: bytes) -> str:
    """The key as its bearer gets it, once. ``secret``: SECRET_BYTES random bytes."""
    return f"{_PREFIX}{namespace}.{key_id}.{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def key_name(text: str) -> KeyName | None:
    """Where the key's entry stands, or None for a text that is no key."""
    namespace, _, key_part = text.removeprefix(_PREFIX).partition(".")
    key_id, _, secret = key_part.partition(".")
    return KeyName(namespace, key_id) if text.startswith(_PREFIX) and namespace and key_id and secret else None


def key_hash(text: str) -> str:
    """The digest that is stored, 64 hexadecimal digits; it covers namespace and id too, so no entry fits another
    key."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32, person=b"weir-api-key").hexdigest()


@dataclass(frozen=True, slots=True)
class Access:
    """What one key may do. ``namespace`` None: every namespace (the admin key of the settings, which has no limits)."""

    namespace: str | None
    scopes: frozenset[KeyScope]
    author: str
    key_id: str = ""
    limits: KeyLimits | None = None
    expires_us: int | None = None

    def require(self, sufficient: frozenset[KeyScope]) -> None:
        """Raises Denied (403) without one of the scopes; ``admin`` includes all others."""
        if "admin" not in self.scopes and not self.scopes & sufficient:
            needed = " or ".join(sorted(sufficient | {"admin"}))
            raise Denied(403, "scope", f"this needs a key with the scope {needed}; yours has "
                f"{', '.join(sorted(self.scopes))}")  # fmt: skip

    def reach(self, namespace: str) -> str:
        """``namespace``, where the key may work there. Raises Denied (403)."""
        if self.namespace is not None and namespace != self.namespace:
            raise Denied(403, "other_namespace", f"this key belongs to namespace {self.namespace}, not "
                f"{namespace[:80]!r}")  # fmt: skip
        return namespace

    def choose(self, requested: str | None, default: str) -> str:
        """The request's namespace: the one it names, else the key's own, else ``default``. Raises Denied (403)."""
        return self.reach(requested) if requested else self.namespace or default


class Keyring:
    """Tells a key's Access. ``fresh``: whether ``catalog`` is up to date, so that a revocation cannot be overlooked.

    Belongs to one thread. What it verified it remembers by digest, until the catalog moves on: no secret is kept, and a
    revoked key is forgotten with the next record.
    """

    def __init__(self, admin_key: str, catalog: Catalog, fresh: Callable[[], bool]) -> None:
        self._admin_key = admin_key.encode()
        self._catalog = catalog
        self._fresh = fresh
        self._root = Access(None, ALL_SCOPES, ROOT_AUTHOR)
        self._remembered: dict[str, Access] = {}
        self._as_of = -1

    def access(self, authorization: str | None, now_us: int) -> Access:
        """The bearer's rights. Raises Denied (401, 503)."""
        if authorization is None:
            raise Denied(401, "unauthorised", "no key; send the header Authorization: Bearer <key>")
        text = authorization[len(_SCHEME) :].strip()
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise _wrong()
        if hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self._admin_key):
            return self._root
        return self.of_key(text, now_us)

    def of_key(self, text: str, now_us: int) -> Access:
        """The rights of an API key's text. Raises Denied (401, 503)."""
        if not self._fresh():
            raise Denied(503, "unavailable", "keys cannot be checked now: this process has lost sight of the catalog")
        offset = self._catalog.next_offset
        if offset != self._as_of or len(self._remembered) >= MAX_REMEMBERED:
            self._remembered, self._as_of = {}, offset
        digest = key_hash(text)
        access = self._remembered.get(digest)
        if access is None:
            access = self._remembered[digest] = self._verified(text, digest)
        if access.expires_us is not None and now_us >= access.expires_us:
            raise Denied(
                401, "unauthorised", f"the key {access.key_id} has expired; make another with `weir key create`"
            )
        return access

    def _verified(self, text: str, digest: str) -> Access:
        name = key_name(text)
        # Not by a view: views are cached by namespace, and this one is whatever a stranger wrote.
        versions = self._catalog.versions(*name.entry, self._as_of) if name is not None else []
        try:
            key: ApiKey | None = versions[-1].model if versions and not versions[-1].retired else None
        except ValidationError:
            key = None  # written by something that is not Weir; nobody's key fits it
        # An unknown id costs as much as a wrong secret, and both are told the same.
        if not hmac.compare_digest(digest, key.hash if key is not None else _NO_HASH) or key is None or name is None:
            raise _wrong()
        expires = None if key.expires_at is None else micros(key.expires_at)
        author = f"{key.name} ({key.code})" if key.name else key.code
        return Access(name.namespace, frozenset(key.scopes), author, key.code, key.limits, expires)


def _wrong() -> Denied:
    return Denied(401, "unauthorised", "wrong or revoked key; send the header Authorization: Bearer <key>")
