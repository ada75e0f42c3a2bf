"""Keeps accounts' usage in memory for checks (``rating.entitlements.held_usage``), and asks ClickHouse for what is not
there.

A namespace has one question at a time: what was asked for meanwhile is measured together, and four times a second what
was appended since is put to all that is held. Nobody waits for that but whoever asks for an account that is not held,
or first after a pause. What is to be held is made in the thread that asked, and taken in the event loop at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rating.api.entitlements.asker import Asker
from rating.api.entitlements.unpaid_invoices import UnpaidInvoices
from rating.api.rating_problems import unavailable
from rating.entitlements.held_usage import NO_ADVANCE, Advance, HeldCut, HeldUsage, MeasuredAsOf, UsageKey
from rating.entitlements.held_values import Held
from rating.entitlements.measuring import LogState, appended, log_state, voided_between, whole
from rating.usage import UsageGroup
from schemas.clickhouse.pool import ClickHousePool
from schemas.settings import Settings
from schemas.values.instants import SECOND

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 0.25
"""From one refresh of a namespace to the next, as long as somebody checks."""
_REST: Final = 4
"""After a refresh that took longer than ``REFRESH_SECONDS`` the next one begins a fourth of that time later: waiting as
long as it took made an event count half a refresh later where ClickHouse is slow."""
_IDLE_SECONDS: Final = 30.0
_FRESH_US: Final = 2 * SECOND
_STALE_US: Final = 60 * SECOND
_FORGOTTEN_US: Final = 300 * SECOND
_PLACES: Final = 4
_TOGETHER: Final = 2000
_MOST_WAITING: Final = 20_000
_RENEWED: Final = 200
_MEASURED_AGAIN: Final = 600
"""Of so many lots all that is held is measured as a whole once more, one with every fourth refresh."""
_MOST_WEIGHT: Final = 320_000
"""About KiB. 10,000 accounts with a month and a full rolling window of 60 steps each weigh 220,000: a namespace may
have three quarters."""
_DROPPED_AT_ONCE: Final = 50
"""In the event loop, before it turns to others."""
_ATTEMPTS: Final = 5
_TOO_MANY_ROWS: Final = "Code: 396"
_TOO_MUCH: Final = ("Code: 241", "Code: 159")  # memory, time
_QUESTIONS: Final = 40
_BOUNDS: Final = {
    "max_execution_time": 20,
    # More than this was appended only where nobody looked for long: it is then measured again as a whole.
    "max_result_rows": 500_000,
    "result_overflow_mode": "throw",
}


@dataclass(eq=False)
class _KeptNamespace:
    """``used``: the loop's time of the last check; ``refreshed``: done once the refresh under way, or the next one, is
    over; ``waiting``: what is to be measured, each with who waits for it."""

    name: str
    held: HeldUsage = field(default_factory=HeldUsage)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: dict[UsageKey, asyncio.Future[None]] = field(default_factory=dict)
    asking: asyncio.Task[None] | None = None
    refresher: asyncio.Task[None] | None = None
    refreshed: asyncio.Event = field(default_factory=asyncio.Event)
    used: float = 0.0
    repairs: int = 0
    refreshes: int = 0


def bounded_pool(settings: Settings) -> ClickHousePool:
    """Places at ClickHouse for the questions of a keeper, each with bounds."""
    return ClickHousePool(settings, _PLACES, _BOUNDS | {"max_memory_usage": settings.rating_query_bytes})


class UsageKeeper:
    """The held usage of all namespaces of a process. ``now_us``: the clock of its answers; ``most_weight``: of all
    that is held, about KiB; ``unpaid``: interim invoices that are to be paid. ``stop`` is called in the event loop."""

    def __init__(self, pool: Asker, now_us: Callable[[], int], most_weight: int = _MOST_WEIGHT) -> None:
        self._pool = pool
        self._now_us = now_us
        self._most_weight = most_weight
        self._namespaces: dict[str, _KeptNamespace] = {}
        self.unpaid = UnpaidInvoices(pool)

    def stop(self) -> None:
        """End what is under way."""
        for namespace in self._namespaces.values():
            for task in (namespace.asking, namespace.refresher):
                if task is not None:
                    task.cancel()
        self.unpaid.stop()
        self._pool.stop()

    async def usage(
        self, name: str, keys: Sequence[UsageKey], now_us: int
    ) -> tuple[MeasuredAsOf, dict[UsageKey, tuple[UsageGroup, ...]]]:
        """The groups of each of the keys, which are not empty, all as of one cut. Raises Problem (503) where ClickHouse
        does not answer."""
        namespace = self._namespaces.get(name)
        if namespace is None:
            namespace = self._namespaces[name] = _KeptNamespace(name)
        namespace.used = asyncio.get_running_loop().time()
        await self._fresh(namespace)
        for _ in range(_ATTEMPTS):
            as_of, groups = namespace.held.as_of, dict[UsageKey, tuple[UsageGroup, ...]]()
            missing: list[UsageKey] = []
            for key in keys:
                found = namespace.held.usage(*key, now_us)
                if found is None:
                    missing.append(key)
                else:
                    groups[key] = found
            if not missing and as_of is not None:
                return as_of, groups
            await self._measured(namespace, missing)
        raise unavailable("what the account used could not be measured as of one instant")

    async def _fresh(self, namespace: _KeptNamespace) -> None:
        """Have the namespace refreshed from now on; wait for the first refresh where what is held is old."""
        if namespace.refresher is None or namespace.refresher.done():
            namespace.refreshed.clear()
            namespace.refresher = asyncio.create_task(self._keep_fresh(namespace))
        as_of = namespace.held.as_of
        if as_of is not None and self._now_us() - as_of.at_us > _FRESH_US:
            try:
                await asyncio.wait_for(namespace.refreshed.wait(), _FRESH_US / SECOND)
            except TimeoutError:
                log.warning("namespace %s: the usage for checks is older than 2 s", namespace.name)
            as_of = namespace.held.as_of
            if as_of is not None and self._now_us() - as_of.at_us > _STALE_US:
                raise unavailable("what is known of usage is older than a minute, and ClickHouse does not answer")

    async def _keep_fresh(self, namespace: _KeptNamespace) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() - namespace.used < _IDLE_SECONDS:
            began = loop.time()
            async with namespace.lock:
                try:
                    await self._refresh(namespace)
                except Exception as error:  # it stays as it is, and says as of when; the next refresh may do better
                    log.warning("namespace %s: the usage for checks is not refreshed: %s", namespace.name, error)
                    if _TOO_MANY_ROWS in str(error):  # more was appended than is put to what is held
                        namespace.held = HeldUsage()
            namespace.refreshed.set()
            took = loop.time() - began
            await asyncio.sleep(max(REFRESH_SECONDS - took, took / _REST))

    async def _refresh(self, namespace: _KeptNamespace) -> None:
        held, since = namespace.held, namespace.held.as_of
        if since is None:
            return
        at_us = self._now_us()
        if at_us - since.at_us > _FORGOTTEN_US:
            namespace.held = HeldUsage()
            return
        state = await self._pool.ask(log_state)
        if state.repairs != namespace.repairs or any(
            state.offsets.get(place, -1) < end for place, end in since.offsets.items()
        ):
            # Rows were written again, or ClickHouse is an older copy: nothing held is certain.
            namespace.held = HeldUsage()
            return
        as_of = MeasuredAsOf(state.offsets, at_us)
        held.take(await self._pool.ask(lambda client: _advanced(client, namespace.name, held, since, as_of)))
        namespace.refreshes += 1
        if namespace.refreshes % 4 == 0:
            held.take(await self._pool.ask(lambda client: _measured_again(client, namespace.name, held, as_of)))
        await self._bound(namespace)

    async def _measured(self, namespace: _KeptNamespace, keys: Iterable[UsageKey]) -> None:
        """Have the keys measured, together with all that others wait for. Raises Problem."""
        waiting = namespace.waiting
        if len(waiting) > _MOST_WAITING:
            raise unavailable("too many accounts are asked for the first time at once")
        loop = asyncio.get_running_loop()
        futures = [waiting.setdefault(key, loop.create_future()) for key in keys]
        if namespace.asking is None or namespace.asking.done():
            namespace.asking = asyncio.create_task(self._ask(namespace))
        await asyncio.wait(futures)
        for future in futures:
            if (error := future.exception()) is not None:
                raise error

    async def _ask(self, namespace: _KeptNamespace) -> None:
        """Measure what waits, until nothing does. A lot that is too much for ClickHouse is halved, so that one account
        fails alone."""
        while namespace.waiting:
            lots = deque([list(namespace.waiting)[:_TOGETHER]])
            questions = 0
            while lots:
                keys = lots.popleft()
                questions += 1
                fault: Exception | None = None
                try:
                    async with namespace.lock:
                        await self._measure(namespace, keys)
                except Exception as error:  # whoever waits is told, whatever it is
                    if len(keys) > 1 and questions < _QUESTIONS and any(code in str(error) for code in _TOO_MUCH):
                        lots += keys[: len(keys) // 2], keys[len(keys) // 2 :]
                        continue
                    fault = error
                for future in (namespace.waiting.pop(key) for key in keys):
                    if fault is None:
                        future.set_result(None)
                        continue
                    future.set_exception(fault)
                    future.exception()  # somebody may have gone

    async def _measure(self, namespace: _KeptNamespace, keys: list[UsageKey]) -> None:
        held = namespace.held
        if held.as_of is None:
            at_us = self._now_us()
            state: LogState = await self._pool.ask(log_state)
            namespace.repairs = state.repairs
            held.as_of = MeasuredAsOf(state.offsets, at_us)
        as_of = held.as_of
        held.take(
            await self._pool.ask(
                lambda client: held.ahead(NO_ADVANCE, whole(client, namespace.name, keys, as_of), as_of)
            )
        )
        await self._bound(namespace)

    async def _bound(self, namespace: _KeptNamespace) -> None:
        """Keep to the room that there is: a namespace has three quarters of it at most, and what nobody has used for
        long goes first."""
        fits = False
        while not fits:
            fits = namespace.held.shrink(self._most_weight * 3 // 4, _DROPPED_AT_ONCE)
            await asyncio.sleep(0)
        total = sum(each.held.weight for each in self._namespaces.values())
        for each in sorted(self._namespaces.values(), key=lambda other: other.used):
            if total <= self._most_weight:
                break
            if each is not namespace and not each.lock.locked():
                total -= each.held.weight
                each.held = HeldUsage()


def _advanced(client: Any, name: str, held: HeldUsage, since: MeasuredAsOf, as_of: MeasuredAsOf) -> HeldCut:
    """What is held as of ``as_of``; of what cannot be brought forward, what was used last is measured again, and the
    rest is let go; blocking."""
    if as_of.offsets == since.offsets:
        return held.ahead(NO_ADVANCE, {}, as_of)
    rows = appended(client, name, held.profiles(), since.offsets, as_of.offsets)
    advance = held.after(rows, voided_between(client, name, since.offsets, as_of.offsets), as_of.at_us)
    newest = held.newest(advance.stale, _RENEWED, as_of.at_us)
    return held.ahead(advance, _measured(client, name, newest, as_of) or {}, as_of)


def _measured_again(client: Any, name: str, held: HeldUsage, as_of: MeasuredAsOf) -> HeldCut:
    """What is held, as of the same cut, with the next part of it measured again: what was written again in the log's
    past shows so at last. What cannot be measured is let go; blocking."""
    keys = held.again(_MEASURED_AGAIN)
    measured = _measured(client, name, keys, as_of)
    if measured is None:
        return held.ahead(Advance({}, frozenset(keys)), {}, as_of)
    for key in keys:
        before = held.held(key)
        if before is not None and not before.agrees(measured[key]):
            log.error("namespace %s: usage held of account %s was not what is stored now", name, key[0])
    return held.ahead(NO_ADVANCE, measured, as_of)


def _measured(client: Any, name: str, keys: list[UsageKey], as_of: MeasuredAsOf) -> dict[UsageKey, Held] | None:
    """The keys, measured as a whole; None where that fails."""
    try:
        return whole(client, name, keys, as_of) if keys else {}
    except Exception as error:  # of one account, perhaps: no other's use stays as it was for that
        log.warning("namespace %s: some usage for checks is not measured again: %s", name, error)
        return None
