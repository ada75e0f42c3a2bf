"""Spaces out a consumer's requests to Kafka: what came meanwhile comes in one answer.

aiokafka asks again as soon as an answer is consumed, however little came, and each request costs the worker and Kafka
something, while what it brings waits for the next flush.
A request that waits here is to aiokafka one that waits at the broker, as every request does that finds no records.
While little comes, what is metered is asked for once, just before the next flush begins: sooner it would only wait.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiokafka.consumer.consumer as consumer
import aiokafka.consumer.fetcher as fetcher

from schemas.settings import Settings
from stream_processors.fetching.flush_pause import WaitingRecords

REQUESTS_A_FLUSH: Final = 10
"""At most, while much comes."""
LEAD: Final = 0.02
"""How much of the time between two flushes a request leaves before the next one."""


class Pace:
    """When the next request to each broker may leave: ``seconds`` after the one before. Pure; monotonic seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sent: dict[int, float] = {}

    def wait(self, node: int, now: float) -> float:
        """Seconds until a request to the broker may leave; 0 after a pause."""
        sent = self._sent.get(node)
        return 0.0 if sent is None else max(0.0, sent + self._seconds - now)

    def sent(self, node: int, now: float) -> None:
        """A request leaves now."""
        self._sent[node] = now


class _PacedFetcher(fetcher.Fetcher):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's fetcher, whose requests leave at a ``Pace``; those for ``metered``, a topic, while a flush of
    ``waiting`` is waited for, ``lead_seconds`` before it."""

    pace_seconds = 0.0
    lead_seconds = 0.0
    metered = ""
    waiting: WaitingRecords

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._pace = Pace(self.pace_seconds)
        super().__init__(*arguments, **options)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._pace.wait(node_id, loop.time()))
            if any(topic == self.metered for topic, _ in request.topics):
                await asyncio.sleep(max(0.0, self.waiting.rest(loop.time()) - self.lead_seconds))
        except asyncio.CancelledError:
            return False  # closed, or the partitions were revoked: as if it had waited at the broker
        self._pace.sent(node_id, loop.time())
        return bool(await super()._proc_fetch_request(assignment, node_id, request))


def pace_fetches(settings: Settings, metered: str, waiting: WaitingRecords) -> None:
    """Space out the requests of all consumers that this process creates from now on: ``REQUESTS_A_FLUSH`` in the time
    between two flushes, or one for ``metered`` (a topic) while few of its records come, which are in ``waiting``.
    Patches ``aiokafka.consumer.consumer``."""
    pace = {
        "pace_seconds": settings.flush_seconds / REQUESTS_A_FLUSH,
        "lead_seconds": settings.flush_seconds * LEAD,
        "metered": metered,
        "waiting": waiting,
    }
    consumer.Fetcher = type("_Fetcher", (_PacedFetcher,), pace)
