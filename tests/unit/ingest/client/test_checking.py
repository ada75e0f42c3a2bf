"""A client's checks: how old an answer may be, and what holds while nothing is answered, by the caller's own choice."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from ingest.client import AsyncClient, Client, Refusal
from ingest.client.checking import PAUSE, CheckMemory, CheckResult
from ingest.client.wire import AttemptAnswer

QUESTION = ("acme", "model", Decimal(3))


def answered(allowed: bool, reason: str | None = None) -> AttemptAnswer:
    document = {"allowed": allowed, "reason": reason, "detail": "", "used": "5"}
    return AttemptAnswer(200, 0.0, json.dumps({"results": [document], "as_of": {"at": "now"}}).encode())


DOWN = AttemptAnswer(0, 0.0, b"ConnectError: refused")


def test_an_answer_is_taken_again_for_as_long_as_the_caller_says() -> None:
    memory = CheckMemory()
    assert memory.known(QUESTION, 10.0, "deny", 100.0) is None
    memory.take(QUESTION, answered(True), "deny", 100.0)
    again = memory.known(QUESTION, 10.0, "deny", 105.0)
    assert again is not None
    assert (again.allowed, again.known, again.age, again.document["used"]) == (True, True, 5.0, "5")
    assert memory.known(QUESTION, 4.0, "deny", 105.0) is None
    assert memory.known(("acme", "model", None), 10.0, "deny", 105.0) is None


def test_what_holds_without_an_answer_is_the_callers_choice_and_is_said() -> None:
    memory = CheckMemory()
    assert memory.take(QUESTION, DOWN, "allow", 0.0).allowed
    closed = memory.take(QUESTION, DOWN, "deny", 0.0)
    assert (closed.allowed, closed.known, closed.reason) == (False, False, "unavailable")
    assert "refused" in closed.detail
    # For a moment the service is not asked again, so that its absence does not delay every call.
    assert memory.known(QUESTION, 1.0, "allow", PAUSE / 2) == CheckResult(True, False, None, closed.detail)
    assert memory.known(QUESTION, 1.0, "allow", PAUSE) is None
    untyped: Any = "open"  # of a caller that checks no types
    with pytest.raises(ValueError, match="say allow"):
        memory.known(QUESTION, 1.0, untyped, 0.0)


def test_a_question_that_cannot_be_answered_now_pauses_itself_alone() -> None:
    memory = CheckMemory()
    busy = AttemptAnswer(503, 1.0, b'{"detail": "the account could not be measured"}')
    assert not memory.take(QUESTION, busy, "deny", 0.0).known
    assert memory.known(QUESTION, 1.0, "deny", PAUSE / 2) is not None
    assert memory.known(("other", "model", None), 1.0, "allow", PAUSE / 2) is None


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"results": [], "as_of": {}}', b'{"results": [1]}'])
def test_what_is_no_answer_is_a_failure(body: bytes) -> None:
    memory = CheckMemory()
    result = memory.take(QUESTION, AttemptAnswer(200, 0.0, body), "allow", 0.0)
    assert (result.allowed, result.known) == (True, False)


def test_what_is_kept_is_bounded() -> None:
    memory = CheckMemory(most=2)
    for account in ("a", "b", "c"):
        memory.take((account, "f", None), answered(True), "deny", 0.0)
    assert [memory.known((name, "f", None), 1.0, "deny", 0.0) is None for name in "abc"] == [True, False, False]


def test_both_clients_ask_the_rating_service_and_a_wrong_key_is_raised_whatever_was_chosen() -> None:
    asked: list[tuple[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), json.loads(request.content)))
        if request.headers["authorization"] != "Bearer right":
            return httpx.Response(401, json={"detail": "no such key"})
        document = {"allowed": False, "reason": "limit_reached", "detail": "60 of 60"}
        return httpx.Response(200, json={"results": [document], "as_of": {}})

    transport = httpx.MockTransport(answer)
    with Client("http://gateway", "right", rating_url="http://rating/", transport=transport) as client:
        for _ in range(3):
            result = client.check("acme", "model", quantity=Decimal("1.50"), on_failure="allow")
        assert (bool(result), result.reason, result.detail) == (False, "limit_reached", "60 of 60")
    body = {"checks": [{"account_id": "acme", "feature": "model", "quantity": "1.50"}]}
    assert asked == [("http://rating/v1/entitlements/check", body)]
    with (
        Client("http://gateway", "wrong", rating_url="http://rating", transport=transport) as client,
        pytest.raises(Refusal, match="no such key"),
    ):
        client.check("acme", "model", on_failure="allow")
    with (
        Client("http://gateway", "right", transport=transport) as client,
        pytest.raises(ValueError, match="rating_url"),
    ):
        client.check("acme", "model", on_failure="deny")

    async def body_of_async() -> None:
        async with AsyncClient("http://gateway", "right", rating_url="http://rating", transport=transport) as client:
            assert not await client.check("acme", "model", on_failure="allow")

    asyncio.run(body_of_async())
