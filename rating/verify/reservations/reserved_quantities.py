"""What reservations of an account and feature hold at the least when another one is decided, told from the log once
more. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from rating.pricing.exact import exact_sum
from schemas.ledgers.generations import Offsets
from schemas.ledgers.reservations.reservation_record import Closing, Reservation
from schemas.values.instants import SECOND

_APART_US: Final = 180 * SECOND
"""No decision is made that much before another one that lies below it, nor rests on a cut that is so old."""


@dataclass(frozen=True, slots=True)
class _Finalised:
    """``reserved`` until the record at ``offset`` closed it with ``used``, whose events lie below ``ends``."""

    offset: int
    reserved: Decimal
    used: Decimal
    ends: Offsets
    at_us: int


@dataclass(slots=True)
class _OfFeature:
    open: dict[str, Reservation] = field(default_factory=dict)
    finalised: deque[_Finalised] = field(default_factory=deque)


class ReservedQuantities:
    """Takes the valid records of usage.reservations in the order of the log."""

    def __init__(self) -> None:
        self._features: dict[tuple[str, str, str], _OfFeature] = {}

    def close(self, record: Closing, offset: int) -> None:
        """A reservation was finalised or released."""
        feature = self._feature(record)
        reservation = feature.open.pop(record.reservation_id, None)
        if reservation is not None and record.kind == "finalised":
            feature.finalised.append(
                _Finalised(offset, reservation.quantity, record.quantity, record.offsets, record.decided_us)
            )

    def reserve(self, record: Reservation) -> Decimal:
        """A reservation was made; what all others held at the least when it was decided. Of what was closed since its
        writer had read the log: the lesser of before and after."""
        feature = self._feature(record)
        now_us = record.clock_decided_us
        _forget(feature, record)
        still_open = (other.quantity for other in feature.open.values() if other.clock_expires_us > now_us)
        held = exact_sum((*still_open, *_uncounted(feature.finalised, record)))
        feature.open[record.reservation_id] = record
        return held

    def _feature(self, record: Reservation | Closing) -> _OfFeature:
        return self._features.setdefault((record.namespace, record.account_id, record.feature), _OfFeature())


def _uncounted(finalised: deque[_Finalised], record: Reservation) -> Iterator[Decimal]:
    for closing in reversed(finalised):
        is_counted = _is_counted(closing, record)
        if closing.offset < record.seen and is_counted:
            return  # so is what was finalised before it
        if not is_counted:
            yield closing.used if closing.offset < record.seen else min(closing.reserved, closing.used)


def _is_counted(finalised: _Finalised, record: Reservation) -> bool:
    """Whether the cut on which a decision rests has all events of what was finalised."""
    return all(record.offsets.get(partition, 0) >= end for partition, end in finalised.ends.items())


def _forget(feature: _OfFeature, record: Reservation) -> None:
    """What no decision from here on takes into account."""
    past_us = record.decided_us - _APART_US
    for number in [number for number, reservation in feature.open.items() if reservation.expires_us <= past_us]:
        del feature.open[number]
    while feature.finalised and feature.finalised[0].at_us <= past_us:
        if not _is_counted(feature.finalised[0], record):
            return
        feature.finalised.popleft()
