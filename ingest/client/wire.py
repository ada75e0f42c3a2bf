"""The client's wire format: events with keys, request bodies, responses and errors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.errors import WeirError
from schemas.values.json_text import JsonObject

MAX_BATCH: Final = 100
BATCH_PATH: Final = "/v1/events/batch"
_RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
# A Decimal becomes a JSON number with all its digits; floats keep their shortest text.
encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class SendError(WeirError):
    """Base class of the client's errors."""


class GatewayUnavailable(SendError):
    """No final response before the deadline. The state of ``keys`` is unknown: send the same events again with
    these keys."""

    def __init__(self, detail: str, keys: Sequence[str]) -> None:
        super().__init__(f"{detail}; send the same events again with the same keys")
        self.keys = tuple(keys)


class Refusal(SendError):
    """The gateway refused a batch as a whole. ``problem``: its problem+json document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        path = f"{problem['path']}: " if problem.get("path") else ""
        super().__init__(f"{status} {path}{problem.get('detail') or problem.get('title') or 'refused'}")
        self.status = status
        self.problem = dict(problem)

    @property
    def of_sender(self) -> bool:
        """Whether it concerns the sender (key, namespace, address), so that every other batch would be refused too."""
        return self.status in (401, 403, 404, 405)

    @property
    def index(self) -> int | None:
        """Position in the batch of the event at fault, None if no event is."""
        index = self.problem.get("index")
        return index if isinstance(index, int) else None


@dataclass(frozen=True, slots=True)
class WireEvent:
    """One serialised event: every attempt sends these bytes with this key."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AttemptAnswer:
    """Response to one attempt. ``status`` 0: there was none, and ``body`` contains the reason."""

    status: int
    retry_after: float
    body: bytes


def item_of(event: Mapping[str, Any], new_key: Callable[[], str]) -> WireEvent:
    """Serialise an event, adding a key if it has none.

    An event is ``{"event_name", "account_id", "properties", "idempotency_key", "timestamp", "source"}``; Decimal
    and datetime values are written exactly. Raises TypeError for a value that JSON cannot represent.
    """
    key = event.get("idempotency_key")
    if key is None:
        key = new_key()
        event = {**event, "idempotency_key": key}
    return WireEvent(str(key), encode(event))


def body_of(items: Iterable[WireEvent]) -> bytes:
    """The body of a batch request."""
    return b'{"events":[' + b",".join([item.body for item in items]) + b"]}"


def lost(error: Exception) -> AttemptAnswer:
    """The Answer for a connection that failed."""
    return AttemptAnswer(0, 0.0, f"{type(error).__name__}: {error}".encode())


def answer_of(status: int, headers: Mapping[str, str], body: bytes) -> AttemptAnswer:
    """The Answer for a response. Only a Retry-After in seconds is understood."""
    try:
        retry_after = max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        retry_after = 0.0
    return AttemptAnswer(status, retry_after, body)


def retried(answer: AttemptAnswer) -> bool:
    """Whether another attempt may succeed; it is safe because the keys stay the same."""
    return answer.status == 0 or answer.status in _RETRIED


def problem_of(answer: AttemptAnswer) -> JsonObject:
    """The problem document of a response, or a substitute if it contains none."""
    try:
        document = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        document = None
    if isinstance(document, dict):
        return document
    return {"status": answer.status, "detail": answer.body[:500].decode(errors="replace")}


def rating_address(rating_url: str | None) -> str:
    """The rating service's, without a slash at its end. Raises ValueError where the client was not told."""
    if rating_url is None:
        raise ValueError("the client has no rating_url; give it the rating service's, such as http://127.0.0.1:8081")
    return rating_url.rstrip("/")


def failure_of(answer: AttemptAnswer) -> str:
    """Why an attempt failed, in words: its status, where there is one, and the problem's detail."""
    return f"{answer.status or ''} {problem_of(answer).get('detail', '')}".strip()


def batched(events: Iterable[Mapping[str, Any]], size: int = MAX_BATCH) -> Iterable[list[Mapping[str, Any]]]:
    """Lists of ``size`` events, the last one possibly shorter; lazy."""
    batch: list[Mapping[str, Any]] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
