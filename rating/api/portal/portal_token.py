"""Portal tokens: who holds one sees one account, until it expires or the key that made it is revoked. Signed by the
admin key, and kept nowhere. Pure.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from schemas.values.base64url import base64url, octets_of

PREFIX: Final = "weirp_"
MOST_SECONDS: Final = 86_400
_MOST_TEXT: Final = 2_000


@dataclass(frozen=True, slots=True)
class PortalGrant:
    """What a token opens. ``key_id``: the key that made it, "" for the admin key; ``expires_us``: until then."""

    namespace: str
    account_id: str
    key_id: str
    expires_us: int


def portal_token(secret: str, grant: PortalGrant) -> str:
    """The text of a token. ``secret``: the admin key of the settings."""
    said = json.dumps([grant.namespace, grant.account_id, grant.key_id, grant.expires_us], ensure_ascii=False)
    body = base64url(said.encode())
    return f"{PREFIX}{body}.{_signature(secret, body)}"


def grant_of(secret: str, token: str, now_us: int) -> PortalGrant | None:
    """What a token opens, in constant time; None for one that was not made under this secret, or has expired."""
    body, _, signature = token.removeprefix(PREFIX).partition(".")
    right = _signature(secret, body)
    if len(token) > _MOST_TEXT or not hmac.compare_digest(signature.encode("utf-8", "replace"), right.encode()):
        return None
    namespace, account_id, key_id, expires_us = json.loads(octets_of(body))
    return PortalGrant(namespace, account_id, key_id, expires_us) if now_us < expires_us else None


def _signature(secret: str, body: str) -> str:
    return hmac.new(secret.encode(), f"weir portal {body}".encode("utf-8", "replace"), sha256).hexdigest()
