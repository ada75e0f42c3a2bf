"""State of a client's checks of entitlements: what was answered, how old that may be, and what holds while nothing is
answered. Pure but for a lock; time is an argument, in seconds of a clock that never goes back."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ingest.client.wire import AttemptAnswer, Refusal, encode, failure_of, problem_of, rating_address, retried
from schemas.values.json_text import JsonObject

CHECK_PATH: Final = "/v1/entitlements/check"
MAX_AGE: Final = 1.0
"""Seconds for which an answer is taken again, where the caller says nothing else."""
PAUSE: Final = 1.0
"""Seconds after a failure in which the service is not asked again; where it says that it cannot answer one question
now, that question."""
MOST_KEPT: Final = 10_000
OnFailure = Literal["allow", "deny"]
_Question: TypeAlias = tuple[str, str, Decimal | None]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether the account may use the feature. ``known``: False where the service did not answer, and ``allowed`` is
    what the caller chose for that; ``reason`` and ``detail`` say why not. ``age``: seconds since the service answered;
    ``document``: what it answered, with limits and numbers, and ``as_of``: as of what; {} where it did not."""

    allowed: bool
    known: bool
    reason: str | None = None
    detail: str = ""
    age: float = 0.0
    document: JsonObject = field(default_factory=dict)
    as_of: JsonObject = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.allowed


class CheckMemory:
    """Answers by account, feature and quantity, at most ``most`` of them. Thread-safe."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[_Question, tuple[float, CheckResult]] = OrderedDict()
        # Of the service as a whole (None), and of questions that it could not answer now.
        self._failures: OrderedDict[_Question | None, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, question: _Question, max_age: float, on_failure: OnFailure, now: float) -> CheckResult | None:
        """An answer that needs no request: one that is young enough, or what holds shortly after a failure."""
        if on_failure not in ("allow", "deny"):
            raise ValueError(f"on_failure is {on_failure!r}; say allow (fail open) or deny (fail closed)")
        with self._lock:
            kept = self._kept.get(question)
            if kept is not None and now - kept[0] <= max_age:
                self._kept.move_to_end(question)
                return replace(kept[1], age=now - kept[0])
            for failed in (None, question):
                at, failure = self._failures.get(failed, (now - PAUSE, ""))
                if now - at < PAUSE:
                    return _unknown(on_failure, failure)
        return None

    def take(self, question: _Question, answer: AttemptAnswer, on_failure: OnFailure, now: float) -> CheckResult:
        """The result of a request. Raises Refusal for one that will never be answered (key, namespace, a wrong
        quantity)."""
        if answer.status == 200:
            try:
                result = _result(answer)
            except (ValueError, TypeError, KeyError):  # a proxy's, perhaps
                return self._failed(None, "it sent no answer to a check", on_failure, now)
            with self._lock:
                self._failures.pop(None, None)
                self._failures.pop(question, None)
                self._kept.pop(question, None)
                self._kept[question] = now, result
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return result
        if not retried(answer):
            raise Refusal(answer.status, problem_of(answer))
        of_question = answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.retry_after > 0
        return self._failed(question if of_question else None, failure_of(answer), on_failure, now)

    def _failed(self, what: _Question | None, failure: str, on_failure: OnFailure, now: float) -> CheckResult:
        with self._lock:
            self._failures.pop(what, None)
            self._failures[what] = now, failure
            while len(self._failures) > self._most:
                self._failures.popitem(last=False)
        return _unknown(on_failure, failure)


def _result(answer: AttemptAnswer) -> CheckResult:
    body: dict[str, Any] = msgspec.json.decode(answer.body)
    (document,) = body["results"]
    return CheckResult(document["allowed"], True, document["reason"], document["detail"], 0.0, document, body["as_of"])


def check_url(rating_url: str | None) -> str:
    """Where checks are asked. Raises ValueError where the client was not told."""
    return rating_address(rating_url) + CHECK_PATH


def check_body(question: _Question) -> bytes:
    """The request's body."""
    account_id, feature, quantity = question
    check = {"account_id": account_id, "feature": feature}
    return encode({"checks": [check if quantity is None else check | {"quantity": format(quantity, "f")}]})


def _unknown(on_failure: OnFailure, failure: str) -> CheckResult:
    allowed = on_failure == "allow"
    return CheckResult(allowed, False, None if allowed else "unavailable", f"the service did not answer: {failure}")
