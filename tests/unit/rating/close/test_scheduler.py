"""The scheduled close: every namespace gets its turn, whatever happens to another one."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

import pytest

from rating.close import CloseError, CloseResult
from rating.scheduler import close_all, main, not_ready, scheduled
from schemas.health.stages import Attempts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def nothing(name: str, problems: tuple[str, ...] = ()) -> CloseResult:
    return CloseResult(namespace=name, as_of=NOW, run=None, invoices=(), already=0, problems=problems, dry_run=False)


def test_a_failure_of_one_namespace_keeps_none_from_its_close(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    def close(name: str) -> CloseResult:
        closed.append(name)
        if name == "broken":
            raise CloseError("metering: no progress")
        return nothing(name, ("subscription x: no plan",) if name == "c" else ())

    with caplog.at_level(logging.INFO):
        assert close_all(["a", "broken", "c"], close, lambda: False, Attempts(time.monotonic)) == 1
    assert closed == ["a", "broken", "c"]
    assert [record.getMessage() for record in caplog.records] == [
        "close of broken failed, next round tries again: CloseError: metering: no progress",
        "c: not billed: subscription x: no plan",
    ]


def test_it_stops_between_two_namespaces() -> None:
    closed: list[str] = []

    def close(name: str) -> CloseResult:
        closed.append(name)
        return nothing(name)

    assert close_all(["a", "b", "c"], close, lambda: len(closed) == 2, Attempts(time.monotonic)) == 0
    assert closed == ["a", "b"]


def test_a_namespace_whose_close_fails_round_after_round_is_told_until_it_succeeds() -> None:
    now = time.monotonic()
    clock = iter([now - 90, now - 30])
    attempts = Attempts(lambda: next(clock))
    broken = [True]

    def close(name: str) -> CloseResult:
        if broken[0]:
            raise CloseError("metering: no progress")
        return nothing(name)

    assert not_ready(attempts) == ()
    for _ in range(2):
        close_all(["shop"], close, lambda: False, attempts)
    [reason] = not_ready(attempts)
    assert (reason.name, reason.refuses) == ("stage_stands", False)
    assert "scheduler: close of shop has stood still for 90 s" in reason.detail
    assert "metering: no progress" in reason.detail
    broken[0] = False
    close_all(["shop"], close, lambda: False, attempts)
    assert not_ready(attempts) == ()


def test_a_schedule_of_no_seconds_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_CLOSE_SCHEDULE_SECONDS", "0")
    assert main() == 2
    assert "WEIR_CLOSE_SCHEDULE_SECONDS" in capsys.readouterr().err


def test_all_namespaces_or_those_that_are_named_have_their_turn() -> None:
    assert scheduled(["a", "b", "c"], "") == ["a", "b", "c"]
    assert scheduled(["a", "b", "c"], " c, a,,x") == ["a", "c"]


def test_one_round_needs_no_schedule_and_ends_with_1_where_a_close_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CLOSE_SCHEDULE_SECONDS", "0")
    failures = iter([0, 2])
    monkeypatch.setattr("rating.scheduler.run", lambda *_, once: next(failures) if once else None)
    assert [main(["--once"]), main(["--once"])] == [0, 1]
