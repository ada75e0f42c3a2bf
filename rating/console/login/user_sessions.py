"""What the session of a user names, also of a user whom the gateway has just written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from rating.api.context import Rating
from rating.api.rating_problems import RatingProblem
from rating.console.login.session import SessionKey
from schemas.catalog.access.users import User
from schemas.http.api_keys import USER_PREFIX, user_digest

_LOOKS: Final = 100
_PAUSE_SECONDS: Final = 0.05


def user_session(namespace: str, user: User) -> SessionKey:
    """The session of a user in a namespace; it ends with what the user logs in by."""
    return SessionKey(namespace, USER_PREFIX + user.code, user_digest(user.proof))


async def read_back(
    rating: Rating, namespace: str, code: str, is_written: Callable[[User], bool], late: RatingProblem
) -> SessionKey:
    """The session of a user once this process has read what the gateway wrote. Raises ``late`` where that takes five
    seconds, and Denied (503)."""
    for _ in range(_LOOKS):
        user = rating.keys.user(namespace, code)
        if user is not None and is_written(user):
            return user_session(namespace, user)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise late
