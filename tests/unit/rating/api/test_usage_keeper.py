"""Usage kept for checks: asked for once however many wait, brought forward, dropped where not certain, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any, TypeAlias

import pytest

from rating.api.entitlements import usage_keeper, usage_steps
from rating.api.entitlements.usage_keeper import UsageKeeper
from rating.api.rating_problems import RatingProblem
from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.held_values import Appended, Held
from rating.entitlements.measuring import LogState
from rating.entitlements.questions import RollingNeed
from rating.invoicing.need import Need
from rating.usage import Measured
from schemas.values.instants import SECOND
from tests.unit.rating.entitlements.log import LOG, Event, Log

PROFILE = Measured("m.p", "sum", ((1, 60),))
NEED = Need(PROFILE, 0, 1000 * SECOND)


class Store:
    """ClickHouse as the keeper asks it, with a log in memory. ``asked``: the keys of each question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = Log()
        self.asked: list[list[UsageKey]] = []
        self.slow: dict[str, asyncio.Event] = {}
        self.repairs = 0
        self.fault: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.bad = ""
        for name in ("log_state", "whole"):
            monkeypatch.setattr(usage_keeper, name, getattr(self, name))
        for name in ("whole", "appended", "voided_between"):
            monkeypatch.setattr(usage_steps, name, getattr(self, name))
        monkeypatch.setattr(usage_keeper, "REFRESH_SECONDS", 0.0)

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        await self.answers.wait()
        if self.fault is not None:
            raise self.fault
        answer = question(None)
        for account, over in self.slow.items():
            if isinstance(answer, dict) and account in {asked for asked, _ in answer}:
                await over.wait()
        return answer

    def stop(self) -> None:
        pass

    def log_state(self, _client: Any) -> LogState:
        return LogState({LOG: len(self.log.records)}, self.repairs)

    def whole(self, _client: Any, _name: str, keys: Iterable[UsageKey], as_of: MeasuredAsOf) -> dict[UsageKey, Held]:
        lot = list(keys)
        if self.bad in {account for account, _ in lot}:
            raise OSError("Code: 241. DB::Exception: memory limit exceeded")
        if lot:
            self.asked.append(lot)
        return {key: self.log.whole(key, as_of.offsets[LOG], as_of.now_us) for key in lot}

    def appended(self, _client: Any, _name: str, _profiles: Any, since: Any, until: Any, *_: Any) -> list[Appended]:
        return self.log.appended(since[LOG], until[LOG], {"m.p": PROFILE})

    def voided_between(self, _client: Any, _name: str, since: Any, until: Any) -> set[str]:
        return self.log.voided_accounts(since[LOG], until[LOG])

    def use(self, account: str, quantity: int) -> None:
        self.log.records.append(Event("m.p", account, 5 * SECOND, Decimal(quantity)))


