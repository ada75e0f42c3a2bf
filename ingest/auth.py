"""Who may do what at the gateway: the keys of ``schemas.api_keys`` and the table of ``schemas.access``, as HTTP problems."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from ingest.limits import Limits, TooMuch
from ingest.problems import Problem, of_denial, too_much
from schemas.access import Scopes, scopes_of
from schemas.api_keys import Access, Denied, Keyring
from schemas.catalog.follower import CatalogFollower
from schemas.settings import Settings, SettingsError

NAMESPACE_HEADER: Final = "weir-namespace"
_FRESH_SECONDS: Final = 5.0


def admin_key(settings: Settings) -> str:
    """The settings' admin key. Raises SettingsError where there is none: an open gateway is never meant."""
    key = settings.admin_key.get_secret_value()
    if not key:
        raise SettingsError("WEIR_ADMIN_KEY is empty; set it to a long random text (`weir up` makes one)")
    return key


class Guard:
    """Asked for every request, before anything of it is read but its head."""

    def __init__(
        self, settings: Settings, catalog: CatalogFollower, now_us: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._keys = Keyring(admin_key(settings), catalog.catalog, lambda: catalog.fresh(_FRESH_SECONDS))
        self._limits = Limits(settings)
        self._now_us = now_us
        self._clock = clock
        self._default_namespace = settings.namespace

    def access(self, request: Request, sufficient: Scopes) -> Access:
        """The bearer's rights, which include one of the scopes. Raises Problem (401, 403, 429, 503)."""
        try:
            found = self._keys.access(request.headers.get("authorization"), self._now_us())
            found.require(sufficient)
            if (buckets := self._limits.of(found, self._clock())) is not None:
                buckets.request(self._clock())
        except Denied as denied:
            raise of_denial(denied) from None
        except TooMuch as error:
            raise too_much(error) from None
        return found

    def spend(self, access: Access, *, size: int = 0, events: int = 0) -> None:
        """Count bytes of a body or events against the key's limits; what is spent on credit is waited for later."""
        if (buckets := self._limits.of(access, self._clock())) is not None:
            buckets.spend(size, events)

    def route(self, request: Request) -> Access | None:
        """The rights for the route that the request was matched to, None for an open one. Raises Problem."""
        path = str(getattr(request.scope.get("route"), "path", ""))
        sufficient = scopes_of("gateway", request.method, path)
        if sufficient is None:
            raise Problem(403, "scope", f"no scope is set for {request.method} {path}; this is a fault of Weir")
        if not sufficient:
            return None
        found = self.access(request, sufficient)
        self.namespace(request, found)  # so that no route can forget it
        return found

    def namespace(self, request: Request, access: Access) -> str:
        """The namespace that the request means and its key may reach. Raises Problem (403)."""
        try:
            return access.choose(request.headers.get(NAMESPACE_HEADER), self._default_namespace)
        except Denied as denied:
            raise of_denial(denied) from None
