"""The rows of a ``ReservationBook`` in its file (``schemas.ledgers.folds.fold_image``). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.entitlements.reservations.uncounted_usage import AccountFeature, Uncounted, covers
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.generations import Offsets
from schemas.ledgers.reservations.valid_reservations import NamespaceState, Standing, ValidReservations
from schemas.values.record_copy import replace

VERSION: Final = 2
"""Of the rows. Another one wherever they change, or what they mean."""
_encode: Final = msgspec.msgpack.encode
_log: Final = msgspec.msgpack.Decoder(tuple[int, int, dict[tuple[int, int], int]])
_namespace: Final = msgspec.msgpack.Decoder(NamespaceState)
_standing: Final = msgspec.msgpack.Decoder(Standing)
_uncounted: Final = msgspec.msgpack.Decoder(tuple[AccountFeature, list[Uncounted]])


def rows_of(book: ReservationBook) -> Iterator[Row]:
    """Those of the book as it is now; what it becomes while they are read does not matter."""
    clock_us, namespaces = book.valid.state()
    counted, uncounted = book.uncounted_state()
    return _encoded((book.valid.position, clock_us, counted), namespaces, uncounted)


def _encoded(
    log: tuple[int, int, Offsets],
    namespaces: list[NamespaceState],
    uncounted: list[tuple[AccountFeature, list[Uncounted]]],
) -> Iterator[Row]:
    yield "log", b"", _encode(log)
    for state in namespaces:
        yield "namespace", state.namespace.encode(), _encode(replace(state, standing=[]))
        for standing in state.standing:
            key = _encode((state.namespace, standing.reservation.reservation_id))
            yield "reservation", key, _encode(standing)
    for at, of_feature in enumerate(uncounted):
        yield "uncounted", at.to_bytes(8, "big"), _encode(of_feature)


def book_of(rows: Iterable[Row], counted: Offsets) -> ReservationBook:
    """The book of these rows, in whatever order of parts, by key within each. ``counted``: a cut that no decision will
    be earlier than. Raises ValueError (msgspec's errors are) where they are none of a book."""
    position, clock_us = -1, 0
    namespaces, standing, uncounted = list[NamespaceState](), list[Standing](), []
    for part, _, value in rows:
        match part:
            case "log":
                position, clock_us, known = _log.decode(value)
                if not covers(counted, known):
                    raise ValueError("ClickHouse has less of usage.events than it had: more may be uncounted")
            case "namespace":
                namespaces.append(_namespace.decode(value))
            case "reservation":
                standing.append(_standing.decode(value))
            case "uncounted":
                uncounted.append(_uncounted.decode(value))
            case _:
                raise ValueError(f"{part} is no part of reservations")
    if position < 0:
        raise ValueError("how far usage.reservations was read is missing")
    of_name = {state.namespace: state for state in namespaces}
    for holding in standing:
        of_name[holding.reservation.namespace].standing.append(holding)
    return ReservationBook(counted, ValidReservations.of_state(position, clock_us, namespaces), uncounted)
