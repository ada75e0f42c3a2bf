"""The desk of reservations over a topic in memory: concurrent requests, lost answers, noisy namespaces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from rating.api.entitlements import reservation_desk
from rating.api.entitlements.followed_book import FollowedBook
from rating.api.entitlements.reservation_desk import ReservationDesk
from rating.api.rating_problems import RatingProblem
from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.reservations.reservation_requests import (
    ClosingRequest,
    HeldBeside,
    ReservationRefused,
    ReserveRequest,
)
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.generations import Offsets
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.reservations.reservation_record import ReservationRecord
from schemas.ledgers.reservations.valid_reservations import Standing
from schemas.values.instants import SECOND

NOW = 1_000_000 * SECOND
GRANTED = Decimal(100)
T = TypeVar("T")


@dataclass
class Topic:
    """usage.reservations, and where usage.events ends."""

    records: list[LogRecord] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    end: int = 0


class Followed:
    """The topic as one process has it: it reads the others' records when it reads its own back. ``faults``: of the next
    writes, before the records are in the log, or after."""

    def __init__(self, topic: Topic, *faults: str) -> None:
        self.topic = topic
        self.faults = list(faults)
        self.writes = 0
        self._apply: Callable[[LogRecord], None] = lambda record: None
        self._position = 0

    def follow(self, book: FollowedBook, since_us: int) -> None:
        if "follow" in self.faults:
            self.faults.remove("follow")
            raise LedgerUnavailable("the topic is not there")
        self._apply = book.apply

    def ends(self) -> Offsets:
        return {(1, 0): self.topic.end}

    def write(self, records: Sequence[ReservationRecord]) -> None:
        self.writes += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise LedgerUnavailable("not written")
        with self.topic.lock:
            for record in records:
                self.topic.records.append(LogRecord(0, len(self.topic.records), NOW, record.encode()))
        for record in self.topic.records[self._position :]:
            self._apply(record)
            self._position += 1
        if fault == "after":
            raise LedgerUnavailable("no answer")

    def close(self) -> None:
        pass


async def progress() -> Offsets:
    return {}


def run(work: Callable[[list[ReservationDesk]], Awaitable[T]], *followed: Followed) -> T:
    """``work`` with a desk for each."""

    async def begun() -> T:
        desks = [ReservationDesk(each, progress, lambda: NOW) for each in followed]
        for desk in desks:
            desk.start()
            await desk.ready(10)
        try:
            return await work(desks)
        finally:
            for desk in desks:
                await desk.stop()

    return asyncio.run(begun())


def asked(key: str, quantity: int = 3, namespace: str = "shop") -> ReserveRequest:
    def judge(held_beside: HeldBeside) -> EntitlementDecision:
        held = held_beside("tokens", as_of)
        within = held + quantity <= GRANTED
        return EntitlementDecision(within, None if within else "limit_reached", "no more")

    as_of = MeasuredAsOf({}, NOW)
    return ReserveRequest(namespace, "acme", "tokens", Decimal(quantity), NOW + 60 * SECOND, key, judge, as_of)


async def outcome(desk: ReservationDesk, request: ReserveRequest | ClosingRequest) -> Any:
    """The reservation, or the error."""
    try:
        return await desk.put(request)
    except (ReservationRefused, RatingProblem) as error:
        return error


def test_clients_of_two_processes_get_all_there_is_and_no_more() -> None:
    topic = Topic()
    followed = Followed(topic), Followed(topic)

    async def work(desks: list[ReservationDesk]) -> list[Any]:
        return await asyncio.gather(*(outcome(desks[number % 2], asked(f"k{number}")) for number in range(100)))

    outcomes = run(work, *followed)
    reserved = [each for each in outcomes if isinstance(each, Standing)]
    assert len(reserved) == len({each.reservation.reservation_id for each in reserved}) == 33
    refused = [each for each in outcomes if isinstance(each, ReservationRefused)]
    assert {each.reason for each in refused} == {"limit_reached"}
    assert len(refused) == 67
    assert followed[0].writes < 50, "what waits is written together"


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_lost_answer_is_told_and_the_same_again_reserves_once(fault: str) -> None:
    topic = Topic()

    async def work(desks: list[ReservationDesk]) -> tuple[Any, Any, Decimal]:
        lost = await outcome(desks[0], asked("a", 60))
        again = await outcome(desks[0], asked("a", 60))
        return lost, again, desks[0].held("shop", "acme", "tokens", MeasuredAsOf({}, NOW), NOW)

    lost, again, held = run(work, Followed(topic, fault))
    assert isinstance(lost, RatingProblem)
    assert lost.status == 503
    assert "the same idempotency_key tells" in lost.detail
    assert isinstance(again, Standing)
    assert held == 60


def test_what_is_finalised_carries_the_ends_of_the_events_of_that_moment() -> None:
    topic = Topic()

    async def work(desks: list[ReservationDesk]) -> list[Decimal]:
        standing = await desks[0].put(asked("a", 60))
        topic.end = 5
        number = standing.reservation.reservation_id
        closed = await desks[0].put(ClosingRequest("shop", "acme", "tokens", number, "finalised", Decimal(20), "b"))
        assert closed.state == "finalised"
        return [desks[0].held("shop", "acme", "tokens", MeasuredAsOf({(1, 0): end}, NOW), NOW) for end in (4, 5)]

    assert run(work, Followed(topic)) == [20, 0]


def test_a_namespace_that_asks_for_much_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservation_desk, "_MOST_WAITING", 200)
    topic = Topic()

    async def work(desks: list[ReservationDesk]) -> tuple[list[Any], int]:
        noisy = [asyncio.create_task(outcome(desks[0], asked(f"k{number}", 1))) for number in range(201)]
        await asyncio.sleep(0)
        await outcome(desks[0], asked("q", 1, "quiet"))
        return await asyncio.gather(*noisy), len(topic.records)

    outcomes, written = run(work, Followed(topic))
    assert [each.status for each in outcomes if isinstance(each, RatingProblem)] == [429]
    assert sum(isinstance(each, Standing) for each in outcomes) == 100
    assert written == 101


def test_until_the_topic_is_read_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservation_desk, "_RETRY_SECONDS", 0.0)

    async def work(desks: list[ReservationDesk]) -> Any:
        return await outcome(desks[0], asked("a"))

    assert isinstance(run(work, Followed(Topic(), "follow")), Standing)

    async def unready() -> tuple[Any, Any]:
        desk = ReservationDesk(Followed(Topic()), progress, lambda: NOW)
        return await outcome(desk, asked("a")), desk.unready

    problem, reason = asyncio.run(unready())
    assert (problem.status, reason) == (503, "usage.reservations is being read")
