"""Authorisation at the gateway: applies API keys (``schemas.http.api_keys``) and the table of scopes
(``schemas.http.scopes``) to requests, and raises HTTP problems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request

from ingest.http.bodies import MAX_BODY, announced, field, read_body
from ingest.http.fair_turns import FairTurns
from ingest.http.gateway_problems import Problem, of_busy, of_denial, overloaded, too_much
from ingest.http.overload import Overload
from ingest.http.rate_limits import BucketsByKey, Rates, TooMuch
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.follower import CatalogFollower
from schemas.http.api_keys import ON_BEHALF_OF, Access, Denied, KeyName, Keyring
from schemas.http.connections import Headers
from schemas.http.early_answers import EARLY
from schemas.http.scopes import Scopes, scopes_of
from schemas.http.second_looks import SecondLooks
from schemas.http.shares import Busy, SharePlan, Shares
from schemas.settings import Settings, SettingsError

NAMESPACE_HEADER: Final = "weir-namespace"
_NAMESPACE_FIELD: Final = NAMESPACE_HEADER.encode()
_ON_BEHALF_FIELD: Final = ON_BEHALF_OF.encode()
_FRESH_SECONDS: Final = 5.0
_SMALL: Final = 16 * 1024  # bodies up to this size need no reservation: for all possible connections they are some MB
_BODIES_WAITING: Final = 1_000
_ROOM_SECONDS: Final = 10.0


def admin_key(settings: Settings) -> str:
    """The admin key of the settings. Raises SettingsError if it is empty, since that would leave the gateway open."""
    key = settings.admin_key.get_secret_value()
    if not key:
        raise SettingsError("WEIR_ADMIN_KEY is empty; set it to a long random text (`weir up` makes one)")
    return key


@dataclass(slots=True)
class AdmittedRequest:
    """An event request that passed authentication and overload control."""

    access: Access
    tenant: str
    """The namespace to whose share of the gateway it counts."""
    since: float
    """When it was read, by the overload control's clock."""
    in_hand: bool = True


@dataclass(frozen=True, slots=True)
class ShedRequest:
    """An event request that is refused under overload; ``as_of``: see ``Keyring.unchanged``."""

    access: Access
    tenant: str
    as_of: int


