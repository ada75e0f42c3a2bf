"""What the routes share: the catalog, the checkpoints and the keys as they are now, and the way to ask ClickHouse."""

from __future__ import annotations

import asyncio
import hmac
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Final, TypeVar

from clickhouse_connect.driver.client import Client
from fastapi import Depends, Header, Request

from rating.api.entitlements.credit_balances import CreditBalances, balance_pools
from rating.api.entitlements.grant_book import GrantBook
from rating.api.entitlements.keeper_pools import bounded_pool, refreshing_pool, remeasuring_pool
from rating.api.entitlements.reservation_desk import ReservationDesk
from rating.api.entitlements.reservation_log import ReservationLog
from rating.api.entitlements.usage_keeper import UsageKeeper
from rating.api.invoice_ledger import InvoiceLedger
from rating.api.query_scheduler import NOBODY, GoOn, QueryScheduler, QueryTenant
from rating.api.rating_problems import RatingProblem, missing, of_busy, of_denial
from rating.api.visitors.ended_sessions import EndedSessions
from rating.api.visitors.gateway_client import GatewayClient
from rating.api.visitors.identity_provider import provider_of
from rating.api.visitors.login_attempts import LoginAttempts
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import PrepaidLeft
from rating.estimates.prepaid_left import prepaid_left
from rating.explain import Ledgers
from rating.held_books import HeldBooks
from rating.pipeline.pipeline_watch import PipelineWatch
from rating.pipeline.progress import LedgersRead
from rating.topups.shortfall import AccountCurrency
from rating.topups.topup_desk import TopupDesk
from schemas.catalog.access.users import User
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import Entry, NamespaceView
from schemas.clickhouse.pool import ClickHousePool
from schemas.health.readiness import UnreadyReason
from schemas.http.api_keys import Access, Denied, Keyring
from schemas.http.fair_threads import FairThreads
from schemas.http.second_looks import SecondLooks
from schemas.http.shares import Busy, SharePlan
from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.checkpoint_folds.stored_checkpoints import StoredCheckpoints
from schemas.ledgers.checkpoints import Checkpoints, RolledUp, read_progress
from schemas.ledgers.generations import Offsets
from schemas.ledgers.ledger_follower import Follower
from schemas.ledgers.ledger_reader import LogRecord
from schemas.settings import Settings
from schemas.values.instants import micros
from schemas.values.record_copy import replace

COMPUTING: Final = SharePlan(places=2, each=1, each_key=1, waiting=20, seconds=15.0)
CHANGING: Final = SharePlan(places=6, each=3, each_key=2, waiting=100, seconds=15.0)
_FRESH_SECONDS: Final = 10.0
_PASSES: Final = "`weir status` tells what is up; it goes on by itself"

T = TypeVar("T")


