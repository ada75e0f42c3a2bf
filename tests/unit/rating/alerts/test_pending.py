"""Who is looked at next: equal shares, bounded looks, and one account that fails holds up nobody."""

from __future__ import annotations

from rating.alerts.pending import FIRST_AT_ONCE, MOST_AT_ONCE, MOST_NAMED, NEVER, PendingAccounts


def accounts(number: int, name: str = "a") -> dict[str, int]:
    return {f"{name}{index}": NEVER for index in range(number)}


def taken(pending: PendingAccounts, now: float = 0.0) -> tuple[str, dict[str, int]]:
    due = pending.take(now)
    assert due is not None
    return due


def test_a_look_grows_while_it_is_quick_and_shrinks_where_it_is_slow() -> None:
    pending = PendingAccounts()
    pending.add("shop", accounts(2_000))
    sizes = []
    for seconds in (0.1, 0.1, 0.1, 0.1, 0.1, 5.0, 5.0):
        _, lot = taken(pending)
        sizes.append(len(lot))
        pending.done("shop", lot, seconds)
    assert sizes == [FIRST_AT_ONCE, 40, 80, 160, MOST_AT_ONCE, MOST_AT_ONCE, 100]


def test_names_that_would_not_fit_into_a_query_are_looked_at_in_smaller_lots() -> None:
    pending = PendingAccounts()
    pending.add("shop", {("x" * 256) + str(index): NEVER for index in range(100)})
    assert sum(map(len, taken(pending)[1])) <= MOST_NAMED
    pending.add("long", {"é" * 5_000: NEVER})
    assert len(taken(pending)[1]) == 1


def test_a_namespace_whose_looks_are_slow_has_no_more_time_than_another() -> None:
    pending, seconds = PendingAccounts(), {"slow": 0.0, "quick": 0.0}
    for name in seconds:
        pending.add(name, accounts(40_000))
    for _ in range(100):
        name, lot = taken(pending)
        took = 2.0 if name == "slow" else 0.1
        seconds[name] += took
        pending.done(name, lot, took)
    assert abs(seconds["slow"] - seconds["quick"]) <= 2.0
    pending.add("late", accounts(100))  # it had no time so far, and gets none for that
    for _ in range(4):
        name, lot = taken(pending)
        pending.done(name, lot, 1.0)
        if name != "late":
            break
    assert name != "late"


def test_one_account_that_can_never_be_looked_at_is_found_and_given_up() -> None:
    pending = PendingAccounts()
    pending.add("shop", accounts(20))
    looked, given_up = set[str](), []
    while (due := pending.take(0.0)) is not None:
        name, lot = due
        if "a7" not in lot:
            looked |= lot.keys()
            pending.done(name, lot, 0.1)
        elif not pending.failed(name, lot, 0.1, 0.0, permanent=True):
            given_up += list(lot)
    assert (given_up, looked) == (["a7"], accounts(20).keys() - {"a7"})


def test_what_may_pass_is_tried_again_ever_later_and_holds_up_no_other_namespace() -> None:
    pending = PendingAccounts()
    pending.add("shop", {"a": 5, "b": 7})
    pending.add("other", {"c": NEVER})
    name, lot = taken(pending)
    assert (name, lot) == ("other", {"c": NEVER})
    pending.done(name, lot, 1.0)
    name, lot = taken(pending)
    assert pending.failed(name, lot, 0.1, 10.0, permanent=False)
    assert not pending.due(10.5)
    pending.add("other", {"c": 3})
    assert taken(pending, 10.5)[0] == "other"
    pending.add("shop", {"a": 4, "d": 9})  # what came meanwhile stands behind, and the earliest instant stays
    assert taken(pending, 11.0) == ("shop", {"a": 4})
    assert taken(pending, 11.0) == ("shop", {"b": 7})


def test_a_trouble_of_all_gives_up_no_account_before_it_failed_alone_so_often() -> None:
    pending = PendingAccounts()
    pending.add("shop", accounts(16))
    now, alone = 0.0, dict[str, int]()
    while (due := pending.take(now)) is not None:
        _, lot = due
        alone |= {name: alone.get(name, 0) + 1 for name in lot if len(lot) == 1}
        if not pending.failed("shop", lot, 0.1, now, permanent=False):
            break
        now += 100.0
    assert alone == {"a0": 3}
