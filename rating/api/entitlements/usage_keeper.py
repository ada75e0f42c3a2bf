"""Keeps accounts' usage in memory for checks (``rating.entitlements.held_usage``), and asks ClickHouse for what is not
there.

Four times a second what was appended since is put to all that is held of a namespace. What is not held is measured
beside that, however long it takes, as of the cut that stood when it began, and is then brought forward by the same
query to the cut that stands; a namespace has one such question at a time, for all that was asked for meanwhile. Nobody
waits for either but whoever asks for an account that is not held, or first after a pause. What is to be held is made in
the thread that asked, and taken in the event loop at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from rating.api.entitlements.asker import Asker
from rating.api.entitlements.check_charges import Turns
from rating.api.entitlements.credit_balances import CreditBalances
from rating.api.entitlements.shared_questions import SharedQuestions
from rating.api.entitlements.unpaid_invoices import UnpaidInvoices
from rating.api.entitlements.usage_steps import advanced, joined, let_go
from rating.api.rating_problems import unavailable
from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import HeldUsage, MeasuredAsOf
from rating.entitlements.measuring import LogState, log_state, whole
from rating.usage import UsageGroup
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
_TOGETHER: Final = 2000
_MOST_WAITING: Final = 20_000
_MEASURED_AGAIN: Final = 600
"""Of so many lots all that is held is measured as a whole once more, one with every fourth refresh."""
_MOST_WEIGHT: Final = 320_000
"""About KiB. 10,000 accounts with a month and a full rolling window of 60 steps each weigh 220,000: a namespace may
have three quarters."""
_EXPECTED_AT_ONCE: Final = 200
_DROPPED_AT_ONCE: Final = 50
"""In the event loop, before it turns to others."""
_ATTEMPTS: Final = 5
_TOO_MANY_ROWS: Final = "Code: 396"
_TOO_MUCH: Final = ("Code: 241", "Code: 159")  # memory, time
_QUESTIONS: Final = 40


@dataclass(eq=False)
class _KeptNamespace:
    """``used``: the loop's time of the last check; ``refreshed``: done once the refresh under way, or the next one, is
    over; ``questions``: for what is not held; ``expected``: what will be asked for soon; ``ahead_us``: how far its
    clock is ahead of the present."""

    name: str
    questions: SharedQuestions[UsageKey, None]
    held: HeldUsage = field(default_factory=HeldUsage)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    refresher: asyncio.Task[None] | None = None
    again: asyncio.Task[None] | None = None
    expected: dict[UsageKey, None] = field(default_factory=dict)
    refreshed: asyncio.Event = field(default_factory=asyncio.Event)
    used: float = 0.0
    repairs: int = 0
    refreshes: int = 0
    ahead_us: int = 0


class UsageKeeper:
    """The held usage of all namespaces of a process. ``now_us``: the real clock; ``most_weight``: of all
    that is held, about KiB; ``unpaid``: interim invoices that are to be paid; ``credit``: prepaid
    balances; ``turns``: of limits, that were looked at. ``stop`` is called in the event loop.
    ``refreshing``: asks what brings forward what is held, ``remeasuring`` what is measured again in turn, ``pool`` the
    rest, and what is None."""

    def __init__(
        self,
        pool: Asker,
        refreshing: Asker,
        now_us: Callable[[], int],
        most_weight: int = _MOST_WEIGHT,
        credit: CreditBalances | None = None,
        remeasuring: Asker | None = None,
    ) -> None:
        self._pool = pool
        self._refreshing = refreshing
        self._remeasuring = remeasuring or pool
        self._now_us = now_us
        self._most_weight = most_weight
        self._namespaces: dict[str, _KeptNamespace] = {}
        self.unpaid = UnpaidInvoices(pool)
        self.credit = credit
        self.turns = Turns()

    def stop(self) -> None:
        """End what is under way."""
        for namespace in self._namespaces.values():
            namespace.questions.stop()
            for task in (namespace.refresher, namespace.again):
                if task is not None:
                    task.cancel()
        self.unpaid.stop()
        if self.credit is not None:
            self.credit.stop()
        self._pool.stop()
        self._refreshing.stop()
        self._remeasuring.stop()

    async def usage(
        self, name: str, keys: Sequence[UsageKey], now_us: int, ahead_us: int = 0
    ) -> tuple[MeasuredAsOf, dict[UsageKey, tuple[UsageGroup, ...]]]:
        """The groups of each of the keys, which are not empty, all as of one cut; ``now_us`` by the namespace's clock,
        which is ``ahead_us`` ahead of the present. Raises Problem (503) where ClickHouse does not answer."""
        namespace = self._namespaces.get(name)
        if namespace is None:
            namespace = self._namespaces[name] = self._kept(name)
        namespace.used = asyncio.get_running_loop().time()
        if ahead_us > namespace.ahead_us:  # all that is held was measured for the windows of a time long before
            namespace.ahead_us, namespace.held = ahead_us, HeldUsage()
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

    def expect(self, name: str, keys: Iterable[UsageKey]) -> None:
        """These keys of a namespace, whose usage was told before, will be asked for soon: they are measured by and by,
        and nobody waits."""
        namespace = self._namespaces[name]
        for key in keys:
            if len(namespace.expected) < _MOST_WAITING and not namespace.held.holds(key):
                namespace.expected[key] = None

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
        state = await self._refreshing.ask(log_state)
        if state.repairs != namespace.repairs or any(
            state.offsets.get(partition, -1) < end for partition, end in since.offsets.items()
        ):
            # Rows were written again, or ClickHouse is an older copy: nothing held is certain.
            namespace.held = HeldUsage()
            return
        as_of = MeasuredAsOf(state.offsets, at_us, since.ahead_us)
        held.take(await self._refreshing.ask(lambda client: advanced(client, namespace.name, held, since, as_of)))
        namespace.refreshes += 1
        if namespace.refreshes % 4 == 0 and (namespace.again is None or namespace.again.done()):
            expected = [namespace.expected.popitem()[0] for _ in range(min(_EXPECTED_AT_ONCE, len(namespace.expected)))]
            keys = expected or await self._refreshing.ask(lambda _client: held.again(_MEASURED_AGAIN))
            if keys:
                again = self._measured_again(namespace, held, sorted(keys, key=itemgetter(0)), not expected)
                namespace.again = asyncio.create_task(again)
        await self._bound(namespace)

    async def _measured(self, namespace: _KeptNamespace, keys: Collection[UsageKey]) -> None:
        """Have the keys measured, together with all that others wait for. Raises Problem."""
        if len(namespace.questions) > _MOST_WAITING:
            raise unavailable("too many accounts are asked for the first time at once")
        await namespace.questions.answers(keys)

    def _kept(self, name: str) -> _KeptNamespace:
        async def ask(keys: list[UsageKey]) -> dict[UsageKey, None]:
            await self._measure(namespace, await self._begun(namespace), keys, self._pool)
            return dict.fromkeys(keys)

        namespace = _KeptNamespace(name, SharedQuestions(ask, _failed, _TOGETHER, _QUESTIONS, _too_much))
        return namespace

    async def _begun(self, namespace: _KeptNamespace) -> HeldUsage:
        """What is held of the namespace, which has a cut from now on."""
        if namespace.held.as_of is None:
            async with namespace.lock:
                if namespace.held.as_of is None:
                    at_us = self._now_us()
                    state: LogState = await self._refreshing.ask(log_state)
                    namespace.repairs = state.repairs
                    namespace.held.as_of = MeasuredAsOf(state.offsets, at_us, namespace.ahead_us)
        return namespace.held

    async def _measure(
        self, namespace: _KeptNamespace, held: HeldUsage, keys: list[UsageKey], asker: Asker, again: bool = False
    ) -> None:
        """Measure the keys as a whole, while what is held goes on, and put them to it; ``again``: those that are still
        held. Nothing comes of it where something else is held by then."""
        since = held.as_of
        assert since is not None, "_begun gave it a cut"
        measured = await asker.ask(lambda client: whole(client, namespace.name, keys, since))
        async with namespace.lock:
            if namespace.held is held:
                held.take(
                    await self._refreshing.ask(
                        lambda client: joined(client, namespace.name, held, measured, since, again)
                    )
                )
                await self._bound(namespace)

    async def _measured_again(
        self, namespace: _KeptNamespace, held: HeldUsage, keys: list[UsageKey], again: bool
    ) -> None:
        """Measure the next part of what is held once more: what was written again in the log's past shows so at last;
        or, not ``again``, what is expected. What cannot be measured is let go."""
        try:
            await self._measure(namespace, held, keys, self._remeasuring, again)
        except Exception as error:  # of one account, perhaps: no other's use stays as it was for that
            log.warning("namespace %s: some usage for checks is not measured again: %s", namespace.name, error)
            async with namespace.lock:
                held.take(await self._refreshing.ask(lambda _client: let_go(held, keys)))

    async def _bound(self, namespace: _KeptNamespace) -> None:
        """Keep to the room that there is: a namespace has three quarters of it at most, and what nobody has used for
        long goes first."""
        fits = False
        while not fits:
            fits = namespace.held.shrink(self._most_weight * 3 // 4, _DROPPED_AT_ONCE)
            await asyncio.sleep(0)
        total = sum(candidate.held.weight for candidate in self._namespaces.values())
        for candidate in sorted(self._namespaces.values(), key=lambda other: other.used):
            if total <= self._most_weight:
                break
            if candidate is not namespace and not candidate.lock.locked():
                total -= candidate.held.weight
                candidate.held = HeldUsage()


def _too_much(error: Exception) -> bool:
    """Whether a question was too much for ClickHouse."""
    return any(code in str(error) for code in _TOO_MUCH)


def _failed(_keys: list[UsageKey], error: Exception) -> dict[UsageKey, None]:
    raise error
