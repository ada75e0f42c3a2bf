"""Whose request begins next: a turn of the loop begins so many at most, and who asks for little waits behind nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ingest.http.fair_turns import FairTurns

MOST = 5


class Loop:
    """Turns of a loop, and which requests began in the present one."""

    def __init__(self) -> None:
        self.called_next: list[Callable[[], None]] = []
        self.turns = FairTurns(self.called_next.append, lambda: MOST)
        self.begun: list[str] = []
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self._loop = asyncio.new_event_loop()
        self._loop.close()  # futures that nobody awaits need no running one

    def ask(self, tenant: str, number: int = 0) -> asyncio.Future[None] | None:
        name = f"{tenant}{number}"
        waits = self.turns.enter(tenant, self._loop.create_future)
        if waits is None:
            self.begun.append(name)
        else:
            self._waiting.append((name, waits))
        return waits

    def turn(self) -> None:
        """The next one begins: what was called for it is called, and those whose wait is over begin."""
        self.begun.clear()
        calls, self.called_next[:] = self.called_next[:], []
        for call in calls:
            call()
        # Which of those that were let on came first is told by the queue of each tenant alone.
        self.begun += [name for name, waits in self._waiting if waits.done() and not waits.cancelled()]
        self._waiting = [(name, waits) for name, waits in self._waiting if not waits.done()]


def test_a_turn_begins_so_many_and_the_next_ones_those_that_wait_in_their_order() -> None:
    loop = Loop()
    for number in range(12):
        loop.ask("noisy", number)
    assert loop.begun == [f"noisy{number}" for number in range(5)]
    loop.turn()
    assert loop.begun == [f"noisy{number}" for number in range(5, 10)]
    loop.turn()
    assert loop.begun == ["noisy10", "noisy11"]
    loop.turn()
    assert loop.begun == [] == loop.called_next  # an idle loop is not kept awake


def test_a_tenant_below_its_share_begins_at_once_though_others_wait() -> None:
    loop = Loop()
    for number in range(1000):
        loop.ask("noisy", number)
    for _ in range(20):
        assert loop.ask("quiet") is None
        loop.turn()
        assert len(loop.begun) == MOST


def test_beyond_its_share_a_tenant_waits_too_and_waiting_tenants_begin_one_after_another() -> None:
    loop = Loop()
    for tenant in ("a", "b"):
        for number in range(30):
            loop.ask(tenant, number)
    assert Counter(name[0] for name in loop.begun) == {"a": 5, "b": 2}
    begun: Counter[str] = Counter()
    for _ in range(8):
        loop.turn()
        begun += Counter(name[0] for name in loop.begun)
    assert begun == {"a": 20, "b": 20}


def test_many_tenants_at_once_do_not_make_a_turn_endless_and_each_has_its_turn() -> None:
    loop = Loop()
    for number in range(40):
        loop.ask("noisy", number)
    for number in range(40):
        loop.ask(f"tenant{number}-")
    assert len(loop.begun) == 2 * MOST
    for turn in range(7):
        loop.turn()
        assert len(loop.begun) == MOST
        # ``noisy`` came first of those that wait, so it has one request before the others have theirs.
        assert sum(name.startswith("noisy") for name in loop.begun) == (turn == 0)


def test_tenants_of_one_request_each_never_keep_another_from_its_second() -> None:
    """However many of them come anew in each turn."""
    loop = Loop()
    tenants = iter(range(10_000))
    for _ in range(4 * MOST):
        loop.ask(f"tenant{next(tenants)}-")
    for number in range(2):
        loop.ask("waiting", number)
    begun: list[str] = []
    for _ in range(12):
        for _ in range(2 * MOST):  # half of them begin at once
            loop.ask(f"tenant{next(tenants)}-")
        loop.turn()
        begun += [name for name in loop.begun if name.startswith("waiting")]
    assert begun == ["waiting0", "waiting1"]


def test_a_request_that_was_given_up_takes_nobodys_place() -> None:
    loop = Loop()
    waiting = [loop.ask("noisy", number) for number in range(3 * MOST)]
    for waits in waiting[MOST : 2 * MOST]:
        assert waits is not None
        waits.cancel()
    loop.turn()
    assert loop.begun == [f"noisy{number}" for number in range(2 * MOST, 3 * MOST)]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=30), max_size=12))
def test_all_begin_in_their_tenants_order_and_no_turn_begins_more_than_twice_so_many(turns: list[list[str]]) -> None:
    loop = Loop()
    asked: Counter[str] = Counter()
    begun: list[str] = []
    for tenants in turns:
        for tenant in tenants:
            loop.ask(tenant, asked[tenant])
            asked[tenant] += 1
        assert len(loop.begun) <= 2 * MOST
        begun += loop.begun
        loop.turn()
    while loop.called_next:
        begun += loop.begun
        loop.turn()
    for tenant, count in asked.items():
        assert [name for name in begun if name[0] == tenant] == [f"{tenant}{number}" for number in range(count)]


@given(st.lists(st.one_of(st.sampled_from("abcdef"), st.just("turn"), st.just("cancel")), max_size=60))
def test_the_tenants_at_work_are_counted_as_they_come_and_go(steps: list[str]) -> None:
    """A request may not cost more where many tenants wait."""
    loop = Loop()
    waiting: list[asyncio.Future[None]] = []
    for step in steps:
        if step == "turn":
            loop.turn()
        elif step == "cancel":
            for waits in waiting:
                waits.cancel()
        elif (waits := loop.ask(step)) is not None:
            waiting.append(waits)
        assert loop.turns._tenants == len(loop.turns._waiting.keys() | loop.turns._begun.keys())
