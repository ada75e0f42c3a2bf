"""From a request (reserve, finalise, release) to the record that it comes to, or to why not. Pure.

A request is looked at with what is known of the log, its record is written, and once that is read back the request is
looked at again: then it either stands, and is answered, or somebody decided meanwhile, and it comes to another record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.pricing.exact import exactly
from schemas.errors import WeirError
from schemas.ledgers.generations import Offsets
from schemas.ledgers.reservations.reservation_record import Closing, ClosingKind, Reservation, reservation_id
from schemas.ledgers.reservations.valid_reservations import Standing
from schemas.prices import plain
from schemas.values.instants import rfc3339

MOST_OPEN: Final = 1_000
"""Of an account."""
MOST_OPEN_OF_NAMESPACE: Final = 50_000
_ZERO: Final = Decimal(0)

RefusalReason = Literal[
    "not_granted", "limit_reached", "unpaid", "floor_reached", "undecided", "too_many_reservations", "conflict",
    "unknown_reservation", "reservation_finalised", "reservation_released", "reservation_expired",
]  # fmt: skip


HeldBeside: TypeAlias = Callable[[str, MeasuredAsOf], Decimal]
"""From a feature of an account, and a cut of usage.events, to what reservations hold of it beside what the cut has."""


class ReservationRefused(WeirError):
    """A request comes to nothing; the message says why, and the remedy."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: RefusalReason = reason


