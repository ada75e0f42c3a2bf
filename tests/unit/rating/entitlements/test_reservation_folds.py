"""What is kept of the log of reservations: bounded, and the same for whoever begins to read it later."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.entitlements.reservations.reservation_requests import ReserveRequest, Unwritten, reserve
from rating.entitlements.reservations.uncounted_usage import MOST_APART, UncountedUsage
from schemas.ledgers.reservations.reservation_record import Closing, Reservation, record_of, reservation_id
from schemas.ledgers.reservations.valid_reservations import MOST_CLOSED, REMEMBERED_US, ValidReservations
from schemas.values.instants import SECOND
from tests.unit.rating.entitlements.reservation_services import EVENTS, PLACE, START, Log, Service


def test_a_record_far_from_its_writers_clock_is_void() -> None:
    log = Log()
    held_up = Service(log).reserving(("a", 4, 600))
    log.now_us += 61 * SECOND
    log.write(*held_up)
    assert log.fold().valid.standing("shop", reservation_id(*PLACE, "a")) is None


def test_what_is_closed_is_forgotten_and_so_is_memory_bounded() -> None:
    fold = ValidReservations()
    now_us, stale = START, 0
    for number in range(MOST_CLOSED + 50):
        reservation = Reservation(
            "shop", f"acct_{number}", "tokens", "a", Decimal(1), now_us + 3600 * SECOND, now_us, "", fold.position, "w"
        )
        assert fold.apply(reservation, fold.position, now_us)
        closing = Closing(
            "shop", f"acct_{number}", "tokens", reservation.reservation_id, "released", Decimal(0), "", now_us, "w"
        )
        assert fold.apply(closing, fold.position, now_us)
        now_us += 1000
    assert len(fold) == MOST_CLOSED
    assert fold.open_of("shop") == 0
    # It knew nothing of what is forgotten.
    ignorant = Reservation("shop", "acct_7", "tokens", "b", Decimal(1), now_us + SECOND, now_us, "", stale, "w")
    assert not fold.apply(ignorant, fold.position, now_us)
    other = Reservation("other", "acct_7", "tokens", "b", Decimal(1), now_us + SECOND, now_us, "", stale, "w")
    now_us += REMEMBERED_US + 61 * SECOND
    assert not fold.apply(other, fold.position, now_us)
    assert len(fold) == 0


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), min_size=10, max_size=40),
    st.integers(0, 20),
)
def test_who_begins_later_agrees_from_the_first_that_knew_all(steps: list[tuple[int, int, bool]], start: int) -> None:
    """Writers know the log up to so many records before its end; one that is up to date writes last."""
    log, writers = Log(), [ReservationBook(), ReservationBook(), ReservationBook()]
    unlimited = EntitlementDecision(True)

    def written(book: ReservationBook, key: str) -> None:
        as_of = MeasuredAsOf({}, log.now_us)
        request = ReserveRequest(*PLACE, Decimal(1), log.now_us + SECOND, key, lambda _: unlimited, as_of)
        record = reserve(book, Unwritten(), request, log.now_us, key)
        assert isinstance(record, Reservation)
        log.write(record)

    for number, (writer, _, follows) in enumerate(steps):
        log.now_us += SECOND // 4
        if follows:
            log.follow(writers[writer])
        written(writers[writer], f"k{number}")
    written(log.follow(writers[0]), "synchronous")
    for number, (writer, _, follows) in enumerate(steps):
        log.now_us += SECOND // 4
        if follows:
            log.follow(writers[writer])
        written(writers[writer], f"m{number}")
    whole, late = log.fold(), log.fold(min(start, len(steps)))

    def after(book: ReservationBook) -> set[tuple[str, str]]:
        kept = book.valid.remembered(*PLACE)
        return {(each.reservation.idempotency_key, each.state) for each in kept if each.offset >= len(steps)}

    assert after(whole) == after(late)
    assert whole.valid.head(*PLACE) == late.valid.head(*PLACE)


def test_what_is_finalised_in_one_moment_is_counted_together() -> None:
    uncounted = UncountedUsage()
    for number in range(3 * MOST_APART):
        uncounted.add(PLACE, Decimal(1), {EVENTS: number + 1}, number * 50_000)
    assert list(uncounted.beyond(PLACE, {EVENTS: 3 * MOST_APART})) == []
    held = sum(uncounted.beyond(PLACE, {EVENTS: 3 * MOST_APART - 5}), Decimal(0))
    assert held >= 5
    assert sum(uncounted.beyond(PLACE, {EVENTS: 0}), Decimal(0)) == 3 * MOST_APART
    assert len(uncounted._held[PLACE]) <= MOST_APART


def test_a_record_reads_back_and_one_under_a_foreign_id_is_void() -> None:
    log = Log()
    [reservation] = Service(log).reserving(("a", 4, 60))
    assert record_of(reservation.encode()) == reservation
    with pytest.raises(ValueError, match="is no reservation of what the record names"):
        record_of(reservation.encode().replace(b"acme", b"acne"))
    book = ReservationBook()
    book.apply_bytes(b"no record", 0, START)
    assert book.valid.position == 1
