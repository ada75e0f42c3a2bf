"""The demo goes on while something outside does not answer, and stops at an error of ours."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from deploy.cli.errors import Failure
from deploy.demo.retrying import retried, wait
from schemas.ledgers.errors import LedgerUnavailable


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return action


def test_it_tries_again_while_the_outside_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.demo.retrying._PAUSE_S", 0)
    refused, gone = httpx.ConnectError("refused"), LedgerUnavailable("usage.catalog: no answer")
    assert retried("reading", failing(refused, gone, Failure("503"))) == "done"


def test_it_gives_up_with_the_last_reason() -> None:
    with pytest.raises(Failure, match=r"reading: usage\.catalog: no answer"):
        retried("reading", failing(LedgerUnavailable("usage.catalog: no answer")), seconds=-1)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), Failure("the document is wrong", 2)])
def test_what_trying_again_cannot_mend_passes_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        retried("reading", failing(error))


def test_waiting_shows_progress_and_ends_at_the_goal_or_at_a_standstill() -> None:
    observed: list[tuple[int, int]] = []
    measures = iter([(0, 2), (0, 2), (1, 2), (2, 2)])
    wait("metering", lambda: next(measures), lambda done, total: observed.append((done, total)), seconds=60)
    assert observed == [(0, 2), (1, 2), (2, 2)]
    with pytest.raises(Failure, match=r"no progress for .* at 1 of 2; `weir status`"):
        wait("metering", lambda: (1, 2), lambda *_: None, seconds=0)
