"""State of one void while it is sent: decides from each response whether to retry. Pure; time and randomness are
arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.client.sending import FailedAttempts
from ingest.client.wire import AttemptAnswer, GatewayUnavailable, Refusal, encode, problem_of, retried

VOID_PATH: Final = "/v1/events/void"


@dataclass(frozen=True, slots=True)
class VoidTaken:
    """A void stored in Kafka, with its position; its effect is visible once it is metered."""

    idempotency_key: str
    source: str
    author: str
    generation: int
    partition: int
    offset: int


class Voiding:
    """Attempts to send one void, until a response is final or ``deadline`` seconds have passed (None: no limit).
    Sending it twice is safe: the second has no effect."""

    def __init__(self, key: str, reason: str, source: str, url: str, deadline: float | None, now: float) -> None:
        self.url = VOID_PATH
        self.body = encode({"idempotency_key": key, "reason": reason, "source": source})
        self._key = key
        self._gateway = url
        self._attempts = FailedAttempts(deadline, now)

    def take(self, answer: AttemptAnswer, now: float, jitter: float) -> VoidTaken | float:
        """Take a response: the result, or the seconds to wait before the next attempt. Raises Refusal, and
        GatewayUnavailable at the deadline."""
        if answer.status == 202:
            body = msgspec.json.decode(answer.body)
            return VoidTaken(body["idempotency_key"], body["source"], body["author"], **body["position"])
        if not retried(answer):
            raise Refusal(answer.status, problem_of(answer))
        pause = self._attempts.pause(answer, now, jitter)
        if pause is None:
            raise GatewayUnavailable(f"{self._gateway}: no acceptance in {self._attempts}", (self._key,))
        return pause