class Guard:
    """Checks each request by its headers, before its body is read."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogFollower,
        now_us: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = Keyring(admin_key(settings), catalog.catalog, lambda: catalog.fresh(_FRESH_SECONDS))
        self._catalog = catalog.catalog
        self._limits = BucketsByKey(settings, self._bounds, lambda: catalog.catalog.next_offset)
        room = settings.body_bytes
        self._room = Shares(SharePlan(room, room // 4, room // 8, _BODIES_WAITING, _ROOM_SECONDS), "bodies")
        self._now_us = now_us
        self._clock = clock
        self._default_namespace = settings.namespace
        self.overload = Overload()
        self.second_looks = SecondLooks(lambda moment: catalog.reached(moment))
        self._turns: FairTurns | None = None
        self.served = 0.0
        """When the last request was started, by the clock."""

    async def access(self, request: Request, sufficient: Scopes) -> Access:
        """The bearer's rights, which include one of the ``sufficient`` scopes. Raises Problem (401, 403, 429, 503)."""
        access = await self._checked(request, lambda: self._on_behalf(request, self._bearer(request)))
        _require(access, sufficient)
        if self.overload.refuses(self._tenant(access, field(request, _NAMESPACE_FIELD))):
            raise overloaded()
        self._count(access)
        return access

    async def admit(self, request: Request) -> AdmittedRequest:
        """Admit an event request; it is in hand until ``sent`` or ``answered``. Scopes are checked by ``allow``.

        Raises Problem (401, 503).
        """
        admitted: AdmittedRequest | None = request.scope.get("state", {}).get(EARLY)
        if admitted is None:
            access = await self._checked(request, lambda: self._bearer(request))
            tenant = self._tenant(access, field(request, _NAMESPACE_FIELD))
            if self.overload.refuses(tenant):
                raise overloaded()
            admitted = self._admitted(access, tenant)
        return admitted

    async def begin(self, admitted: AdmittedRequest) -> None:
        """Wait until it is the request's turn to be worked at."""
        if (turns := self._turns) is None:
            loop = asyncio.get_running_loop()
            turns = self._turns = FairTurns(loop.call_soon, self.overload.begun_in_a_turn)
        if (waits := turns.enter(admitted.tenant, asyncio.get_running_loop().create_future)) is not None:
            await waits
        self.overload.begun(self.overload.clock() - admitted.since)

    def sent(self, admitted: AdmittedRequest) -> None:
        """Mark the request as waiting for Kafka: it is no longer in hand."""
        if admitted.in_hand:
            admitted.in_hand = False
            self.overload.let_go(admitted.tenant)

    def answered(self, admitted: AdmittedRequest) -> None:
        """Mark the request as answered; see ``admit``."""
        self.sent(admitted)
        self.overload.finished()

    def allow(self, admitted: AdmittedRequest, sufficient: Scopes) -> Access:
        """Rights of an admitted request, which include one of the ``sufficient`` scopes. Raises Problem (403, 429)."""
        _require(admitted.access, sufficient)
        self._count(admitted.access)
        return admitted.access

    async def _checked(self, request: Request, check: Callable[[], Access]) -> Access:
        """What ``check`` gives, looked at again where the key may have been made at another gateway just now. Raises
        Problem (401, 403, 503)."""
        try:
            return check()
        except Denied as denied:
            credentials = f"{field(request, b'authorization')} {field(request, _ON_BEHALF_FIELD)}"
            if not await self.second_looks.due_for_key(denied, credentials):
                raise of_denial(denied) from None
        try:
            return check()
        except Denied as denied:
            raise of_denial(denied) from None

    def _bearer(self, request: Request) -> Access:
        """Authenticate the bearer. Raises Denied (401, 503)."""
        return self._keys.access(field(request, b"authorization"), self._now_us())

    def _on_behalf(self, request: Request, access: Access) -> Access:
        """The rights of the key that a request with the admin key asks on behalf of; those of its own key where it
        names none. Raises Denied (401, 503), Problem (403)."""
        key_id = field(request, _ON_BEHALF_FIELD)
        if not key_id:
            return access
        if access is not self._keys.root:
            detail = f"{ON_BEHALF_OF}: the admin key alone asks on behalf of another; leave it out"
            raise Problem(403, "scope", detail)
        namespace = field(request, _NAMESPACE_FIELD) or self._default_namespace
        return self._keys.of_entry(KeyName(namespace, key_id), self._now_us())

    def _count(self, access: Access) -> None:
        """Count a request against the key's rate limits. Raises Problem (429)."""
        self.served = now = self._clock()
        try:
            if (buckets := self._limits.of(access, now)) is not None:
                buckets.request(now)
        except TooMuch as error:
            raise too_much(error) from None

    def spend(self, access: Access, *, size: int = 0, events: int = 0) -> None:
        """Count body bytes or events against the key's limits. They may exceed the limits, in which case later
        requests wait."""
        if (buckets := self._limits.of(access, self._clock())) is not None:
            buckets.spend(size, events)

    def early(self, headers: Headers) -> AdmittedRequest | ShedRequest | None:
        """As ``admit``, from the headers alone. None if the key is invalid; the application then answers with the
        reason."""
        fields = dict(reversed(headers))  # the first of repeated fields, as the application reads them
        as_of = self._catalog.next_offset  # before the key is looked up: a change meanwhile is a change since
        try:
            access = self._keys.access(_text(fields.get(b"authorization")), self._now_us())
        except Denied:
            return None
        tenant = self._tenant(access, _text(fields.get(_NAMESPACE_FIELD)))
        if self.overload.refuses(tenant):
            return ShedRequest(access, tenant, as_of)
        return self._admitted(access, tenant)

    def sheds(self, shed: ShedRequest) -> bool:
        """Whether a request with the same headers is to be refused now, too. False also where its key has to be
        verified again."""
        return self._keys.unchanged(shed.access, shed.as_of, self._now_us()) and self.overload.refuses(shed.tenant)

    def _admitted(self, access: Access, tenant: str) -> AdmittedRequest:
        self.overload.take(tenant)
        return AdmittedRequest(access, tenant, self.overload.clock())

    def _tenant(self, access: Access, namespace: str | None) -> str:
        return access.namespace or namespace or self._default_namespace

    def still(self, request: Request) -> None:
        """Check again whether the key is valid, for long requests. Raises Problem (401, 503)."""
        try:
            self._bearer(request)
        except Denied as denied:
            raise of_denial(denied) from None

    @property
    def default_rates(self) -> Rates:
        """The rate limits of a key that names none."""
        return self._limits.default

    def may_give(self, access: Access) -> Rates | None:
        """See ``BucketsByKey.may_give``."""
        return self._limits.may_give(access)

    def pause(self, access: Access) -> float:
        """Seconds until the key may send more; 0: now."""
        buckets = self._limits.of(access, self._clock())
        return 0.0 if buckets is None else buckets.pause(self._clock())

    def _bounds(self, namespace: str) -> NamespaceBounds | None:
        return self._catalog.view(namespace).settings.bounds

    async def small_body(self, request: Request, access: Access, limit: int = MAX_BODY) -> bytes | None:
        """The body if its headers announce it as small (see ``body``), else None."""
        size = announced(request)
        if size is None or size > _SMALL:
            return None
        return await read_body(request, limit, partial(self._received, access))

    @asynccontextmanager
    async def body(
        self, request: Request, access: Access, namespace: str, limit: int = MAX_BODY
    ) -> AsyncIterator[bytes]:
        """Context manager with the request's body (see ``read_body``); its bytes are counted against the key as
        they arrive, whatever the outcome.

        Memory is reserved for a large body until the context ends, and a key or namespace with many large bodies
        waits for its own share. Raises Problem 429 and 503 if no memory becomes free.
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

    async def route(self, request: Request) -> Access | None:
        """Rights for the route that the request matched; None for an open route. Raises Problem."""
        path = str(getattr(request.scope.get("route"), "path", ""))
        sufficient = scopes_of("gateway", request.method, path)
        if sufficient is None:
            raise Problem(403, "scope", f"no scope is set for {request.method} {path}; this is a fault of Weir")
        if not sufficient:
            return None
        access = await self.access(request, sufficient)
        self.namespace(request, access)  # checked here, so that no route can omit it
        return access

    def namespace(self, request: Request, access: Access) -> str:
        """The namespace that the request addresses, if its key may reach it. Raises Problem (403)."""
        try:
            return access.choose(field(request, _NAMESPACE_FIELD), self._default_namespace)
        except Denied as denied:
            raise of_denial(denied) from None


def _require(access: Access, sufficient: Scopes) -> None:
    """Check the scopes. Raises Problem (403)."""
    try:
        access.require(sufficient)
    except Denied as denied:
        raise of_denial(denied) from None


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("latin-1")
