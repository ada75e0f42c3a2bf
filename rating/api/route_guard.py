"""The check before every route: its key, scope, namespace and query parameters."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import Request

from rating.api.context import Rating, rating_of
from rating.api.rating_problems import RatingProblem, of_denial, unknown_parameters
from schemas.http.api_keys import Access, Denied
from schemas.http.parameters import KnownParameters
from schemas.http.scopes import Scopes, scopes_of
from schemas.values.instants import micros

_ANY_PARAMETERS: Final = frozenset({"/login/oidc/callback"})
"""Where others say what they like: a provider's answer may have parameters of its own (RFC 6749, 4.1.2)."""
_parameters: Final = KnownParameters()


async def guard(request: Request) -> None:
    """The check before every route: the key has one of the scopes that ``schemas.http.scopes`` names for it, and the
    query has no parameter that it does not take. Raises Problem."""
    path = str(getattr(request.scope.get("route"), "path", ""))
    sufficient = scopes_of("rating", request.method, path)
    if sufficient is None:
        raise RatingProblem(
            HTTPStatus.FORBIDDEN, f"no scope is set for {request.method} {path}; this is a fault of Weir"
        )
    if sufficient:
        try:
            request.state.access = await _access(request, rating_of(request), sufficient)
        except Denied as denied:
            raise of_denial(denied) from None
    if path not in _ANY_PARAMETERS and (wrong := _parameters.wrong(request)):
        raise unknown_parameters(wrong)


async def _access(request: Request, rating: Rating, sufficient: Scopes) -> Access:
    """The bearer's rights; the key is looked up again where it may have been made just now. Raises Denied."""
    authorization = request.headers.get("authorization")
    try:
        access = rating.keys.access(authorization, micros(rating.now()))
    except Denied as denied:
        if not await rating.second_looks.due_for_key(denied, authorization or ""):
            raise
        access = rating.keys.access(authorization, micros(rating.now()))
    access.require(sufficient)
    # Here too, so that no route can forget it: a key with another's namespace in the header gets nowhere.
    access.choose(request.headers.get("weir-namespace"), rating.settings.namespace)
    return access
