"""Questions that many wait for at once: what is asked for while one is under way is asked together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


def always(_error: Exception) -> bool:
    """Any failure may be of one key alone."""
    return True


class SharedQuestions(Generic[K, V]):
    """Puts one question at a time, of at most ``together`` keys. One that fails is halved where that may help
    (``halves``), so that a key fails alone, by ``most`` questions at most. ``ask``: its answers by key; ``failed``: the
    answers in place of those of a question that failed and is not halved, or raises what whoever waits is told. Called
    in one event loop."""

    def __init__(
        self,
        ask: Callable[[list[K]], Awaitable[Mapping[K, V]]],
        failed: Callable[[list[K], Exception], Mapping[K, V]],
        together: int,
        most: int = 1,
        halves: Callable[[Exception], bool] = always,
    ) -> None:
        self._ask = ask
        self._failed = failed
        self._together = together
        self._most = most
        self._halves = halves
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._asking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    def __contains__(self, key: K) -> bool:
        """Whether a key waits."""
        return key in self._waiting

    def stop(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            self._asking.cancel()

    def begin(self, keys: Collection[K]) -> dict[K, asyncio.Future[V]]:
        """Have the keys asked for, without waiting."""
        loop = asyncio.get_running_loop()
        futures = {key: self._waiting.setdefault(key, loop.create_future()) for key in keys}
        if futures and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask_all())
        return futures

    async def answers(self, keys: Collection[K]) -> dict[K, V]:
        """The answer to each key. Raises what ``failed`` does."""
        futures = self.begin(keys)
        if futures:
            await asyncio.wait(futures.values())
        return {key: future.result() for key, future in futures.items()}

    async def _ask_all(self) -> None:
        while self._waiting:
            lots = deque([list(self._waiting)[: self._together]])
            questions = 0
            while lots:
                lot = lots.popleft()
                questions += 1
                answers: Mapping[K, V] = {}
                fault: Exception | None = None
                try:
                    answers = await self._ask(lot)
                except Exception as error:  # whoever waits is told, whatever it is
                    if len(lot) > 1 and questions < self._most and self._halves(error):
                        lots += lot[: len(lot) // 2], lot[len(lot) // 2 :]
                        continue
                    try:
                        answers = self._failed(lot, error)
                    except Exception as problem:
                        fault = problem
                for key in lot:
                    future = self._waiting.pop(key)
                    if fault is None:
                        future.set_result(answers[key])
                        continue
                    future.set_exception(fault)
                    future.exception()  # somebody may have gone
