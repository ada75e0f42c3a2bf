"""Sends a request again until its response is final, by a thread or in an event loop."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from ingest.client.wire import AttemptAnswer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Attempt = Callable[[str, bytes], AttemptAnswer]
"""From address and body of a request to what one attempt brought."""
AsyncAttempt = Callable[[str, bytes], Awaitable[AttemptAnswer]]


class RetriedRequest(Protocol[T_co]):
    """State of a request while it is sent, such as a ``Voiding``; sending it twice is safe."""

    @property
    def url(self) -> str:
        """Where it is sent: absolute, or a path at the client's address."""

    @property
    def body(self) -> bytes:
        """What every attempt sends."""

    def take(self, answer: AttemptAnswer, now: float, jitter: float) -> T_co | float:
        """The result, or the seconds to wait before the next attempt. Raises SendError."""


def answered(request: RetriedRequest[T], attempt: Attempt) -> T:
    """Send a request until its response is final. Raises as its ``take``."""
    while True:
        step = request.take(attempt(request.url, request.body), time.monotonic(), random.random())
        if not isinstance(step, float):
            return step
        threading.Event().wait(step)


async def async_answered(request: RetriedRequest[T], attempt: AsyncAttempt) -> T:
    """The same in an event loop."""
    while True:
        step = request.take(await attempt(request.url, request.body), time.monotonic(), random.random())
        if not isinstance(step, float):
            return step
        await asyncio.sleep(step)
