"""Records of usage.reservations: so much of a feature is set apart for an account, and what closes that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from schemas.kafka.codec import codec
from schemas.ledgers.generations import Offsets, offsets_of, written_offsets
from schemas.prices.decimals import MAX_QUANTITY_DIGITS, exact_decimal, plain
from schemas.values.deterministic_ids import deterministic_id
from schemas.values.instants import SECOND

ClosingKind = Literal["finalised", "released"]
_CLOSINGS: Final[tuple[ClosingKind, ...]] = ("finalised", "released")
_codec = codec("usage_reservation")
_MOST_SECONDS_AHEAD: Final = 1 << 40
"""Far more than any clock is ahead, so that instants stay within 64 bits."""


@lru_cache(maxsize=1024)  # who reads a record asks several times
def reservation_id(namespace: str, account_id: str, feature: str, idempotency_key: str) -> str:
    """A deterministic id, equal in all processes: ``rsv_`` and 24 hexadecimal digits."""
    return deterministic_id("rsv_", namespace, account_id, feature, idempotency_key)


@dataclass(frozen=True, slots=True)
class Reservation:
    """``quantity`` of a feature is set apart for an account in [append, ``expires_us``).

    ``predecessor``: the claim id of the last reservation of account and feature that the decision took into account, ""
    for none; ``seen``: the topic below this offset was known, too. The decision rests on ``used`` of ``granted`` (of
    the decisive limit; None: none limits it) as of ``as_of_us`` and ``offsets``, and on ``held`` by others. Instants:
    microseconds UTC, real. ``claim_id``: who wrote the record; ``ahead_us``: how far the namespace's clock was ahead of
    the present for the decision. An advance since then lets it expire sooner.
    """

    namespace: str
    account_id: str
    feature: str
    idempotency_key: str
    quantity: Decimal
    expires_us: int
    decided_us: int
    predecessor: str
    seen: int
    claim_id: str
    granted: Decimal | None = None
    used: Decimal | None = None
    held: Decimal = Decimal(0)
    as_of_us: int = 0
    catalog_offset: int = 0
    offsets: Offsets = field(default_factory=dict)
    ahead_us: int = 0

    @property
    def clock_expires_us(self) -> int:
        """Its expiry by the namespace's clock."""
        return self.expires_us + self.ahead_us

    @property
    def clock_decided_us(self) -> int:
        """When it was decided, by the namespace's clock."""
        return self.decided_us + self.ahead_us

    @property
    def reservation_id(self) -> str:
        """See ``reservation_id``."""
        return reservation_id(self.namespace, self.account_id, self.feature, self.idempotency_key)

    def encode(self) -> bytes:
        """The record's bytes."""
        return _codec.encode(
            _record(self, "reserved", self.reservation_id)
            | {
                "expires_at": self.expires_us, "predecessor": self.predecessor, "seen": self.seen,
                "granted": _text(self.granted), "used": _text(self.used), "held": plain(self.held),
                "as_of": self.as_of_us, "catalog_offset": self.catalog_offset,
            }
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Closing:
    """A reservation is replaced by the usage that it was for (finalised, ``quantity`` of it), or given back (released,
    0). ``offsets``: its events lie below these positions of usage.events, so who has counted those has counted it.
    ``ahead_us``: as of a reservation."""

    namespace: str
    account_id: str
    feature: str
    reservation_id: str
    kind: ClosingKind
    quantity: Decimal
    idempotency_key: str
    decided_us: int
    claim_id: str
    offsets: Offsets = field(default_factory=dict)
    ahead_us: int = 0

    def encode(self) -> bytes:
        """The record's bytes."""
        return _codec.encode(_record(self, self.kind, self.reservation_id))


ReservationRecord: TypeAlias = Reservation | Closing


class _Body(msgspec.Struct, omit_defaults=True):
    """What the record's ``body`` says. ``seconds_ahead``: of the namespace's clock."""

    seconds_ahead: Annotated[int, msgspec.Meta(ge=0, le=_MOST_SECONDS_AHEAD)] = 0


_body: Final = msgspec.json.Decoder(_Body)


def _record(record: ReservationRecord, kind: str, number: str) -> dict[str, Any]:
    return {
        "namespace": record.namespace, "reservation_id": number, "kind": kind, "account_id": record.account_id,
        "feature": record.feature, "idempotency_key": record.idempotency_key, "quantity": plain(record.quantity),
        "expires_at": 0, "decided_at": record.decided_us, "predecessor": "", "seen": 0, "granted": "", "used": "",
        "held": "", "as_of": 0, "catalog_offset": 0,
        "body": msgspec.json.encode(_Body(record.ahead_us // SECOND)).decode(), "claim_id": record.claim_id,
        "offsets": written_offsets(record.offsets),
    }  # fmt: skip


def record_of(value: bytes) -> ReservationRecord:
    """The record in some bytes. Raises ValueError (CodecError is one) where they are none."""
    record: Mapping[str, Any] = _codec.decode(value)
    offsets, ahead_us = offsets_of(record), _body.decode(record["body"]).seconds_ahead * SECOND
    quantity = exact_decimal(record["quantity"], MAX_QUANTITY_DIGITS)
    if quantity < 0:
        raise ValueError(f"{record['reservation_id'][:40]!r} has a quantity below zero")
    account, number = (record["namespace"], record["account_id"], record["feature"]), record["reservation_id"]
    if record["kind"] in _CLOSINGS:
        return Closing(
            *account, number, record["kind"], quantity, record["idempotency_key"], record["decided_at"],
            record["claim_id"], offsets, ahead_us,
        )  # fmt: skip
    reservation = Reservation(
        *account, record["idempotency_key"], quantity, record["expires_at"], record["decided_at"],
        record["predecessor"], record["seen"], record["claim_id"], _decimal(record["granted"]),
        _decimal(record["used"]), _decimal(record["held"]) or Decimal(0), record["as_of"], record["catalog_offset"],
        offsets, ahead_us,
    )  # fmt: skip
    if record["kind"] != "reserved" or number != reservation.reservation_id:
        raise ValueError(f"{number[:40]!r} is no reservation of what the record names")
    return reservation


def _text(number: Decimal | None) -> str:
    return "" if number is None else plain(number)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no decimal number") from None
