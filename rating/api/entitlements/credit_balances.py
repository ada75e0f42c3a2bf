"""Prepaid balances of accounts whose grants have a ``credit_floor``, held in memory for checks.

A balance is what the close's own code makes of the account at an instant, so it is asked of ClickHouse: at most once a
second for each account and currency, and of many accounts together. One that is up to two seconds old answers at once;
where it is older than one, it is asked for anew beside that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rating.api.entitlements.asker import Asker
from rating.api.rating_problems import unavailable
from rating.entitlements.prepaid_floors import PrepaidLeft
from rating.topups.shortfall import AccountCurrency
from schemas.catalog.state import NamespaceView
from schemas.clickhouse.errors import explained
from schemas.clickhouse.pool import ClickHousePool
from schemas.settings import Settings

_FRESH_SECONDS: Final = 1.0
_HELD_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 2.0
"""After a failure the account is not asked for again so long."""
_TOGETHER: Final = 20
"""Accounts of one question: their periods are rated in one thread."""
_QUESTIONS: Final = 12
"""For so many accounts: enough to leave out one of them, and few where ClickHouse is away."""
_PLACES: Final = 2
_SECONDS: Final = 10
_MOST_KEPT: Final = 50_000
_MOST_WAITING: Final = 2_000

Balances = Callable[[Any, NamespaceView, Collection[AccountCurrency], int], Mapping[AccountCurrency, PrepaidLeft]]
"""From a client, the catalog, accounts with currencies and the instant to their balances; blocking."""


@dataclass(eq=False)
class _FlooredNamespace:
    """``known``: place → (the loop's time at which it was asked for, its balance, or why there is none); ``waiting``:
    each with who waits for it; ``view``: the newest catalog that a check came with."""

    view: NamespaceView
    known: dict[AccountCurrency, tuple[float, PrepaidLeft | Exception]] = field(default_factory=dict)
    waiting: dict[AccountCurrency, asyncio.Future[PrepaidLeft]] = field(default_factory=dict)
    asking: asyncio.Task[None] | None = None


def balance_pool(settings: Settings) -> ClickHousePool:
    """Places at ClickHouse for balances, each with bounds: whoever's take long, other checks wait for none."""
    bounds = {"max_memory_usage": settings.rating_query_bytes, "max_execution_time": _SECONDS}
    return ClickHousePool(settings, _PLACES, bounds)


class CreditBalances:
    """The balances of all namespaces of a process; a namespace has one question at a time. ``stop`` is called in the
    event loop. ``now_us``: the clock of the balances."""

    def __init__(self, pool: Asker, balances: Balances, now_us: Callable[[], int]) -> None:
        self._pool = pool
        self._balances = balances
        self._now_us = now_us
        self._namespaces: dict[str, _FlooredNamespace] = {}

    def stop(self) -> None:
        """End what is under way."""
        for namespace in self._namespaces.values():
            if namespace.asking is not None:
                namespace.asking.cancel()
        self._pool.stop()

    async def of(
        self, view: NamespaceView, places: Collection[AccountCurrency]
    ) -> Mapping[AccountCurrency, PrepaidLeft]:
        """The balance of each account and currency. Raises Problem (503) where one cannot be had."""
        if not places:
            return {}
        namespace = self._namespaces.setdefault(view.namespace, _FlooredNamespace(view))
        if view.before >= namespace.view.before:
            namespace.view = view
        loop = asyncio.get_running_loop()
        left: dict[AccountCurrency, PrepaidLeft] = {}
        futures: dict[AccountCurrency, asyncio.Future[PrepaidLeft]] = {}
        for account_currency in places:
            asked_at, known = namespace.known.get(account_currency, (0.0, None))
            age = loop.time() - asked_at
            if isinstance(known, Exception) and age < _PAUSE_SECONDS:
                raise known.with_traceback(None)  # else it keeps the frames of every raise
            if isinstance(known, PrepaidLeft) and age <= _HELD_SECONDS:
                left[account_currency] = known
            if account_currency in left and age <= _FRESH_SECONDS:
                continue
            if account_currency not in namespace.waiting and len(namespace.waiting) >= _MOST_WAITING:
                if account_currency in left:
                    continue
                raise unavailable("too many accounts are asked for their prepaid balance at once")
            future = namespace.waiting.setdefault(account_currency, loop.create_future())
            if account_currency not in left:
                futures[account_currency] = future
        if namespace.waiting and (namespace.asking is None or namespace.asking.done()):
            namespace.asking = asyncio.create_task(self._ask(namespace))
        if futures:
            await asyncio.wait(futures.values())
        return left | {account_currency: future.result() for account_currency, future in futures.items()}

    async def _ask(self, namespace: _FlooredNamespace) -> None:
        """Ask for what waits, until nothing does. A lot that fails is halved, so that an account fails alone."""
        while namespace.waiting:
            lots = deque([list(namespace.waiting)[:_TOGETHER]])
            questions = 0
            while lots:
                lot = lots.popleft()
                questions += 1
                asked_at, now_us, view = asyncio.get_running_loop().time(), self._now_us(), namespace.view
                outcome: Mapping[AccountCurrency, PrepaidLeft] | Exception
                try:
                    outcome = await self._pool.ask(
                        lambda client: self._balances(client, view, lot, now_us)  # noqa: B023  # called at once
                    )
                except Exception as error:
                    if len(lot) > 1 and questions < _QUESTIONS:
                        lots += lot[: len(lot) // 2], lot[len(lot) // 2 :]
                        continue
                    outcome = unavailable(f"the prepaid balance cannot be told: {explained(error)}")
                if len(namespace.known) > _MOST_KEPT:
                    namespace.known.clear()
                for account_currency in lot:
                    future = namespace.waiting.pop(account_currency)
                    if isinstance(outcome, Exception):
                        namespace.known[account_currency] = asked_at, outcome
                        future.set_exception(outcome)
                        future.exception()  # somebody may have gone
                        continue
                    namespace.known[account_currency] = asked_at, outcome[account_currency]
                    future.set_result(outcome[account_currency])
