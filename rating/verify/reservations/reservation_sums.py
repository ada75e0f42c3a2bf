"""Reservations on usage.reservations: none was sold beyond its limit, and what is finalised was reserved."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Final

from rating.entitlements.granted import granted_to
from rating.pricing import plain
from rating.pricing.exact import exactly
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.reservations.reserved_quantities import ReservedQuantities
from rating.verify.scope import Scope
from schemas.catalog.state import Catalog
from schemas.kafka.topics import RESERVATIONS
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.reservations.reservation_record import Closing, Reservation, record_of
from schemas.ledgers.reservations.valid_reservations import FOLLOWED_US, MOST_APART_US, ValidReservations
from schemas.values.instants import SECOND

NAME: Final = "reservations"
_EVERY: Final = 10_000
_ZERO: Final = Decimal(0)
_REMEDY: Final = (
    "the account may have used more than its limit: compare `weir entitlements` with what it used, and report it as a"
    " bug of Weir"
)
_CLOCK_REMEDY: Final = "it may have held something for longer than it should: report it as a bug of Weir"
_UNKNOWN_REMEDY: Final = "nothing is held or counted by it; report it as a bug of Weir"


def check_reservations(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """All that the topic keeps (``retention.ms``, 7 days)."""
    with LedgerReader(scope.settings, RESERVATIONS) as reader:
        ends = reader.end_offsets()
        check_records(reader.read_to(ends), sum(ends.values()), scope.namespace, scope.catalog, findings, on_progress)


def check_records(
    records: Iterable[LogRecord],
    end: int,
    namespace: str | None,
    catalog: Catalog,
    findings: Findings,
    on_progress: VerifyProgress,
) -> None:
    """The log in its order; ``end``: its end offset. Where it does not begin at offset 0, what lies within a day of its
    first record is read and not judged: it may rest on what is gone."""
    valid, held = ValidReservations(), ReservedQuantities()
    limited = _Limited(catalog)
    judged_us: int | None = None
    for record in records:
        if judged_us is None:
            judged_us = record.append_us + FOLLOWED_US if record.offset else 0
        if record.offset % _EVERY == 0:
            on_progress(NAME, record.offset, end)
        try:
            entry = record_of(record.value)
        except ValueError:  # foreign bytes are void
            continue
        is_valid = valid.apply(entry, record.offset, record.append_us)
        own = namespace in (None, entry.namespace) and record.append_us >= judged_us
        if isinstance(entry, Closing):
            if is_valid:
                held.close(entry, record.offset)
            elif own and abs(record.append_us - entry.decided_us) <= MOST_APART_US:
                _check_known(valid, entry, findings)
        elif is_valid:
            least = held.reserve(entry)
            if own:
                _check_sum(entry, least, limited, findings)
                _check_clock(entry, limited.seconds_ahead(entry), findings)
    on_progress(NAME, end, end)


def _check_known(valid: ValidReservations, closing: Closing, findings: Findings) -> None:
    standing = valid.standing(closing.namespace, closing.reservation_id)
    if standing is None:
        where = f"{closing.reservation_id} of {closing.account_id} in {closing.namespace}"
        findings.add("reservation", where, f"a reservation before it is {closing.kind}", "none", _UNKNOWN_REMEDY)


def _check_sum(reservation: Reservation, least: Decimal, limited: _Limited, findings: Findings) -> None:
    where = f"{reservation.reservation_id} of {reservation.account_id} in {reservation.namespace}"
    if reservation.held < least:
        findings.add("reserved", where, f"at least {plain(least)} held by others", plain(reservation.held), _REMEDY)
    if reservation.granted is None or not limited.in_quantity(reservation):
        return
    with exactly():
        total = (reservation.used or _ZERO) + max(reservation.held, least) + reservation.quantity
    if total > reservation.granted:
        expected = f"at most {plain(reservation.granted)} used and held with it"
        findings.add("reserved", where, expected, plain(total), _REMEDY)


def _check_clock(reservation: Reservation, seconds: int, findings: Findings) -> None:
    if reservation.ahead_us != seconds * SECOND:
        where = f"{reservation.reservation_id} of {reservation.account_id} in {reservation.namespace}"
        expected = f"{seconds} s ahead, as the catalog says of the namespace's clock"
        findings.add("reserved", where, expected, f"{reservation.ahead_us // SECOND} s", _CLOCK_REMEDY)


class _Limited:
    """Whether the limit on which a reservation was decided is a hard one in quantity: what is held of one in money
    has no price in the record, and a soft one may be passed."""

    def __init__(self, catalog: Catalog) -> None:
        self._view = lru_cache(maxsize=16)(catalog.view)
        self._in_quantity = lru_cache(maxsize=4096)(self._asked)

    def in_quantity(self, reservation: Reservation) -> bool:
        """As of the catalog of the decision and its instant by the namespace's clock."""
        name, account_id, feature = reservation.namespace, reservation.account_id, reservation.feature
        now_us = reservation.as_of_us + reservation.ahead_us
        return self._in_quantity(name, reservation.catalog_offset, account_id, feature, now_us)

    def seconds_ahead(self, reservation: Reservation) -> int:
        """How far the namespace's clock was ahead as of the catalog of the decision."""
        return self._view(reservation.namespace, reservation.catalog_offset).settings.seconds_ahead

    def _asked(self, namespace: str, offset: int, account_id: str, feature: str, now_us: int) -> bool:
        grants = granted_to(self._view(namespace, offset), account_id, now_us).grants.get(feature, ())
        hard = [[limit for limit in grant.limits if limit.hard] for grant in grants]
        return any(hard) and all(limit.quantity is not None for limits in hard for limit in limits)