class Rating:
    """The state of a rating service's process, which there is one of. ``start`` reads the ledgers to their ends;
    ``stop`` ends the threads that follow them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.checkpoints = Checkpoints()
        self.rolled_up = RolledUp()
        self.held_books = HeldBooks()
        self.invoice_ledger = InvoiceLedger(settings)
        self.approving: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Held by a namespace's approvals, one at a time."""
        self.login_tries = LoginAttempts()
        self.ended_sessions = EndedSessions()
        self.gateway = GatewayClient(settings)
        self.oidc = provider_of(settings)
        self.grants = GrantBook()
        quick, slow = balance_pools(settings)
        credit = CreditBalances(quick, self._prepaid_left, lambda: micros(self.now()), slow)
        pools = bounded_pool(settings), refreshing_pool(settings)
        self.usage_keeper = UsageKeeper(
            *pools, lambda: micros(self.now()), credit=credit, remeasuring=remeasuring_pool(settings)
        )
        self._catalog_end = 0
        self._catalog = CatalogFollower(settings, self._note_entry)
        self.pipeline = PipelineWatch(settings, self._ledgers_read)
        self.topups = TopupDesk(settings, self._catalog.wait_for)
        reservations = ReservationLog(settings, lambda: self._catalog.catalog.generations.state)
        self.reservations = ReservationDesk(reservations, self._progress, lambda: micros(self.now()))
        stored = StoredCheckpoints(settings, self.checkpoints)
        self._checkpoints_follower = Follower(settings, CHECKPOINTS, self._apply, fold=stored)
        self._questions = QueryScheduler(settings)
        self._computing = FairThreads(COMPUTING, "calculations")
        self._changing = FairThreads(CHANGING, "changes of invoices")
        self._pool = ClickHousePool(settings, 1)  # of the process itself
        self._asker = NOBODY
        self.keys = Keyring(
            settings.admin_key.get_secret_value(), self._catalog.catalog, lambda: self._catalog.fresh(_FRESH_SECONDS)
        )
        self.second_looks = SecondLooks(self._catalog.reached)

    async def _progress(self) -> Offsets:
        return await self._pool.ask(read_progress)

    def _prepaid_left(
        self, client: Client, view: NamespaceView, places: Collection[AccountCurrency], now_us: int
    ) -> Mapping[AccountCurrency, PrepaidLeft]:
        # Read before it is measured, which counts all of it.
        as_of = MeasuredAsOf(read_progress(client), now_us, view.settings.ahead_us)
        return prepaid_left(client, view, places, self.checkpoints, as_of)

    def _apply(self, record: LogRecord) -> None:
        self.checkpoints.apply_bytes(record.value)

    def _note_entry(self, entry: Entry) -> None:
        self._catalog_end = entry.offset + 1

    def _ledgers_read(self) -> LedgersRead:
        # Before the list of cuts, which another thread makes longer: a cut more is one that is to be rolled up.
        last = self.checkpoints.last
        return LedgersRead(
            self._catalog.catalog.generations.state,
            self._catalog.catalog.namespaces(),
            self._catalog_end,
            last.number if last else 0,
            last,
        )

    def start(self) -> None:
        """Raises LedgerUnavailable."""
        self._catalog.start()
        self._checkpoints_follower.start()
        self.pipeline.start()

    def stop(self) -> None:
        """End the threads that follow ledgers; questions under way are ended with their places."""
        self.pipeline.stop()
        self._catalog.stop()
        self._checkpoints_follower.stop()
        self.invoice_ledger.close()
        self.topups.close()
        self._pool.stop()
        self._questions.stop()
        self._computing.stop()
        self._changing.stop()

    def on_behalf_of(self, request: Request, tenant: str, key: str) -> Rating:
        """The same state for one request: its questions take the share of its tenant and its key, and those of a reader
        are ended when the client has gone."""
        bound = copy(self)
        bound._asker = QueryTenant(tenant, key, request.is_disconnected if request.method in ("GET", "HEAD") else None)
        return bound

    async def ask(self, question: Callable[[Client], T]) -> T:
        """Run ``question(client)``, which blocks, in a thread that owns a client. Raises Problem as
        ``QueryScheduler.ask`` does."""
        return await self._questions.ask(question, self._asker)

    async def compute(self, work: Callable[[], T]) -> T:
        """Run ``work``, which computes for at most some seconds and needs no ClickHouse, in a thread. Raises what it
        raises; Problem: 429 where this key has enough in line, 503 where no thread became free in time."""
        return await self._in_threads(self._computing, work)

    async def change(self, work: Callable[[], T]) -> T:
        """Run ``work``, which writes to a ledger and waits for Kafka, in a thread; it is carried through whether or
        not the client waits. Raises as ``compute``."""
        return await self._in_threads(self._changing, work)

    async def _in_threads(self, threads: FairThreads, work: Callable[[], T]) -> T:
        try:
            return await threads.run(self._asker.tenant, self._asker.key, work)
        except Busy as busy:
            raise of_busy(busy) from None

    async def ask_long(self, question: Callable[[Client, GoOn], T], request: Request) -> T:
        """The same for work of many seconds that only reads, whatever its method."""
        asker = replace(self._asker, gone=request.is_disconnected)
        return await self._questions.ask_long(question, asker)

    def namespaces(self) -> list[str]:
        """All declared namespaces."""
        return self._catalog.catalog.namespaces()

    def view(self, namespace: str | None) -> NamespaceView:
        """The catalog of a namespace (None: the settings') as of now. Raises Problem (404)."""
        name = namespace or self.settings.namespace
        view = self._catalog.catalog.view(name)
        if not view.known:
            raise missing(f"there is no namespace {name[:64]!r}; known: {', '.join(self.namespaces())}")
        return view

    def users(self, code: str, most: int) -> Iterator[tuple[str, User]]:
        """The namespaces, ``most`` at most, that have a user of this name, each with the user. Raises Denied (503)."""
        for name in self.namespaces():
            if most and (user := self.keys.user(name, code)) is not None:
                most -= 1
                yield name, user

    @property
    def ledgers(self) -> Ledgers:
        """Catalog and checkpoints as far as they have been read."""
        return Ledgers(self._catalog.catalog, self.checkpoints)

    async def unready(self) -> UnreadyReason | None:
        """Why this process cannot answer for the present, None where it can."""
        if not self._catalog.fresh(_FRESH_SECONDS):
            return UnreadyReason("catalog_stale", "the catalog is not up to date: Kafka does not answer", _PASSES)
        if not self._checkpoints_follower.fresh(_FRESH_SECONDS):
            detail = "the checkpoints are not up to date: Kafka does not answer"
            return UnreadyReason("checkpoints_stale", detail, _PASSES)
        try:  # past every queue of questions
            await self._pool.ask(lambda client: client.query("SELECT 1"))
        except Exception as error:  # whatever stands in the way of ClickHouse, its name is the answer
            return UnreadyReason("clickhouse_silent", f"ClickHouse does not answer: {type(error).__name__}", _PASSES)
        if (fault := self.reservations.unready) is not None:
            return UnreadyReason("reservations_unread", fault, _PASSES)
        return None

    def key_is(self, key: str) -> bool:
        """Whether ``key`` is the admin key, in constant time."""
        # Digests: comparing texts of different lengths tells by its time which length is right.
        given, right = (
            sha256(text.encode("utf-8", "replace")).digest()
            for text in (key, self.settings.admin_key.get_secret_value())
        )
        return hmac.compare_digest(given, right)

    @staticmethod
    def now() -> datetime:
        """The real present, UTC."""
        return datetime.now(UTC)

    def now_of(self, view: NamespaceView) -> datetime:
        """The present of a namespace, UTC, which a sandbox's clock may be ahead of the real one."""
        return view.settings.now(self.now())


