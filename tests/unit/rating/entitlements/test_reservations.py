"""Reservations: whatever is killed, doubled or late, an account and feature is never oversold."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.entitlements.reservations.reservation_requests import (
    ClosingRequest,
    ReservationRefused,
    Unwritten,
    close,
    reserve,
)
from schemas.ledgers.reservations.reservation_record import Closing, Reservation, record_of, reservation_id
from schemas.values.instants import SECOND
from tests.unit.rating.entitlements.reservation_services import (
    EVENTS,
    GRANTED,
    PLACE,
    Log,
    Service,
    asked,
    standing,
    verified,
)

KEYS = st.integers(0, 9)
WANTED = st.tuples(KEYS, st.integers(1, 9), st.integers(5, 50))
RESERVE = st.tuples(
    st.just("reserve"), st.integers(0, 2), st.lists(WANTED, min_size=1, max_size=3), st.booleans(), st.booleans()
)
FINISH = st.tuples(st.just("finish"), st.integers(0, 2), KEYS, st.integers(0, 9), st.booleans())
OTHER = st.tuples(
    st.sampled_from(["write", "drop", "follow", "follow", "cut", "cut", "restart", "replay"]), st.integers(0, 2)
)
PASS = st.tuples(st.just("pass"), st.integers(1, 30))


@given(st.lists(st.one_of(RESERVE, RESERVE, FINISH, OTHER, OTHER, PASS), max_size=50))
@settings(max_examples=300, deadline=None)
def test_any_interleaving_of_three_services_sells_nothing_twice(steps: list[tuple[Any, ...]]) -> None:
    """What services decide is written at once, later, or never, and may be repeated; they follow and measure when they
    do. A client sends its event, then finalises, perhaps twice; or is gone."""
    log = Log()
    services = [Service(log) for _ in range(3)]
    unwritten: list[list[Reservation | Closing]] = [[], [], []]
    sent: dict[str, int] = {}
    for step, *of in steps:
        if step == "pass":
            log.now_us += of[0] * SECOND
        elif step == "reserve":
            service = services[of[0]]
            if of[2]:
                log.follow(service.book)
            unwritten[of[0]] += service.reserving(*((str(key), *each) for key, *each in of[1]))
            if of[3]:
                log.write(*unwritten[of[0]])
                unwritten[of[0]] = []
        elif step == "finish":
            service, key = services[of[0]], str(of[1])
            kept = service.book.valid.standing("shop", reservation_id(*PLACE, key))
            if kept is None or kept.state_at(log.now_us) != "open":
                continue
            quantity = min(of[2], int(kept.reservation.quantity))
            if of[3] and key not in sent:
                sent[key] = quantity
                log.events.append(quantity)
            used = sent.get(key, 0)
            kind: Any = "finalised" if used else "released"
            request = ClosingRequest(*PLACE, reservation_id(*PLACE, key), kind, Decimal(used), "close")
            record = close(service.book, request, {EVENTS: len(log.events)}, log.now_us, f"c{len(log.records)}")
            assert isinstance(record, Closing)
            unwritten[of[0]].append(record)
        elif step == "write":
            log.write(*unwritten[of[0]])
            unwritten[of[0]] = []
        elif step == "drop":
            unwritten[of[0]] = []
        elif step == "follow":
            log.follow(services[of[0]].book)
        elif step == "cut":
            services[of[0]].cut = len(log.events)
        elif step == "restart":
            services[of[0]] = Service(log, log.fold(), services[of[0]].cut)
            unwritten[of[0]] = []
        else:
            log.records += [(value, log.now_us) for value, _ in log.records[-3:]]
        truth = log.fold()
        kept_all = list(truth.valid.remembered(*PLACE))
        finalised = [each.closing for each in kept_all if each.state == "finalised"]
        open_now = [each for each in kept_all if each.state_at(log.now_us) == "open"]
        sold = sum((each.quantity for each in finalised if each), Decimal(0))
        assert sold + sum((each.reservation.quantity for each in open_now), Decimal(0)) <= GRANTED, steps
        assert len({each.reservation_id for each in finalised if each}) == len(finalised)
    assert verified(log) == []


def test_of_two_that_know_the_same_the_first_wins_and_the_other_decides_again() -> None:
    log = Log()
    here, there = Service(log), Service(log)
    first, second = here.reserving(("a", 6, 60)), there.reserving(("b", 6, 60))
    log.write(*first, *second)
    book = log.fold()
    assert standing(book, "a").state == "open"
    assert book.valid.standing("shop", reservation_id(*PLACE, "b")) is None
    log.follow(there.book)
    assert there.reserving(("b", 6, 60)) == []
    log.write(*there.reserving(("b", 4, 60)))
    assert log.fold().held(*PLACE, {}, log.now_us) == 10


def test_what_is_decided_together_is_written_together() -> None:
    log = Log()
    service = Service(log)
    records = service.reserving(("a", 4, 60), ("b", 4, 60), ("c", 4, 60), ("b", 4, 60))
    assert [record.idempotency_key for record in records] == ["a", "b"]
    log.write(*records)
    assert log.fold().held(*PLACE, {}, log.now_us) == 8


def test_what_is_finalised_is_held_until_a_cut_has_its_events() -> None:
    log = Log(events=[1, 1, 1])
    service = Service(log)
    log.write(*service.reserving(("a", 6, 60)))
    log.follow(service.book)
    assert service.book.held(*PLACE, {EVENTS: 3}, log.now_us) == 6
    request = ClosingRequest(*PLACE, reservation_id(*PLACE, "a"), "finalised", Decimal("4.5"), "done")
    record = close(service.book, request, {EVENTS: 3, (1, 1): 0}, log.now_us, "claim")
    assert isinstance(record, Closing)
    log.write(record)
    book = log.follow(service.book)
    held = [book.held(*PLACE, {EVENTS: cut}, log.now_us) for cut in (0, 2, 3, 4)]
    assert held == [Decimal("4.5"), Decimal("4.5"), 0, 0]
    book.note({EVENTS: 3}, log.now_us, log.now_us)
    assert book.uncounted == 1, "somebody may decide by an earlier cut still"
    book.note({EVENTS: 3}, log.now_us + 200 * SECOND, log.now_us + 200 * SECOND)
    assert book.uncounted == 0


def test_a_reservation_holds_until_it_expires_and_no_longer_by_the_instants_of_the_log() -> None:
    log = Log()
    service = Service(log)
    log.write(*service.reserving(("a", 10, 30)))
    log.follow(service.book)
    assert service.book.held(*PLACE, {}, log.now_us + 30 * SECOND - 1) == 10
    assert service.book.held(*PLACE, {}, log.now_us + 30 * SECOND) == 0
    request = ClosingRequest(*PLACE, reservation_id(*PLACE, "a"), "finalised", Decimal(3), "done")
    late = close(service.book, request, {}, log.now_us, "claim")
    assert isinstance(late, Closing)
    # Somebody whose clock is ahead decided without it: what would finalise it now is void.
    log.now_us += 30 * SECOND
    ahead = service.reserving(("b", 10, 30))
    log.now_us -= SECOND
    log.write(*ahead, late)
    book = log.fold()
    assert (standing(book, "a").state, standing(book, "b").state) == ("expired", "open")
    with pytest.raises(ReservationRefused, match=r"expired at 1970-01-12T13:47:10Z .* count all the same"):
        close(book, request, {}, log.now_us, "claim")


def test_an_advance_of_a_sandboxs_clock_lets_a_reservation_expire_for_everybody() -> None:
    log, ahead_us = Log(), 3600 * SECOND
    service = Service(log)
    log.write(*service.reserving(("a", 10, 60)))
    log.follow(service.book)
    assert service.book.held(*PLACE, {}, log.now_us + ahead_us) == 0
    place = *PLACE, reservation_id(*PLACE, "a")
    behind = close(service.book, ClosingRequest(*place, "finalised", Decimal(3), "x"), {}, log.now_us, "claim")
    assert isinstance(behind, Closing), "by a process that does not know of the advance yet"
    late = ClosingRequest(*place, "finalised", Decimal(3), "done", ahead_us)
    with pytest.raises(ReservationRefused, match="expired at 1970-01-12T13:47:40Z"):
        close(service.book, late, {}, log.now_us, "claim")
    wanted = replace(asked("b", 10, log.now_us), ahead_us=ahead_us)
    record = reserve(service.book, Unwritten(), wanted, log.now_us, "claim b")
    assert isinstance(record, Reservation)
    assert (record_of(record.encode()), record.ahead_us) == (record, ahead_us)
    log.write(record, behind)
    book = log.fold()
    assert (standing(book, "a").state, standing(book, "b").state) == ("expired", "open")
    assert book.held(*PLACE, {}, log.now_us + ahead_us + 60 * SECOND - 1) == 10
    assert book.held(*PLACE, {}, log.now_us + ahead_us + 60 * SECOND) == 0


def test_a_closed_reservation_answers_the_same_request_alike_and_others_with_why_not() -> None:
    log = Log()
    service = Service(log)
    log.write(*service.reserving(("a", 4, 60), ("b", 4, 60)))
    log.follow(service.book)

    def closing(key: str, kind: Any, quantity: str, by: str) -> Any:
        request = ClosingRequest(*PLACE, reservation_id(*PLACE, key), kind, Decimal(quantity), by)
        result = close(service.book, request, {}, log.now_us, f"{by} {len(log.records)}")
        if isinstance(result, Closing):
            log.write(result)
            log.follow(service.book)
        return result

    closing("a", "finalised", "4", "x")
    closing("b", "released", "0", "x")
    assert closing("a", "finalised", "4", "x") == standing(service.book, "a")
    assert closing("b", "released", "0", "y") == standing(service.book, "b")
    for key, kind, quantity, by, why in (
        ("a", "finalised", "4", "y", "reservation_finalised"), ("a", "finalised", "3", "x", "reservation_finalised"),
        ("a", "released", "0", "x", "reservation_finalised"), ("b", "finalised", "1", "x", "reservation_released"),
        ("c", "finalised", "1", "x", "unknown_reservation"),
    ):  # fmt: skip
        with pytest.raises(ReservationRefused) as refused:
            closing(key, kind, quantity, by)
        assert refused.value.reason == why
    same = reserve(service.book, Unwritten(), asked("a", 4, log.now_us), log.now_us, "claim")
    assert same == standing(service.book, "a")
    with pytest.raises(ReservationRefused, match="has reserved 4, and 5 is asked for now"):
        reserve(service.book, Unwritten(), asked("a", 5, log.now_us), log.now_us, "claim")
