"""What stands still is told a minute after its last step, place by place, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.health.backlogs import ADMISSION, METERING, PIPELINE_STANDS, ROLL_UP, STAGES, Backlog, Backlogs
from schemas.health.stages import STANDING_SECONDS

FIRST, SECOND = ("usage.events.1", 0), ("usage.events.1", 1)


def names(backlogs: Backlogs, now: float) -> list[str]:
    return [standing.stage.name for standing in backlogs.standing(now, 0)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30), st.integers(1, 40))
def test_a_place_stands_from_the_last_look_at_which_it_moved_or_had_nothing_to_do(
    steps: list[tuple[int, int]], pause: int
) -> None:
    backlogs, done, end, since = Backlogs(), 0, 0, 0.0
    for number, (arrived, finished) in enumerate(steps):
        now = float(number * pause)
        idle_before, done_before = done >= end, done
        end += arrived
        done = min(end, done + finished)
        backlogs.seen([METERING], [Backlog(METERING, FIRST, done, end)], now)
        if idle_before or done != done_before or number == 0:
            since = now
        stands = done < end and now - since >= STANDING_SECONDS
        assert names(backlogs, now) == (["metering"] if stands else [])
        assert backlogs.waiting() == {METERING: end - done}


def test_a_partition_stands_while_others_go_on_and_the_reason_names_it() -> None:
    backlogs = Backlogs()
    for now in range(0, 90, 10):
        backlogs.seen([METERING], [Backlog(METERING, FIRST, 5, 7), Backlog(METERING, SECOND, now, 100)], float(now))
    [standing] = backlogs.standing(80.0, 80_000_000)
    assert (standing.since_us, standing.records, standing.concerns("anybody")) == (0, 2, True)
    reason = standing.reason()
    assert (reason.name, reason.lasting, reason.refuses) == (PIPELINE_STANDS, True, False)
    assert reason.detail.startswith("metering (usage.events to usage_events) has stood still for 80 s, since 1970-01")
    assert reason.detail.endswith("with 2 waiting in 1 place, first in usage.events.1 partition 0 at 5")


def test_what_could_not_be_looked_at_stays_as_it_was_seen_and_a_place_that_is_gone_is_forgotten() -> None:
    backlogs = Backlogs()
    backlogs.seen([METERING], [Backlog(METERING, FIRST, 0, 1)], 0.0)
    backlogs.seen([ROLL_UP], [], 70.0)
    assert names(backlogs, 70.0) == ["metering"]
    backlogs.seen([METERING], [], 80.0)
    assert names(backlogs, 80.0) == []
    assert backlogs.waiting() == {}


def test_marks_of_transactions_are_no_work_and_what_comes_after_them_has_a_minute_of_its_own() -> None:
    asked: list[Backlog] = []

    def waits(backlog: Backlog) -> bool:
        asked.append(backlog)
        return backlog.end > 1

    backlogs, place = Backlogs(waits), ("usage.inbox.shop", 0)
    for now in (0.0, 60.0, 70.0, 80.0):
        backlogs.seen([ADMISSION], [Backlog(ADMISSION, place, 0, 1, "shop")], now)
        assert names(backlogs, now) == []
    assert len(asked) == 1, "a state is asked about once"
    assert backlogs.waiting() == {ADMISSION: 0}
    backlogs.seen([ADMISSION], [Backlog(ADMISSION, place, 0, 2, "shop")], 90.0)
    assert names(backlogs, 149.0) == []
    [standing] = backlogs.standing(150.0, 0)
    assert "shop" not in standing.reason().detail, "/readyz names no tenant"
    assert standing.concerns("shop")
    assert not standing.concerns("other")


def test_a_place_where_work_waits_is_asked_about_once_and_after_one_that_cannot_be_told_no_other_is() -> None:
    asked: list[Backlog] = []
    answers: dict[tuple[str, int], bool | None] = {FIRST: None, SECOND: True}

    def waits(backlog: Backlog) -> bool | None:
        asked.append(backlog)
        return answers[backlog.place]

    def look(now: float, done: int = 0) -> list[tuple[str, int]]:
        asked.clear()
        places = [Backlog(METERING, place, done, 1 + int(now)) for place in (FIRST, SECOND)]
        backlogs.seen([METERING], places, now)
        assert all(len(standing.backlogs) == 2 for standing in backlogs.standing(now, 0)), "what is not told may wait"
        return [backlog.place for backlog in asked]

    backlogs = Backlogs(waits)
    assert look(0.0) == []
    assert look(60.0) == [FIRST]
    answers[FIRST] = True
    assert look(70.0) == [FIRST, SECOND]
    assert look(80.0) == look(90.0) == [], "more came, but nothing was done"
    assert look(100.0, done=1) == []
    assert look(160.0, done=1) == [FIRST, SECOND]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_that_stands_is_told(stage: object) -> None:
    backlogs = Backlogs()
    of = next(known for known in STAGES if known is stage)
    backlogs.seen([of], [Backlog(of, FIRST, 0, 1)], 0.0)
    assert names(backlogs, STANDING_SECONDS) == [of.name]
