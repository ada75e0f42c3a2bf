"""Why a gateway is not ready: named reasons with their remedies, and the first of them that refuses events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.cli.standing import lines, standing
from deploy.local.state import Phase, ProcessState, StackState
from schemas.readiness import Readiness, Reason, from_json, to_json

SLOW = Reason("not_delivering", "Kafka does not acknowledge events", "look at its log")
GONE = Reason("log_lost", "12 records are gone", "`weir log give-up`", refuses=True, lasting=True)


def test_reasons_keep_their_order_and_the_first_that_refuses_is_the_answer() -> None:
    stands: list[Reason] = []

    def later() -> Iterator[Reason]:
        yield from stands

    readiness = Readiness(lambda: (SLOW,))
    readiness.add(later)
    assert (readiness.reasons(), readiness.refusal()) == ((SLOW,), None)
    stands.append(GONE)
    assert (readiness.reasons(), readiness.refusal()) == ((SLOW, GONE), GONE)
    assert from_json({"reasons": to_json(readiness.reasons())}) == (SLOW, GONE)
    assert from_json({}) == ()


def test_people_are_told_who_what_and_what_to_do() -> None:
    assert list(lines([("gateway", GONE), ("worker-0", SLOW)])) == [
        "gateway takes no events: 12 records are gone; `weir log give-up`",
        "worker-0 is not ready: Kafka does not acknowledge events; look at its log",
    ]


def state(phase: Phase) -> StackState:
    processes = {
        "rating": ProcessState(phase, 7, ports={"http": 8001}, log="rating.log"),
        "kafka": ProcessState("ready", 8, ports={"broker": 9092}),
    }
    return StackState(1, True, {}, processes)


@pytest.mark.parametrize(
    ("phase", "answer", "names"),
    [
        ("ready", None, ["no_answer"]), ("starting", None, []), ("ready", (), []), ("ready", (SLOW,), ["not_delivering"]),
        ("backoff", None, []),
    ],
)  # fmt: skip
def test_a_process_that_was_ready_and_answers_nothing_stands_still(
    phase: Phase, answer: tuple[Reason, ...] | None, names: list[str]
) -> None:
    found = standing(state(phase), lambda port: answer if port == 8001 else pytest.fail(str(port)))
    assert [(process, reason.name) for process, reason in found] == [("rating", name) for name in names]
