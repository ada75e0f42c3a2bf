"""Who logged in at the provider becomes a user in the namespaces that their groups open, by the gateway's API: so what
they do has their name, their sessions can be ended, and every process knows it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from rating.api.context import Rating
from rating.api.rating_problems import unavailable
from rating.api.visitors.id_token import Identity
from rating.console.login.session import SessionKey
from schemas.catalog.access.users import User, UserRole, provider_code
from schemas.http.api_keys import USER_PREFIX, user_digest

log = logging.getLogger(__name__)

_READ_BACK: Final = 100
_PAUSE_SECONDS: Final = 0.05


async def opened_as(rating: Rating, identity: Identity, roles: Mapping[str, UserRole]) -> list[SessionKey]:
    """The namespaces of ``roles`` that there are, in each of which this is a user now; a user that stands elsewhere is
    removed. Raises Problem (503) where the gateway does not answer, Denied (503)."""
    code = provider_code(identity.issuer, identity.subject)
    declared = rating.namespaces()
    due = {name: role for name, role in roles.items() if name in declared}
    for name in roles.keys() - due.keys():
        log.warning("WEIR_OIDC_ROLES names %s, and there is no such namespace", name)
    for name in [name for name, _ in rating.users(code, len(declared)) if name not in due]:
        await rating.gateway.ask(rating.keys.root, name, "DELETE", f"/v1/users/{code}")
    for name, role in due.items():
        if not _is(rating.keys.user(name, code), identity, role):
            body = {"name": identity.email, "role": role, "issuer": identity.issuer, "subject": identity.subject}
            await rating.gateway.ask(rating.keys.root, name, "PUT", f"/v1/users/{code}", body)
    return [await _session_key(rating, identity, name, code, role) for name, role in due.items()]


def _is(user: User | None, identity: Identity, role: UserRole) -> bool:
    return user is not None and (user.role, user.name) == (role, identity.email)


async def _session_key(rating: Rating, identity: Identity, namespace: str, code: str, role: UserRole) -> SessionKey:
    """Once this process has read what the gateway wrote."""
    for _ in range(_READ_BACK):
        user = rating.keys.user(namespace, code)
        if user is not None and _is(user, identity, role):
            return SessionKey(namespace, USER_PREFIX + code, user_digest(user.proof))
        await asyncio.sleep(_PAUSE_SECONDS)
    raise unavailable("the login is recorded, and not read back yet")
