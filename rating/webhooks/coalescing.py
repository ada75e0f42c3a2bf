"""Questions that come while one is under way are asked together next: few and large queries where there is much to do,
no wait where not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Gathering(Generic[Q, A]):
    """``ask`` gets up to ``limit`` questions and gives an answer to each; what it raises, all of them raise."""

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], limit: int) -> None:
        self._ask = ask
        self._limit = limit
        self._open: list[tuple[Q, asyncio.Future[A]]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def __call__(self, question: Q) -> A:
        """Its answer."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._open.append((question, answer))
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        try:
            while self._open:
                some, self._open = self._open[: self._limit], self._open[self._limit :]
                try:
                    answers = await self._ask([question for question, _ in some])
                except Exception as error:
                    for _, future in some:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), answer in zip(some, answers, strict=True):
                        if not future.done():  # who asked may have been cancelled
                            future.set_result(answer)
        finally:
            self._under_way = None
