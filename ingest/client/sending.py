"""State of one batch while it is sent: decides from each response whether to retry. Pure; time and randomness are
arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ingest.client.wire import AttemptAnswer, GatewayUnavailable, Refusal, WireEvent, failure_of, problem_of, retried

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Result of one batch: number of ``accepted`` events, or a ``refusal``.

    ``number``: position in the input, from 0. ``warnings``: for accepted events that a profile cannot measure:
    ``index``, ``path``, ``profile``, ``reason``, ``detail``.
    """

    number: int
    size: int
    keys: tuple[str, ...]
    accepted: int
    attempts: int
    refusal: Refusal | None = None
    warnings: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class Summary:
    """Totals of a run. ``accepted`` and ``refused`` count events; ``refusals`` holds the first 1,000."""

    batches: int = 0
    accepted: int = 0
    refused: int = 0
    retries: int = 0
    seconds: float = 0.0
    refusals: list[BatchResult] = field(default_factory=list)

    def add(self, result: BatchResult) -> None:
        """Add the result of one batch."""
        self.batches += 1
        self.accepted += result.accepted
        self.retries += result.attempts - 1
        if result.refusal is not None:
            self.refused += result.size
            if len(self.refusals) < 1000:
                self.refusals.append(result)


def pause_before(attempt: int, retry_after: float, jitter: float) -> float:
    """Seconds to wait before the next attempt after attempt number ``attempt`` (from 1) failed.

    Doubles up to 2 s, and is never below ``retry_after``. ``jitter`` in [0, 1) spreads senders that lost the same
    gateway.
    """
    backoff = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempt, 10)))
    return max(backoff * (0.5 + jitter / 2), retry_after * (1 + jitter / 10))


class FailedAttempts:
    """A request's attempts that failed, and for how long others follow: ``deadline`` seconds from ``now`` on; None: no
    limit."""

    def __init__(self, deadline: float | None, now: float) -> None:
        self._ends = None if deadline is None else now + deadline
        self._failure = "stopped"
        self.count = 0

    def pause(self, answer: AttemptAnswer, now: float, jitter: float) -> float | None:
        """One more failed: seconds to wait before the next one; None where the deadline comes first."""
        self.count += 1
        self._failure = failure_of(answer)
        pause = pause_before(self.count, answer.retry_after, jitter)
        return None if self._ends is not None and now + pause > self._ends else pause

    def __str__(self) -> str:
        return f"{self.count} attempts ({self._failure})"


class Sending:
    """Attempts to send one batch, until a response is final or ``deadline`` seconds have passed (None: no limit)."""

    def __init__(self, number: int, items: Sequence[WireEvent], url: str, deadline: float | None, now: float) -> None:
        self._number = number
        self._keys = tuple(item.key for item in items)
        self._url = url
        self._attempts = FailedAttempts(deadline, now)

    def take(self, answer: AttemptAnswer, now: float, jitter: float) -> BatchResult | float:
        """Take a response: the result, or the seconds to wait before the next attempt. Raises GatewayUnavailable at
        the deadline."""
        if answer.status == 202:
            body = msgspec.json.decode(answer.body)
            return self._result(body["accepted"], warnings=tuple(body.get("warnings", ())))
        if not retried(answer):
            return self._result(0, Refusal(answer.status, problem_of(answer)))
        pause = self._attempts.pause(answer, now, jitter)
        if pause is None:
            raise self.given_up()
        return pause

    def given_up(self) -> GatewayUnavailable:
        """The error for a batch that was not accepted."""
        return GatewayUnavailable(f"{self._url}: no acceptance in {self._attempts}", self._keys)

    def _result(
        self, accepted: int, refusal: Refusal | None = None, warnings: tuple[Mapping[str, Any], ...] = ()
    ) -> BatchResult:
        attempts = self._attempts.count + 1
        return BatchResult(self._number, len(self._keys), self._keys, accepted, attempts, refusal, warnings)