@dataclass(frozen=True, slots=True)
class ReserveRequest:
    """Set ``quantity`` of a feature apart until ``expires_us``, real. ``judge``: from what is held by others to the
    decision, by the usage as of ``as_of``, prepaid balances as of ``balances``, and the catalog below
    ``catalog_offset``. ``ahead_us``: how far the namespace's clock is ahead of the present."""

    namespace: str
    account_id: str
    feature: str
    quantity: Decimal
    expires_us: int
    idempotency_key: str
    judge: Callable[[HeldBeside], EntitlementDecision]
    as_of: MeasuredAsOf
    catalog_offset: int = 0
    balances: tuple[MeasuredAsOf, ...] = ()
    ahead_us: int = 0

    @property
    def reservation_id(self) -> str:
        """The id of the reservation that it asks for."""
        return reservation_id(self.namespace, self.account_id, self.feature, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class ClosingRequest:
    """Finalise a reservation with ``quantity``, or release it (0). ``ahead_us``: as of a ``ReserveRequest``."""

    namespace: str
    account_id: str
    feature: str
    reservation_id: str
    kind: ClosingKind
    quantity: Decimal
    idempotency_key: str
    ahead_us: int = 0


@dataclass(slots=True)
class Unwritten:
    """Records that are decided on and not in the log yet: what is decided next, and written after them, counts them."""

    ids: set[str] = field(default_factory=set)
    _last: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _held: dict[tuple[str, str, str], Decimal] = field(default_factory=dict)
    _open: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def add(self, reservation: Reservation) -> None:
        """One more."""
        account_feature = reservation.namespace, reservation.account_id, reservation.feature
        self.ids.add(reservation.reservation_id)
        self._last[account_feature] = reservation.claim_id
        with exactly():
            self._held[account_feature] = self.held(*account_feature) + reservation.quantity
        for account_id in (reservation.account_id, None):
            of = reservation.namespace, account_id
            self._open[of] = self._open.get(of, 0) + 1

    def last(self, namespace: str, account_id: str, feature: str) -> str | None:
        """The claim id of the last one of an account and feature."""
        return self._last.get((namespace, account_id, feature))

    def held(self, namespace: str, account_id: str, feature: str) -> Decimal:
        """What those of an account and feature hold."""
        return self._held.get((namespace, account_id, feature), _ZERO)

    def open_of(self, namespace: str, account_id: str | None) -> int:
        """How many they are of an account; None: of the namespace."""
        return self._open.get((namespace, account_id), 0)


def reserve(
    book: ReservationBook, unwritten: Unwritten, request: ReserveRequest, now_us: int, claim_id: str
) -> Standing | Reservation | None:
    """The reservation where it stands, else the record to write; None: one under its id is being written. ``now_us``:
    real. Raises ReservationRefused."""
    account_feature = request.namespace, request.account_id, request.feature
    name, account_id, _ = account_feature
    standing = book.valid.standing(name, request.reservation_id)
    if standing is not None:
        if standing.reservation.quantity != request.quantity:
            raise ReservationRefused(
                "conflict",
                f"idempotency_key {request.idempotency_key!r} has reserved {plain(standing.reservation.quantity)}, and "
                f"{plain(request.quantity)} is asked for now; use another key for another reservation",
            )
        return standing
    if request.reservation_id in unwritten.ids:
        return None
    for of, most in ((account_id, MOST_OPEN), (None, MOST_OPEN_OF_NAMESPACE)):
        if book.valid.open_of(name, of) + unwritten.open_of(name, of) >= most:
            whose = f"namespace {name}" if of is None else f"account {of!r}"
            raise ReservationRefused(
                "too_many_reservations",
                f"{most} reservations of {whose} are open; finalise or release some, or let them expire sooner",
            )

    def held_beside(feature: str, as_of: MeasuredAsOf) -> Decimal:
        with exactly():
            return book.held(name, account_id, feature, as_of.offsets, now_us + request.ahead_us) + unwritten.held(
                name, account_id, feature
            )

    held = held_beside(request.feature, request.as_of)
    decision = request.judge(held_beside)
    if not decision.allowed:
        raise ReservationRefused(reason_of_decision(decision), decision.detail)
    decisive = decision.decisive
    return Reservation(
        *account_feature, request.idempotency_key, request.quantity, request.expires_us, now_us,
        unwritten.last(*account_feature) or book.valid.head(*account_feature), book.valid.position, claim_id,
        decisive.granted if decisive is not None else None, decisive.used if decisive is not None else None, held,
        request.as_of.at_us, request.catalog_offset, request.as_of.offsets, request.ahead_us,
    )  # fmt: skip


def reason_of_decision(decision: EntitlementDecision) -> RefusalReason:
    """Why a decision that does not allow makes no reservation."""
    reason = decision.reason
    return reason if reason in ("not_granted", "limit_reached", "unpaid", "floor_reached") else "undecided"


def close(
    book: ReservationBook, request: ClosingRequest, ends: Offsets, now_us: int, claim_id: str
) -> Standing | Closing:
    """The reservation where this request has closed it, else the record to write; ``ends``: of usage.events, read after
    the request came; ``now_us``: real. Raises ReservationRefused."""
    standing = book.valid.standing(request.namespace, request.reservation_id)
    account_feature = request.account_id, request.feature
    if standing is None or (standing.reservation.account_id, standing.reservation.feature) != account_feature:
        raise ReservationRefused(
            "unknown_reservation",
            f"account {request.account_id[:64]!r} has no reservation {request.reservation_id[:64]!r} of "
            f"{request.feature[:64]!r}: it was never made, or was closed more than an hour ago",
        )
    state, closing = standing.state_at(now_us + request.ahead_us), standing.closing
    if state == "open":
        return Closing(
            request.namespace, *account_feature, request.reservation_id, request.kind, request.quantity,
            request.idempotency_key, now_us, claim_id, ends if request.kind == "finalised" else {}, request.ahead_us,
        )  # fmt: skip
    requested = request.kind, request.idempotency_key, request.quantity
    if closing is not None and (closing.kind, closing.idempotency_key, closing.quantity) == requested:
        return standing
    if state == "released" == request.kind:
        return standing
    raise _closed(standing, request)


def _closed(standing: Standing, request: ClosingRequest) -> ReservationRefused:
    number, closing = request.reservation_id, standing.closing
    if closing is None:
        expired = rfc3339(standing.reservation.clock_expires_us)
        return ReservationRefused(
            "reservation_expired",
            f"reservation {number} expired at {expired} and holds nothing since; events that were sent count all the "
            "same. Reserve for longer next time",
        )
    at = rfc3339(standing.closed_us)
    if closing.kind == "finalised":
        detail = (
            f"reservation {number} was finalised with {plain(closing.quantity)} at {at}; usage is corrected by events"
        )
        return ReservationRefused("reservation_finalised", detail)
    return ReservationRefused(
        "reservation_released", f"reservation {number} was released at {at}; events that were sent count all the same"
    )
