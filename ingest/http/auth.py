"""Who may do what at the gateway: the keys of ``schemas.http.api_keys`` and the table of ``schemas.http.access``, as
HTTP problems."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request

from ingest.http.bodies import MAX_BODY, announced, read_body
from ingest.http.overload import Overload
from ingest.http.problems import Problem, of_busy, of_denial, overloaded, too_much
from ingest.http.rate_limits import Limits, Rates, TooMuch
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.follower import CatalogFollower
from schemas.http.access import Scopes, scopes_of
from schemas.http.api_keys import Access, Denied, Keyring
from schemas.http.serving import EARLY, Headers
from schemas.http.shares import Busy, Plan, Shares
from schemas.settings import Settings, SettingsError

NAMESPACE_HEADER: Final = "weir-namespace"
_NAMESPACE_FIELD: Final = NAMESPACE_HEADER.encode()
_FRESH_SECONDS: Final = 5.0
_SMALL: Final = 16 * 1024  # bodies that need no room kept: those of all connections there can be are some MB
_BODIES_WAITING: Final = 1_000
_ROOM_SECONDS: Final = 10.0


def admin_key(settings: Settings) -> str:
    """The settings' admin key. Raises SettingsError where there is none: an open gateway is never meant."""
    key = settings.admin_key.get_secret_value()
    if not key:
        raise SettingsError("WEIR_ADMIN_KEY is empty; set it to a long random text (`weir up` makes one)")
    return key


@dataclass(slots=True)
class Admitted:
    """An event request that is answered with more than a refusal of its head."""

    access: Access
    tenant: str
    """Whose share of the gateway it is counted to."""
    since: float
    """When it was read, by the overload's clock."""
    in_hand: bool = True


