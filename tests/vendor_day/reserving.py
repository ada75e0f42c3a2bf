"""Fifty clients at once reserve of one feature, use it, and finalise, release or crash."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from ingest.client import Refusal
from tests.vendor_day import vendor
from tests.vendor_day.answers import instant
from tests.vendor_day.fold import Call
from tests.vendor_day.pairs import Pair
from tests.vendor_day.patience import wait_until
from tests.vendor_day.reserved_fold import Held, peak
from tests.vendor_day.shop import Shop

_CLIENTS: Final = 50
_TURNS: Final = 3
_ACCOUNT: Final = "cobalt"
_FEATURE: Final = "runs"
_RESERVED: Final = 120
_EXPIRES_IN: Final = 15
_LEAST_LEFT: Final = timedelta(seconds=5)
"""Whose answer came so late does not begin: what is used after a reservation's expiry is not what it held."""


class Reservations:
    """Of one namespace. What was used is known by the events that were acknowledged."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._seed = seed
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_CLIENTS, thread_name_prefix="reserve")
        self._work: list[Future[None]] = []
        self._held: list[Held] = []
        self._ends: Counter[str] = Counter()

    def start(self) -> None:
        """Let the clients begin."""
        self._work = [self._pool.submit(self._client, number) for number in range(_CLIENTS)]

    def wait_for(self, ends: int) -> None:
        """Returns once so many turns are at an end, no client is left, or a minute has passed."""
        wait_until(lambda: sum(self._ends.values()) >= ends or all(work.done() for work in self._work), every=0.02)

    def finish(self) -> Iterator[Pair]:
        """Wait for the clients. Raises what a client raised."""
        with self._pool:
            for work in self._work:
                work.result()
        name = self._shop.namespace
        yield Pair("reservations", f"{name}: turns", sum(self._ends.values()), _CLIENTS * _TURNS)
        for end in ("finalised", "released", "crashed", "refused"):
            yield Pair("reservations", f"{name}: some are {end}", self._ends[end] > 0, True)
        greatest = peak(self._held)
        yield Pair(
            "reservations", f"{name}: {greatest} s used or held at once are over the limit",
            greatest > vendor.RUN_SECONDS, False,
        )  # fmt: skip
        yield from self._left()

    def summary(self) -> str:
        """What became of the reservations."""
        return (
            f"{self._shop.namespace}: {self._used()} of {vendor.RUN_SECONDS} s used, never more than {peak(self._held)}"
            f" used or held; {dict(sorted(self._ends.items()))}"
        )

    def _client(self, number: int) -> None:
        numbers = random.Random(f"{self._seed}/{self._shop.namespace}/{number}")
        client = self._shop.clients[number % len(self._shop.clients)]
        for turn in range(_TURNS):
            key = f"run-{number}-{turn}"
            end, used = numbers.random(), numbers.randint(40, _RESERVED)
            try:
                reservation = client.reserve(_ACCOUNT, _FEATURE, _RESERVED, expires_in=_EXPIRES_IN, idempotency_key=key)
            except Refusal as refusal:
                if refusal.problem.get("reason") != "limit_reached":
                    raise
                self._ended("refused")
                continue
            since, until = datetime.now(UTC), instant(reservation.document["expires_at"])
            if end < 0.2 or until - since < _LEAST_LEFT:
                self._ended("crashed", Held(since, until, _RESERVED, 0))
            elif end < 0.4:
                until = min(until, datetime.now(UTC))
                reservation.release()
                self._ended("released", Held(since, until, _RESERVED, 0))
            else:
                self._run(key, used)
                reservation.use(used)
                until = min(until, datetime.now(UTC))
                with reservation:
                    pass
                self._ended("finalised", Held(since, until, _RESERVED, used))

    def _run(self, key: str, seconds: int) -> None:
        call = Call(_ACCOUNT, key, datetime.now(UTC), seconds, vendor.RUN)
        self._shop.clients[0].send([call.event()])
        with self._lock:
            self._shop.fold.add([call])

    def _ended(self, end: str, held: Held | None = None) -> None:
        with self._lock:
            self._ends[end] += 1
            if held is not None:
                self._held.append(held)

    def _used(self) -> int:
        return sum(held.used for held in self._held)

    def _left(self) -> Iterator[Pair]:
        """Once all have expired a check says what the events left, and just that can be reserved."""
        left = vendor.RUN_SECONDS - self._used()
        wait_until(lambda: self._remaining() == left)
        name = self._shop.namespace
        yield Pair("reservations", f"{name}: seconds that remain", self._remaining(), left)
        yield Pair("reservations", f"{name}: {left + 1} s can be reserved", self._reserves(left + 1), False)
        if left:
            yield Pair("reservations", f"{name}: {left} s can be reserved", self._reserves(left), True)

    def _remaining(self) -> Decimal:
        limits = self._shop.answers.limits(_ACCOUNT)
        return next(Decimal(limit["remaining"]) for limit in limits if limit["feature"] == _FEATURE)

    def _reserves(self, quantity: Decimal) -> bool:
        try:
            self._shop.clients[0].reserve(_ACCOUNT, _FEATURE, quantity).release()
        except Refusal:
            return False
        return True
