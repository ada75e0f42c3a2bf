"""Why a gateway is not ready: named reasons with their remedies, and the first of them that refuses events."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.cli.operation.not_ready import lines
from schemas.health.readiness import Readiness, UnreadyReason, from_json, to_json

SLOW = UnreadyReason("not_delivering", "Kafka does not acknowledge events", "look at its log")
GONE = UnreadyReason("log_lost", "12 records are gone", "`weir log give-up`", refuses=True, lasting=True)


def test_reasons_keep_their_order_and_the_first_that_refuses_is_the_answer() -> None:
    stands: list[UnreadyReason] = []

    def later() -> Iterator[UnreadyReason]:
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
