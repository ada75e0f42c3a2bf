"""Who is refused what another process may have published a moment before waits for it, and nobody waits again and
again."""

from __future__ import annotations

import asyncio

from schemas.http.api_keys import Denied
from schemas.http.second_looks import A_SECOND, BURST, PAUSES, SecondLooks

WRONG = Denied(401, "unauthorised", "wrong", look_again=True)
EXPIRED = Denied(401, "unauthorised", "expired")


class Waiting:
    """Second looks by a catalog that is as recent as a request after ``late`` pauses of it."""

    def __init__(self, late: int) -> None:
        self.now, self.pauses, self._late = 100.0, 0, late
        self.looks = SecondLooks(lambda _moment: self.pauses >= self._late, lambda: self.now, self._pause)

    async def _pause(self, _seconds: float) -> None:
        self.pauses += 1

    def due(self, tenant: str = "shop") -> bool:
        self.pauses = 0
        return asyncio.run(self.looks.due(tenant))

    def due_for_key(self, denied: Denied, credentials: str) -> bool:
        self.pauses = 0
        return asyncio.run(self.looks.due_for_key(denied, credentials))


def test_a_request_waits_until_the_catalog_is_as_recent_as_itself_and_at_most_two_seconds() -> None:
    waiting = Waiting(3)
    assert (waiting.due(), waiting.pauses) == (True, 3)
    waiting = Waiting(10_000)
    assert (waiting.due(), waiting.pauses) == (False, PAUSES)


def test_who_is_refused_again_and_again_waits_seldom_and_takes_no_wait_of_others() -> None:
    waiting = Waiting(1)
    assert [waiting.due() for _ in range(BURST + 5)] == [True] * BURST + [False] * 5
    assert waiting.pauses == 0  # at once
    assert waiting.due("other")
    waiting.now += 1
    assert [waiting.due() for _ in range(5)] == [True] * A_SECOND + [False] * (5 - A_SECOND)


def test_a_key_that_stays_wrong_is_looked_for_once_and_one_that_is_known_never() -> None:
    waiting = Waiting(1)
    assert not waiting.due_for_key(EXPIRED, "Bearer expired")
    assert waiting.pauses == 0
    assert [waiting.due_for_key(WRONG, "Bearer wrong") for _ in range(1000)] == [True] + [False] * 999
    assert waiting.due_for_key(WRONG, "Bearer new")  # the thousand have left the waits of all wrong keys alone