def rating_of(request: Request) -> Rating:
    """The state of the process that serves the request."""
    rating: Rating = request.app.state.rating
    return rating


async def authorized(request: Request) -> Rating:
    """The process's state on behalf of a request whose key ``guard`` has checked."""
    access = request.state.access
    assert isinstance(access, Access)
    rating = rating_of(request)
    try:
        tenant = access.choose(request.headers.get("weir-namespace"), rating.settings.namespace)
    except Denied as denied:
        raise of_denial(denied) from None
    return rating.on_behalf_of(request, tenant, access.key_id)


Authorized = Annotated[Rating, Depends(authorized)]


async def _view(
    request: Request,
    rating: Authorized,
    weir_namespace: Annotated[str | None, Header(description="default: the key's own")] = None,
) -> NamespaceView:
    access: Access = request.state.access
    try:
        namespace = access.choose(weir_namespace, rating.settings.namespace)
    except Denied as denied:
        raise of_denial(denied) from None
    try:
        return rating.view(namespace)
    except RatingProblem:  # a gateway may have declared it a moment before
        if not await rating.second_looks.due(namespace):
            raise
    return rating.view(namespace)


View = Annotated[NamespaceView, Depends(_view)]
"""The catalog of the namespace in the header ``Weir-Namespace``."""
