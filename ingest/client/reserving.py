"""State of a reservation while a client holds it, and of its requests while they are sent: decides from each response
whether to retry. Pure; time and randomness are arguments."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from ingest.client.sending import FailedAttempts
from ingest.client.wire import AttemptAnswer, Refusal, SendError, encode, problem_of, rating_address, retried
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

EXPIRES_IN: Final = 300
"""Seconds after which a reservation holds nothing, where the caller says nothing else."""
_EXPIRED: Final = "reservation_expired"
Ending = Literal["finalise", "release"]


class ReservationUnknown(SendError):
    """No final response before the deadline: whether it is reserved is not known. What may be reserved expires by
    itself; ``idempotency_key``: with it the same request can be sent again."""

    def __init__(self, detail: str, idempotency_key: str) -> None:
        super().__init__(f"{detail}; send the same again with idempotency_key {idempotency_key}, or let it expire")
        self.idempotency_key = idempotency_key


class Reserving:
    """Attempts of one request, until a response is final or ``deadline`` seconds have passed (None: no limit). Sending
    it twice is safe."""

    def __init__(self, url: str, request: Mapping[str, Any], deadline: float | None, now: float) -> None:
        """``request``: its body, with an ``idempotency_key``."""
        self.url = url
        self.body = encode(request)
        self._key = str(request["idempotency_key"])
        self._attempts = FailedAttempts(deadline, now)

    def take(self, answer: AttemptAnswer, now: float, jitter: float) -> JsonObject | float:
        """Take a response: the reservation, or the seconds to wait before the next attempt. Raises Refusal, and
        ReservationUnknown at the deadline."""
        if answer.status in (200, 201):
            try:
                document: JsonObject = msgspec.json.decode(answer.body, type=dict[str, Any])
            except (msgspec.DecodeError, msgspec.ValidationError):  # a proxy's, perhaps
                raise ReservationUnknown(f"{self.url}: the response is no reservation", self._key) from None
            return document
        if not retried(answer):
            raise Refusal(answer.status, problem_of(answer))
        pause = self._attempts.pause(answer, now, jitter)
        if pause is None:
            raise ReservationUnknown(f"{self.url}: no answer in {self._attempts}", self._key)
        return pause


class ReservedUse:
    """What is reserved, and what was used of it. ``document``: the service's last answer."""

    def __init__(self, document: JsonObject, url: str, key: str) -> None:
        """``url``: of the feature's reservations; ``key``: that of the request that will close it."""
        self.document = document
        self.used: Decimal | None = None
        self._url = url
        self._key = key

    @property
    def reservation_id(self) -> str:
        """The service's id of it."""
        return str(self.document["reservation_id"])

    @property
    def quantity(self) -> Decimal:
        """What is reserved."""
        return Decimal(self.document["quantity"])

    @property
    def state(self) -> str:
        """open, finalised, released or expired, as the service last said."""
        return str(self.document["state"])

    def use(self, quantity: Decimal | int) -> None:
        """The work used so much in all; it is finalised with that."""
        self.used = Decimal(quantity)

    def ending(self, failed: bool) -> Ending:
        """What leaving the context comes to: whose work failed and says nothing of its use has used nothing."""
        return "release" if failed and self.used is None else "finalise"

    def request(self, ending: Ending, deadline: float | None, now: float) -> Reserving:
        """The request that closes it: finalised with what was used, all that is reserved where nothing was said."""
        body: dict[str, Any] = {"idempotency_key": self._key}
        if ending == "finalise":
            body["quantity"] = format(self.quantity if self.used is None else self.used, "f")
        return Reserving(f"{self._url}/{quote(self.reservation_id, safe='')}/{ending}", body, deadline, now)

    def left(self, failure: SendError, failed: bool) -> None:
        """Leaving the context did not close it. Raises ``failure``, except where the reservation had expired, which
        changes nothing (events count), and where the work ``failed``, whose own error is told: then it expires."""
        if isinstance(failure, Refusal) and failure.problem.get("reason") == _EXPIRED:
            self.document = self.document | {"state": "expired"}
        elif not failed:
            raise failure
        log.warning("reservation %s is not closed, and expires by itself: %s", self.reservation_id, failure)


def reservations_url(rating_url: str | None, account_id: str, feature: str) -> str:
    """Where reservations of a feature are made. Raises ValueError where the client was not told."""
    account, code = (quote(text, safe="") for text in (account_id, feature))
    return f"{rating_address(rating_url)}/v1/accounts/{account}/entitlements/{code}/reservations"


def reserve_request(quantity: Decimal | int, expires_in: int, key: str) -> JsonObject:
    """The body of a reservation."""
    return {"quantity": format(Decimal(quantity), "f"), "expires_in": expires_in, "idempotency_key": key}
