"""A book of reservations that goes on from its file is the book that the whole log gives."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.entitlements.reservations.reservation_image import VERSION, book_of, rows_of
from rating.verify.difference import Findings
from rating.verify.fold_images import compare, of_all_processes
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.reservations.reservation_record import Closing, ClosingKind, Reservation
from schemas.values.instants import SECOND
from tests.unit.rating.entitlements.reservation_services import EVENTS, START

NAMES = st.sampled_from(["shop", "café"])
FEATURES = st.sampled_from(["tokens", "calls"])
RESERVE = st.tuples(st.just("reserve"), NAMES, FEATURES, st.integers(1, 7200), st.sampled_from([0, 0, 0, 3]))
CLOSE = st.tuples(st.just("close"), st.integers(0, 60), st.integers(0, 2))
PASS = st.tuples(st.just("pass"), st.sampled_from([1, 59, 700, 3700]))
STEPS = st.lists(st.one_of(RESERVE, RESERVE, CLOSE, CLOSE, PASS), max_size=60)
Steps = list[tuple[str, ...]]


def records_of(steps: list[tuple[object, ...]]) -> list[tuple[bytes, int]]:
    """The log: a reservation knows all but so many records before it; closings name any that was made."""
    log, made, now_us = list[tuple[bytes, int]](), list[Reservation](), START
    for number, (step, *of) in enumerate(steps):
        match step, of:
            case "pass", [int(seconds)]:
                now_us += seconds * SECOND
            case "reserve", [str(name), str(feature), int(seconds), int(behind)]:
                at = name, f"acct_{number % 3}", feature
                made.append(
                    Reservation(
                        *at, f"k{number}", Decimal(number + 1) / 2, now_us + seconds * SECOND, now_us, "",
                        len(log) - behind, f"claim {number}", None, Decimal(number), Decimal(1), now_us, 7, {EVENTS: 4},
                    )
                )  # fmt: skip
                log.append((made[-1].encode(), now_us))
            case "close", [int(which), int(quantity)] if made:
                of_it = made[which % len(made)]
                at = of_it.namespace, of_it.account_id, of_it.feature
                number_of = of_it.reservation_id
                kind: ClosingKind = "finalised" if quantity else "released"
                ends = {EVENTS: number, (1, 1): quantity}
                closing = Closing(*at, number_of, kind, Decimal(quantity), "k", now_us, f"claim {number}", ends)
                log.append((closing.encode(), now_us))
    return log


def follow(book: ReservationBook, log: list[tuple[bytes, int]]) -> ReservationBook:
    for offset in range(book.valid.position, len(log)):
        book.apply_bytes(log[offset][0], offset, log[offset][1])
    return book


def stored(book: ReservationBook) -> list[Row]:
    return sorted(rows_of(book))


@given(STEPS, st.floats(0, 1), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_going_on_from_the_rows_is_reading_the_whole_log(
    steps: list[tuple[object, ...]], part: float, counted: int
) -> None:
    log = records_of(steps)
    cut = {EVENTS: 1, (1, 1): counted % 3}
    before = follow(ReservationBook(cut), log[: int(part * len(log))])
    whole = follow(ReservationBook(cut), log)
    rows = stored(before)
    taken = rows_of(before)
    follow(before, log)
    assert sorted(taken) == rows, "what the book becomes meanwhile is not written"
    resumed = follow(book_of(rows, cut), log)
    assert stored(resumed) == stored(whole), (steps, part, counted)
    now_us = (log[-1][1] if log else START) + counted * SECOND
    for place in (("shop", "acct_0", "tokens"), ("café", "acct_1", "calls")):
        assert resumed.held(*place, {EVENTS: counted}, now_us) == whole.held(*place, {EVENTS: counted}, now_us)
        assert resumed.valid.open_of(place[0], place[1]) == whole.valid.open_of(place[0], place[1])
    # Also what expires and is forgotten later is the same.
    later = Reservation("shop", "z", "z", "k", Decimal(1), now_us + 9000 * SECOND, now_us + 8000 * SECOND, "", 99, "c")
    for book in (resumed, whole):
        book.apply_bytes(later.encode(), len(log), later.decided_us)
    assert stored(resumed) == stored(whole)


def test_verify_names_each_reservation_that_the_log_does_not_give() -> None:
    log = records_of([("reserve", "shop", "tokens", 60, 0), ("close", 0, 1), ("reserve", "café", "calls", 90, 0)])
    whole = list(rows_of(follow(ReservationBook(), log)))
    here = list(rows_of(follow(ReservationBook({EVENTS: 99, (1, 1): 9}), log)))
    findings = Findings()
    compare(here, whole, "file", findings, of_all_processes)
    assert findings.differences() == [], "what is counted is a matter of each process"
    assert whole != here
    shop = next(row for row in here if row[0] == "reservation" and b"shop" in row[1])
    compare([row for row in here if row != shop], whole, "file", findings, of_all_processes)
    [difference] = findings.differences()
    assert (difference.where[:19], difference.found) == ("reservation ['shop'", "no entry")


def test_rows_that_are_none_of_a_book_are_refused() -> None:
    book = follow(ReservationBook({EVENTS: 5}), records_of([("reserve", "shop", "tokens", 60, 0)]))
    rows = stored(book)
    with pytest.raises(ValueError, match="ClickHouse has less"):
        book_of(rows, {EVENTS: 4})
    with pytest.raises(ValueError, match="missing"):
        book_of([row for row in rows if row[0] != "log"], {EVENTS: 5})
    with pytest.raises(ValueError, match="no part"):
        book_of([*rows, ("other", b"", b"")], {EVENTS: 5})
    with pytest.raises(ValueError, match="truncated"):
        book_of([(part, key, value[:-1]) for part, key, value in rows], {EVENTS: 5})


def test_rows_of_a_version_are_written_one_way() -> None:
    """Where they change, so does the version: a file of another one is made anew."""
    steps: list[tuple[object, ...]] = [("reserve", "shop", "tokens", 60, 0), ("close", 0, 1)]
    steps += [("reserve", "shop", "calls", 90, 0), ("reserve", "shop", "calls", 90, 9)]
    rows = stored(follow(ReservationBook({EVENTS: 1}), records_of(steps)))
    written = blake2b(repr(rows).encode(), digest_size=8).hexdigest()
    assert (VERSION, written) == (2, "0bfdf22231948061")
