"""What is held in memory is what asking anew would say, whatever was appended, voided, forgotten or late."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.entitlements import held_entries
from rating.entitlements.held_usage import NO_ADVANCE, HeldCut, HeldUsage, MeasuredAsOf
from rating.entitlements.held_values import STEP_US, Held
from rating.entitlements.questions import Asked, RollingNeed
from rating.invoicing.need import Need
from rating.usage import Measured, Usage, no_usage
from tests.unit.rating.entitlements.log import LOG, Event, Log, used

SECOND = STEP_US
PROFILES = {name: Measured(f"m.{name}", name, ((1, 60),)) for name in ("sum", "count", "max", "min", "latest")} | {
    "unique": Measured("m.unique", "count_unique", ((1, 60),))
}
BY_ID = {profile.profile_id: profile for profile in PROFILES.values()}
ASKED: list[Asked] = [
    *(Need(profile, 0, 100 * SECOND) for profile in PROFILES.values()),
    *(Need(profile, 50 * SECOND + 7, 80 * SECOND + 3) for profile in PROFILES.values()),
    *(RollingNeed(PROFILES[name], 60 * SECOND, 5 * SECOND) for name in ("sum", "count", "max", "min")),
    *(RollingNeed(PROFILES[name], 60 * SECOND, SECOND, resets=True) for name in ("sum", "max")),
]

events = st.builds(
    Event,
    st.sampled_from(sorted(BY_ID)),
    st.sampled_from(["a", "b"]),
    st.integers(0, 120 * SECOND)
    | st.sampled_from([50 * SECOND + 6, 50 * SECOND + 7, 80 * SECOND + 2, 80 * SECOND + 3]),
    st.sampled_from([Decimal(number) for number in ("-1", "0", "0.5", "3", "123456789012345678901234567890.1")]),
)
steps = st.lists(
    st.tuples(st.just("event"), events)
    | st.tuples(st.just("void"), st.integers(0, 30))
    | st.tuples(st.just("ask"), st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(ASKED)))
    | st.tuples(st.just("refresh"), st.integers(0, 30))
    | st.tuples(st.sampled_from(["forget", "shrink"]), st.none()),
    min_size=1,
    max_size=40,
)


class Keeper:
    """What the shell does with what is held, one step after another."""

    def __init__(self) -> None:
        self.log = Log()
        self.held = HeldUsage()
        self.now_us = 60 * SECOND

    def take(self, what: str, value: Any) -> None:
        if what == "event":
            self.log.records.append(value)
        elif what == "void":
            if value < len(self.log.records) and isinstance(self.log.records[value], Event):
                self.log.records.append(value)
        elif what == "ask":
            as_of = self.held.as_of or self.log.end(self.now_us)
            measured = {value: self.log.whole(value, as_of.offsets[LOG], self.now_us)}
            self.take_cut(self.held.ahead(NO_ADVANCE, measured, as_of))
        elif what == "refresh":
            self.now_us += value * SECOND
            self.refresh()
        elif what == "forget":
            self.held = HeldUsage()
        else:
            self.held.shrink(self.held.weight // 2)

    def refresh(self) -> None:
        if self.held.as_of is None:
            return
        since, as_of = self.held.as_of.offsets[LOG], self.log.end(self.now_us)
        until = as_of.offsets[LOG]
        profiles = {name: BY_ID[name] for name in self.held.profiles()}
        advance = self.held.after(
            self.log.appended(since, until, profiles), self.log.voided_accounts(since, until), self.now_us
        )
        again = self.held.again(100) if self.now_us % 3 else self.held.newest(advance.stale, 1, self.now_us)
        measured = {key: self.log.whole(key, until, self.now_us) for key in again}
        self.take_cut(self.held.ahead(advance, measured, as_of))

    def take_cut(self, cut: HeldCut) -> None:
        """Checks are answered until the cut is taken: all as of the one before."""
        if self.now_us % 3:
            self.check()
        self.held.take(cut)

    def check(self) -> None:
        as_of: MeasuredAsOf | None = self.held.as_of
        for account in ("a", "b"):
            for asked in ASKED:
                groups = self.held.usage(account, asked, self.now_us)
                if groups is None:
                    continue
                assert as_of is not None
                expected = used(self.log, account, asked, as_of.offsets[LOG], self.now_us)
                usage = groups[0].usage if groups else no_usage(asked.profile.aggregation)
                assert usage == expected, (account, asked, as_of)


@given(steps)
def test_held_usage_is_what_asking_anew_says_as_of_its_cut(taken: list[tuple[str, Any]]) -> None:
    keeper = Keeper()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_entries, "_ROWS", 1)
        for what, value in taken:
            keeper.take(what, value)
            if what != "refresh" or value % 4 == 0:  # between others nobody asks, so that rows gather
                keeper.check()


def test_a_step_in_which_an_interval_begins_or_ends_is_measured_again() -> None:
    torn, ended = (Need(PROFILES["sum"], start, end * SECOND) for start, end in ((50 * SECOND + 7, 80), (0, 50)))
    for at_us, quantity in ((50 * SECOND + 6, None), (50 * SECOND + 7, 3), (51 * SECOND, 3)):
        keeper = Keeper()
        for asked in (torn, ended):
            keeper.take("ask", ("a", asked))
        keeper.take("event", Event("m.sum", "a", at_us, Decimal(3)))
        keeper.refresh()
        groups = keeper.held.usage("a", torn, keeper.now_us) or ()
        assert [group.usage.quantity for group in groups] == ([] if quantity is None else [quantity])
        assert keeper.held.usage("a", ended, keeper.now_us) == ()


def test_a_rolling_window_goes_on_without_being_measured_again() -> None:
    keeper = Keeper()
    rolling = RollingNeed(PROFILES["sum"], 60 * SECOND, SECOND)
    keeper.take("ask", ("a", rolling))
    for second in range(1000):
        keeper.take("event", Event("m.sum", "a", keeper.now_us, Decimal(second)))
        keeper.take("refresh", 1)
        groups = keeper.held.usage("a", rolling, keeper.now_us)
        assert groups is not None
        assert groups[0].usage == used(keeper.log, "a", rolling, len(keeper.log.records), keeper.now_us)
    held = keeper.held.value(("a", rolling), keeper.now_us)
    assert held is not None
    assert len(held.steps) <= 122  # what has left the window is not held for ever


def test_a_check_that_began_a_step_before_its_usage_was_measured_has_its_own_window() -> None:
    keeper = Keeper()
    rolling = RollingNeed(PROFILES["sum"], 60 * SECOND, 5 * SECOND)
    keeper.now_us = 100 * SECOND
    for at in (35, 40, 99, 100):  # the window of 99 s: [35 s, 100 s)
        keeper.take("event", Event("m.sum", "a", at * SECOND, Decimal(at)))
    keeper.take("ask", ("a", rolling))
    groups = keeper.held.usage("a", rolling, 99 * SECOND)
    assert groups is not None
    assert groups[0].usage.quantity == 35 + 40 + 99


def test_all_that_is_held_is_measured_again_in_a_round_neighbours_together() -> None:
    keeper = Keeper()
    for number in (3, 1, 0, 2):
        for asked in ASKED[:2]:
            keeper.take("ask", (f"a{number}", asked))
    rounds = [keeper.held.again(3) for _ in range(4)]
    assert [[account for account, _ in keys] for keys in rounds] == [
        ["a0", "a0", "a1"], ["a1", "a2", "a2"], ["a3", "a3"], ["a0", "a0", "a1"],
    ]  # fmt: skip
    assert len({key for keys in rounds for key in keys}) == 8
    keeper.held.shrink(0)
    assert keeper.held.again(3) == []


def test_checks_go_on_while_what_was_voided_is_brought_forward() -> None:
    keeper = Keeper()

    class Interrupted(str):
        """An account whose name is hashed while the event loop answers a check: a thread gives way there."""

        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            keeper.held.usage("a", ASKED[0], keeper.now_us)
            return super().__eq__(other)

        def __hash__(self) -> int:
            if keeper.held.holds(("a", ASKED[0])):
                keeper.held.usage("a", ASKED[0], keeper.now_us)
            return super().__hash__()

    for account in ("a", "b", Interrupted("c"), "d"):
        keeper.take("ask", (account, ASKED[0]))
        assert keeper.held.usage(account, ASKED[0], keeper.now_us) is not None
    keeper.take("event", Event("m.sum", "a", SECOND, Decimal(1)))
    keeper.take("refresh", 0)
    keeper.take("void", 0)
    keeper.take("refresh", 0)
    assert keeper.held.usage("d", ASKED[0], keeper.now_us) is not None


def test_much_that_was_appended_is_brought_forward_in_pieces_between_which_others_come_to_run() -> None:
    asked, number, rounds = Need(PROFILES["sum"], 0, 100 * SECOND), 2000, 20
    names = [f"account {each}" for each in range(number)]
    keeper, pauses = Keeper(), []
    keeper.log.records += [Event("m.sum", name, SECOND, Decimal(2)) for name in names]
    nothing = MeasuredAsOf({LOG: 0}, keeper.now_us)
    keeper.held.take(keeper.held.ahead(NO_ADVANCE, {(name, asked): Held() for name in names}, nothing))
    rows = keeper.log.appended(0, number, {"m.sum": PROFILES["sum"]})
    for each in range(rounds):
        pauses.append(0)

        def pause() -> None:
            pauses[-1] += 1

        advance = keeper.held.after(rows, set(), keeper.now_us, pause)
        keeper.held.take(keeper.held.ahead(advance, {}, keeper.log.end(keeper.now_us)))
        groups = keeper.held.usage(names[each], asked, keeper.now_us) or ()
        assert [group.usage for group in groups] == [Usage(Decimal(2 * each + 2), each + 1)]
    assert pauses == [3] * 16 + [3 + 2] * 4, "500 rows at once; from the 17th on 60 of 125 accounts"
    used_now = [keeper.held.usage(name, asked, keeper.now_us) or () for name in names]
    assert {group.usage for groups in used_now for group in groups} == {Usage(Decimal(2 * rounds), rounds)}


def test_what_was_appended_by_a_cut_that_was_never_taken_counts_once() -> None:
    keeper, asked = Keeper(), Need(PROFILES["sum"], 0, 100 * SECOND)
    keeper.take("ask", ("a", asked))
    keeper.take("event", Event("m.sum", "a", SECOND, Decimal(2)))
    rows = keeper.log.appended(0, 1, {"m.sum": PROFILES["sum"]})
    keeper.held.after(rows, set(), keeper.now_us)  # and then ClickHouse is away
    keeper.check()
    keeper.held.after(rows, set(), keeper.now_us)
    keeper.take("ask", ("b", asked))  # as of the same cut
    keeper.check()
    keeper.refresh()
    keeper.check()


def test_what_was_used_longest_ago_goes_first() -> None:
    keeper = Keeper()
    for asked in ASKED[:3]:
        keeper.take("ask", ("a", asked))
    assert keeper.held.usage("a", ASKED[0], keeper.now_us) is not None
    keeper.held.shrink(2)
    assert [keeper.held.usage("a", asked, keeper.now_us) is None for asked in ASKED[:3]] == [False, True, False]
    keeper.held.shrink(0)
    assert (len(keeper.held), keeper.held.weight, keeper.held.profiles()) == (0, 0, {})