class Guard:
    """Asked for every request, before anything of it is read but its head."""

    def __init__(
        self, settings: Settings, catalog: CatalogFollower, now_us: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._keys = Keyring(admin_key(settings), catalog.catalog, lambda: catalog.fresh(_FRESH_SECONDS))
        self._catalog = catalog.catalog
        self._limits = Limits(settings, self._bounds, lambda: catalog.catalog.next_offset)
        room = settings.body_bytes
        self._room = Shares(Plan(room, room // 4, room // 8, _BODIES_WAITING, _ROOM_SECONDS), "bodies")
        self._now_us = now_us
        self._clock = clock
        self._default_namespace = settings.namespace
        self.overload = Overload()
        self.served = 0.0
        """When a request was taken up last, by the clock."""

    def access(self, request: Request, sufficient: Scopes) -> Access:
        """The bearer's rights, which include one of the scopes. Raises Problem (401, 403, 429, 503)."""
        access = self._bearer(request)
        _require(access, sufficient)
        if self.overload.refuses(self._tenant(access, request.headers.get(NAMESPACE_HEADER))):
            raise overloaded()
        self._count(access)
        return access

    def admit(self, request: Request) -> Admitted:
        """An event request is in hand until it is ``sent`` or ``answered``; its scopes are not looked at (see
        ``allow``).

        Raises Problem (401, 503).
        """
        admitted: Admitted | None = request.scope.get("state", {}).get(EARLY)
        if admitted is None:
            admitted = self._admitted(self._bearer(request), request.headers.get(NAMESPACE_HEADER))
        self.overload.begun(self.overload.clock() - admitted.since)
        return admitted

    def sent(self, admitted: Admitted) -> None:
        """It waits for Kafka, and is in hand no longer."""
        if admitted.in_hand:
            admitted.in_hand = False
            self.overload.let_go(admitted.tenant)

    def answered(self, admitted: Admitted) -> None:
        """See ``admit``."""
        self.sent(admitted)
        self.overload.finished()

    def allow(self, admitted: Admitted, sufficient: Scopes) -> Access:
        """The rights of an admitted request, which include one of the scopes. Raises Problem (403, 429)."""
        _require(admitted.access, sufficient)
        self._count(admitted.access)
        return admitted.access

    def _bearer(self, request: Request) -> Access:
        """Raises Problem (401, 503)."""
        try:
            return self._keys.access(request.headers.get("authorization"), self._now_us())
        except Denied as denied:
            raise of_denial(denied) from None

    def _count(self, access: Access) -> None:
        """A request of that key. Raises Problem (429)."""
        self.served = now = self._clock()
        try:
            if (buckets := self._limits.of(access, now)) is not None:
                buckets.request(now)
        except TooMuch as error:
            raise too_much(error) from None

    def spend(self, access: Access, *, size: int = 0, events: int = 0) -> None:
        """Count bytes of a body or events against the key's limits; what is spent on credit is waited for later."""
        if (buckets := self._limits.of(access, self._clock())) is not None:
            buckets.spend(size, events)

    def early(self, headers: Headers) -> Admitted | None:
        """What ``admit`` gives, by the head alone. None: the key is none, and the application says why. Raises Problem
        (503)."""
        fields = dict(reversed(headers))  # of a field that stands twice the first, which the application reads too
        try:
            access = self._keys.access(_text(fields.get(b"authorization")), self._now_us())
        except Denied:
            return None
        return self._admitted(access, _text(fields.get(_NAMESPACE_FIELD)))

    def _admitted(self, access: Access, namespace: str | None) -> Admitted:
        tenant = self._tenant(access, namespace)
        if self.overload.refuses(tenant):
            raise overloaded()
        self.overload.take(tenant)
        return Admitted(access, tenant, self.overload.clock())

    def _tenant(self, access: Access, namespace: str | None) -> str:
        return access.namespace or namespace or self._default_namespace

    def still(self, request: Request) -> None:
        """For a request that takes long: whether its key is one still. Raises Problem (401, 503)."""
        self._bearer(request)

    @property
    def default_rates(self) -> Rates:
        """Of a key that names none."""
        return self._limits.default

    def may_give(self, access: Access) -> Rates | None:
        """See ``Limits.may_give``."""
        return self._limits.may_give(access)

    def pause(self, access: Access) -> float:
        """Seconds until the key may send on, 0: now."""
        buckets = self._limits.of(access, self._clock())
        return 0.0 if buckets is None else buckets.pause(self._clock())

    def _bounds(self, namespace: str) -> NamespaceBounds | None:
        return self._catalog.view(namespace).settings.bounds

    async def small_body(self, request: Request, access: Access, limit: int = MAX_BODY) -> bytes | None:
        """The request's body where its head says that it is small: see ``body``. None: it is not."""
        size = announced(request)
        if size is None or size > _SMALL:
            return None
        return await read_body(request, limit, partial(self._received, access))

    @asynccontextmanager
    async def body(
        self, request: Request, access: Access, namespace: str, limit: int = MAX_BODY
    ) -> AsyncIterator[bytes]:
        """The request's body, read (see ``read_body``) and counted against the key's bytes as it comes, whatever
        becomes of it.

        A large one has room kept for it until it is let go of: a key or a namespace that has many under way waits for
        its own. Raises Problem 429 and 503 without room.
        """
        if (small := await self.small_body(request, access, limit)) is not None:
            yield small
            return
        size = announced(request)
        try:
            async with self._room.turn(namespace, access.key_id, limit if size is None else min(size, limit)):
                yield await read_body(request, limit, partial(self._received, access))
        except Busy as busy:
            raise of_busy(busy) from None

    def _received(self, access: Access, size: int) -> None:
        self.spend(access, size=size)

    def route(self, request: Request) -> Access | None:
        """The rights for the route that the request was matched to, None for an open one. Raises Problem."""
        path = str(getattr(request.scope.get("route"), "path", ""))
        sufficient = scopes_of("gateway", request.method, path)
        if sufficient is None:
            raise Problem(403, "scope", f"no scope is set for {request.method} {path}; this is a fault of Weir")
        if not sufficient:
            return None
        access = self.access(request, sufficient)
        self.namespace(request, access)  # so that no route can forget it
        return access

    def namespace(self, request: Request, access: Access) -> str:
        """The namespace that the request means and its key may reach. Raises Problem (403)."""
        try:
            return access.choose(request.headers.get(NAMESPACE_HEADER), self._default_namespace)
        except Denied as denied:
            raise of_denial(denied) from None


def _require(access: Access, sufficient: Scopes) -> None:
    """Raises Problem (403)."""
    try:
        access.require(sufficient)
    except Denied as denied:
        raise of_denial(denied) from None


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("latin-1")
