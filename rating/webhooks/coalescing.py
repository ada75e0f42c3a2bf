"""Coalesces concurrent questions: those that arrive while a query runs are asked together by the next one. Few and
large queries under load, no wait without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Coalescing(Generic[Q, A]):
    """``ask`` takes up to ``limit`` questions and returns an answer to each, in order; what it raises, every caller of
    the batch gets raised."""

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], limit: int) -> None:
        self._ask = ask
        self._limit = limit
        self._open: list[tuple[Q, asyncio.Future[A]]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def __call__(self, question: Q) -> A:
        """The answer to ``question``, by this query or the next. Raises what ``ask`` raises."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._open.append((question, answer))
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        try:
            while self._open:
                batch, self._open = self._open[: self._limit], self._open[self._limit :]
                try:
                    answers = await self._ask([question for question, _ in batch])
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), answer in zip(batch, answers, strict=True):
                        if not future.done():  # who asked may have been cancelled
                            future.set_result(answer)
        finally:
            self._under_way = None