async def used(keeper: UsageKeeper, account: str, name: str = "n") -> Decimal | None:
    _, groups = await keeper.usage(name, [(account, NEED)], 10 * SECOND)
    of_account = groups[account, NEED]
    return of_account[0].usage.quantity if of_account else Decimal(0)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Let the refresher go on until the condition holds."""
    for _ in range(100_000):
        if await condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the refresher never came to it")


KeeperTest: TypeAlias = Callable[[UsageKeeper, Store], Awaitable[None]]


async def run(test: KeeperTest, store: Store, most_weight: int) -> None:
    keeper = UsageKeeper(store, store, lambda: 10 * SECOND, most_weight)
    try:
        await test(keeper, store)
    finally:
        keeper.stop()


def of_keeper(most_weight: int = 1000, **used_quantities: int) -> Callable[[KeeperTest], Callable[..., None]]:
    """Makes a test of a keeper and its store a test for pytest. ``used_quantities``: account → what it used before."""

    def made(test: KeeperTest) -> Callable[..., None]:
        def of_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
            store = Store(monkeypatch)
            for account, quantity in used_quantities.items():
                store.use(account, quantity)
            asyncio.run(run(test, store, most_weight))

        return of_pytest

    return made


@of_keeper(a=3, b=3)
async def test_who_asks_for_an_account_at_once_shares_one_question(keeper: UsageKeeper, store: Store) -> None:
    answers = await asyncio.gather(*(used(keeper, account) for account in ("a", "b") * 50))
    assert set(answers) == {Decimal(3)}
    assert sorted(len(lot) for lot in store.asked)[-1] == 2
    assert sum(len(lot) for lot in store.asked) <= 4  # each once, and again as what was measured longest ago


@of_keeper(a=3)
async def test_what_is_appended_and_voided_shows_without_being_asked_for(keeper: UsageKeeper, store: Store) -> None:
    assert await used(keeper, "a") == 3
    store.use("a", 4)
    await until(lambda: _is(keeper, Decimal(7)))
    store.log.records.append(0)  # a void of the first event
    await until(lambda: _is(keeper, Decimal(4)))


@of_keeper(a=3)
async def test_a_rolling_window_goes_with_the_clock_of_a_sandbox(keeper: UsageKeeper, store: Store) -> None:
    need = RollingNeed(PROFILE, 20 * SECOND, SECOND)

    async def within(ahead: int) -> Decimal | None:
        as_of, groups = await keeper.usage("n", [("a", need)], (10 + ahead) * SECOND, ahead * SECOND)
        assert as_of.now_us == (10 + ahead) * SECOND
        return groups["a", need][0].usage.quantity if groups["a", need] else None

    assert await within(0) == 3
    assert await within(14) == 3
    assert await within(17) is None
    store.log.records.append(Event("m.p", "a", 25 * SECOND, Decimal(4)))
    await until(lambda: _equal(within(17), Decimal(4)))
    held = keeper._namespaces["n"].held.value(("a", need), 27 * SECOND)
    assert held is not None
    assert min(held.steps) == 25 * SECOND, "what no window has any more is let go"


async def _equal(found: Awaitable[Decimal | None], expected: Decimal) -> bool:
    return await found == expected


@of_keeper(a=3)
async def test_what_is_held_is_measured_again_while_nothing_is_appended(keeper: UsageKeeper, store: Store) -> None:
    assert await used(keeper, "a") == 3
    store.log.records[0] = Event("m.p", "a", 5 * SECOND, Decimal(9))  # what nobody said was written again
    await until(lambda: _is(keeper, Decimal(9)))


@of_keeper(a=3)
async def test_what_is_expected_is_measured_before_anybody_asks_for_it(keeper: UsageKeeper, store: Store) -> None:
    assert await used(keeper, "a") == 3
    later = "a", Need(PROFILE, 1000 * SECOND, 2000 * SECOND)
    keeper.expect("n", [later])

    async def measured() -> bool:
        await used(keeper, "a")  # somebody goes on to check
        return keeper._namespaces["n"].held.holds(later)

    await until(measured)
    store.log.records.append(Event("m.p", "a", 1500 * SECOND, Decimal(5)))

    async def shown() -> bool:
        questions = len(store.asked)
        _, groups = await keeper.usage("n", [later], 10 * SECOND)
        assert len(store.asked) == questions, "nobody waits for ClickHouse"
        return bool(groups[later])

    await until(shown)


@of_keeper(a=3)
async def test_an_account_that_is_too_much_for_clickhouse_fails_alone(keeper: UsageKeeper, store: Store) -> None:
    names = ["a", *(f"b{number}" for number in range(20))]
    assert await used(keeper, "b7") == 0
    store.bad = "b7"
    await until(lambda: _fails(keeper, "b7"))
    answers = await asyncio.gather(*(used(keeper, name) for name in names), return_exceptions=True)
    assert [name for name, each in zip(names, answers, strict=True) if isinstance(each, OSError)] == ["b7"]
    store.use("a", 4)
    await until(lambda: _is(keeper, Decimal(7)))


async def _fails(keeper: UsageKeeper, account: str) -> bool:
    try:
        await used(keeper, account)
    except OSError:
        return True
    return False


async def _has_repairs(keeper: UsageKeeper, repairs: int) -> bool:
    await used(keeper, "a")
    return keeper._namespaces["n"].repairs == repairs


async def _is(keeper: UsageKeeper, quantity: Decimal) -> bool:
    return await used(keeper, "a") == quantity


@of_keeper(a=3)
async def test_a_check_of_what_is_held_waits_for_no_question(keeper: UsageKeeper, store: Store) -> None:
    assert await used(keeper, "a") == 3
    store.answers.clear()
    first = asyncio.create_task(used(keeper, "b"))
    for _ in range(20):
        await asyncio.sleep(0)  # until a refresh and the question for b wait for ClickHouse
        assert await asyncio.wait_for(used(keeper, "a"), 5) == 3
    assert not first.done()
    store.answers.set()
    assert await first == 0


@of_keeper(a=3, b=5)
async def test_a_slow_question_keeps_nothing_held_from_going_on_and_is_brought_forward(
    keeper: UsageKeeper, store: Store
) -> None:
    assert await used(keeper, "a") == 3
    over = store.slow["b"] = asyncio.Event()
    first = asyncio.create_task(used(keeper, "b"))
    await until(lambda: _asked_for(store, "b"))
    store.use("a", 4)
    store.use("b", 6)
    await until(lambda: _is(keeper, Decimal(7)))
    assert not first.done()
    over.set()
    assert await first == 11
    assert sum("b" in {account for account, _ in lot} for lot in store.asked) == 1  # not measured anew for that


async def _asked_for(store: Store, account: str) -> bool:
    return any(account in {each for each, _ in lot} for lot in store.asked)


@of_keeper(a=3)
async def test_what_was_written_again_or_is_an_older_copy_is_measured_anew(keeper: UsageKeeper, store: Store) -> None:
    assert await used(keeper, "a") == 3
    store.log.records[0] = Event("m.p", "a", 5 * SECOND, Decimal(9))  # what a repair found missing
    store.repairs += 1
    await until(lambda: _is(keeper, Decimal(9)))
    await until(lambda: _has_repairs(keeper, 1))  # not only of what was measured again anyway
    store.log.records.clear()  # ClickHouse was restored from a copy that has less
    await until(lambda: _is(keeper, Decimal(0)))


@of_keeper(a=3)
async def test_a_fault_is_told_to_who_waits_and_takes_nothing_from_what_is_held(
    keeper: UsageKeeper, store: Store
) -> None:
    assert await used(keeper, "a") == 3
    store.fault = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await used(keeper, "b")
    assert await used(keeper, "a") == 3
    store.fault = None
    assert await used(keeper, "b") == 0


@of_keeper(most_weight=20)
async def test_what_is_held_is_bounded_and_a_namespace_has_its_part_of_it(keeper: UsageKeeper, store: Store) -> None:
    for name in ("n", "m", "o"):
        for number in range(30):
            assert await used(keeper, f"a{number}", name) == 0
    held = [namespace.held.weight for namespace in keeper._namespaces.values()]
    assert max(held) <= 15
    assert sum(held) <= 20


@of_keeper(most_weight=10)
async def test_what_is_never_known_at_one_instant_ends(keeper: UsageKeeper, store: Store) -> None:
    keys: list[UsageKey] = [(f"a{number}", NEED) for number in range(9)]  # more than there is room for
    with pytest.raises(RatingProblem, match="as of one instant"):
        await keeper.usage("n", keys, 10 * SECOND)
