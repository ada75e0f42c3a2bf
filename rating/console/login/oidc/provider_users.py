"""Who logged in at the provider becomes a user in the namespaces that their groups open, by the gateway's API: so what
they do has their name, their sessions can be ended, and every process knows it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from rating.api.context import Rating
from rating.api.rating_problems import unavailable
from rating.api.visitors.id_token import Identity
from rating.console.login.session import SessionKey
from rating.console.login.user_sessions import read_back
from schemas.catalog.access.users import User, UserRole, provider_code

log = logging.getLogger(__name__)


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
        user = rating.keys.user(name, code)
        if user is None or not _is(identity, role, user):
            body = {"name": identity.email, "role": role, "issuer": identity.issuer, "subject": identity.subject}
            await rating.gateway.ask(rating.keys.root, name, "PUT", f"/v1/users/{code}", body)
    late = unavailable("the login is recorded, and not read back yet")
    return [await read_back(rating, name, code, partial(_is, identity, role), late) for name, role in due.items()]


def _is(identity: Identity, role: UserRole, user: User) -> bool:
    return (user.role, user.name) == (role, identity.email)
