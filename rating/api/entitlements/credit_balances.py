"""Prepaid balances of accounts whose grants have a ``credit_floor``, held in memory for checks.

A balance is what the close's own code makes of the account at an instant, so it is asked of ClickHouse: at most once a
second for each account and currency, and of many accounts together. One that is up to two seconds old answers at once;
where it is older than one, it is asked for anew beside that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from rating.api.entitlements.asker import Asker
from rating.api.entitlements.shared_questions import SharedQuestions
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
_SLOW_PLACES: Final = 2
_SLOW_SECONDS: Final = 1.0
"""A namespace whose last question took longer puts the next one in places where it waits for others of its kind, and
nobody else for it."""
_QUICK_SECONDS: Final = 2
_SECONDS: Final = 10
_TOO_LONG: Final = "Code: 159"
_MOST_KEPT: Final = 2_000
"""Of a namespace, but for those of the last two seconds: each keeps what its account's running periods are made of."""
_MOST_WAITING: Final = 2_000
_TOO_MANY: Final = PrepaidLeft(None, 0, "too many accounts are asked for their balance at once", asked_in_vain=True)

Balances = Callable[[Any, NamespaceView, Collection[AccountCurrency], int], Mapping[AccountCurrency, PrepaidLeft]]
"""From a client, the catalog, accounts with currencies and the instant to their balances; blocking."""


def balance_pools(settings: Settings) -> tuple[ClickHousePool, ClickHousePool]:
    """Places at ClickHouse for balances, each with bounds: whoever's take long, other checks wait for none. The second
    are for namespaces whose questions take long."""
    quick, slow = (
        {"max_memory_usage": settings.rating_query_bytes, "max_execution_time": seconds}
        for seconds in (_QUICK_SECONDS, _SECONDS)
    )
    return ClickHousePool(settings, _PLACES, quick), ClickHousePool(settings, _SLOW_PLACES, slow)


class _FlooredNamespace:
    """``known``: place → (the loop's time at which it was asked for, its balance); ``view``: the newest catalog that a
    check came with; ``slow``: whether its last question took long."""

    def __init__(self, view: NamespaceView, ask: _Ask) -> None:
        self.view = view
        self.known: dict[AccountCurrency, tuple[float, PrepaidLeft]] = {}
        self.slow = False
        self.questions = SharedQuestions(partial(ask, self), self._failed, _TOGETHER, _QUESTIONS)

    def keep(self, asked_at: float, answers: Mapping[AccountCurrency, PrepaidLeft]) -> None:
        """Hold these for a while."""
        if len(self.known) > _MOST_KEPT:
            since = asked_at - _HELD_SECONDS
            self.known = {pair: known for pair, known in self.known.items() if known[0] >= since}
        self.known |= {account_currency: (asked_at, left) for account_currency, left in answers.items()}

    def _failed(self, lot: list[AccountCurrency], error: Exception) -> Mapping[AccountCurrency, PrepaidLeft]:
        answers = dict.fromkeys(lot, PrepaidLeft(None, 0, str(explained(error)), asked_in_vain=True))
        self.keep(asyncio.get_running_loop().time(), answers)
        return answers


_Ask: TypeAlias = (
    "Callable[[_FlooredNamespace, list[AccountCurrency]], Awaitable[Mapping[AccountCurrency, PrepaidLeft]]]"
)


class CreditBalances:
    """The balances of all namespaces of a process; a namespace has one question at a time, and waits for no other whose
    questions take long. ``stop`` is called in the event loop. ``slow_pool``: for these; None: ``pool``; ``now_us``: the
    clock of the balances."""

    def __init__(
        self, pool: Asker, balances: Balances, now_us: Callable[[], int], slow_pool: Asker | None = None
    ) -> None:
        self._pool = pool
        self._slow_pool = slow_pool or pool
        self._balances = balances
        self._now_us = now_us
        self._namespaces: dict[str, _FlooredNamespace] = {}

    def stop(self) -> None:
        """End what is under way."""
        for namespace in self._namespaces.values():
            namespace.questions.stop()
        self._pool.stop()
        self._slow_pool.stop()

    async def of(
        self, view: NamespaceView, places: Collection[AccountCurrency]
    ) -> Mapping[AccountCurrency, PrepaidLeft]:
        """The balance of each account and currency; one that cannot be had says so, for two seconds."""
        if not places:
            return {}
        namespace = self._namespaces.get(view.namespace)
        if namespace is None:
            namespace = self._namespaces[view.namespace] = _FlooredNamespace(view, self._ask)
        if view.settings.seconds_ahead > namespace.view.settings.seconds_ahead:
            namespace.known.clear()
        if view.before >= namespace.view.before:
            namespace.view = view
        now = asyncio.get_running_loop().time()
        left: dict[AccountCurrency, PrepaidLeft] = {}
        old: list[AccountCurrency] = []
        missing: list[AccountCurrency] = []
        waiting = len(namespace.questions)
        for account_currency in places:
            asked_at, known = namespace.known.get(account_currency, (now - 1e9, None))
            if known is not None and now - asked_at <= (_PAUSE_SECONDS if known.asked_in_vain else _HELD_SECONDS):
                left[account_currency] = known
                if known.asked_in_vain or now - asked_at <= _FRESH_SECONDS:
                    continue
            if account_currency not in namespace.questions:
                waiting += 1
                if waiting > _MOST_WAITING:
                    left.setdefault(account_currency, _TOO_MANY)
                    continue
            (old if account_currency in left else missing).append(account_currency)
        namespace.questions.begin(old)
        return left | await namespace.questions.answers(missing)

    async def _ask(
        self, namespace: _FlooredNamespace, lot: list[AccountCurrency]
    ) -> Mapping[AccountCurrency, PrepaidLeft]:
        asked_at, now_us, view = asyncio.get_running_loop().time(), self._now_us(), namespace.view
        was_slow = namespace.slow
        try:
            answers = await self._timed(namespace, view, lot, now_us)
        except Exception as error:
            if was_slow or _TOO_LONG not in str(error):
                raise
            namespace.slow = True
            answers = await self._timed(namespace, view, lot, now_us)
        namespace.keep(asked_at, answers)
        return answers

    async def _timed(
        self, namespace: _FlooredNamespace, view: NamespaceView, lot: list[AccountCurrency], now_us: int
    ) -> Mapping[AccountCurrency, PrepaidLeft]:
        """Ask where the namespace's questions go, and see whether that took long."""
        loop, pool = asyncio.get_running_loop(), self._slow_pool if namespace.slow else self._pool
        began = loop.time()

        def question(client: Any) -> Mapping[AccountCurrency, PrepaidLeft]:
            nonlocal began
            began = loop.time()  # not before: it may have waited for others
            return self._balances(client, view, lot, now_us)

        try:
            return await pool.ask(question)
        finally:
            namespace.slow = loop.time() - began > _SLOW_SECONDS
