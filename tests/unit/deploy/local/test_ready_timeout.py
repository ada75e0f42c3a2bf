"""A start is waited for while it gets on: by its log, its processor time, a new process; not by the clock alone."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.local.ready_timeout import Activity, ReadyTimeout


def ended(samples: Iterable[tuple[float, Activity]], idle_s: float = 60, limit_s: float = 600) -> tuple[float, str]:
    """When patience was over, and why; (-1, "") where it never was."""
    patience = ReadyTimeout(idle_s, limit_s, 0.0)
    for now, sample in samples:
        if trouble := patience.expired(sample, now):
            return now, trouble
    return -1, ""


def test_a_start_whose_log_grows_is_waited_for() -> None:
    assert ended((s, Activity(7, s // 50, 0.0)) for s in range(590)) == (-1, "")


def test_a_start_that_uses_the_processor_is_waited_for() -> None:
    # A JVM on a machine under load: two hundredths of a processor, and not a word in the log.
    assert ended((s, Activity(7, 0, s * 0.02)) for s in range(590)) == (-1, "")


def test_a_start_that_only_looks_again_is_given_up() -> None:
    when, trouble = ended((s, Activity(7, 10, s * 0.005)) for s in range(590))
    assert when == 61
    assert trouble == "is not ready after 61 s, and did nothing in the last 60 s"


def test_a_start_that_is_busy_for_ever_is_given_up_at_the_outer_limit() -> None:
    assert ended((s, Activity(7, s, s)) for s in range(2000)) == (601, "is not ready after 601 s")


def test_a_new_process_is_progress() -> None:
    assert ended((s, Activity(s // 40, 0, 0.0)) for s in range(590)) == (-1, "")


def test_the_outer_limit_is_never_below_the_idle_time() -> None:
    assert ended(((s, Activity(7, 0, 0.0)) for s in range(100)), idle_s=20, limit_s=5)[0] == 21
