"""What a void's request may say, and how the client gets it into Kafka."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from ingest.catalog.document import DocumentError
from ingest.client import AsyncClient, Client, GatewayUnavailable, Refusal, VoidTaken
from ingest.events.voids_api import wanted
from schemas.events.voids import MAX_REASON, EventVoid

PLACE = {"generation": 1, "partition": 2, "offset": 7}


def asked(body: Any, key: str | None = "k/1") -> EventVoid:
    return wanted(json.dumps(body).encode(), key, "acme", "clerk (key_1)")


def test_the_key_stands_in_the_path_or_in_the_body() -> None:
    expected = EventVoid("acme", "", "k/1", "sent twice", "clerk (key_1)")
    assert asked({"reason": " sent twice "}) == expected
    assert asked({"reason": "sent twice", "idempotency_key": "k/1"}, None) == expected
    assert asked({"reason": "x", "source": "eu"}).source == "eu"
    assert asked({"reason": "é" * MAX_REASON}).reason == "é" * MAX_REASON


@pytest.mark.parametrize(
    ("body", "key", "path"),
    [
        ({}, "k", "$.reason"),
        ({"reason": "  "}, "k", "$.reason"),
        ({"reason": 5}, "k", "$.reason"),
        ({"reason": "x" * (MAX_REASON + 1)}, "k", "$.reason"),
        ({"reason": "red \x1b[31m"}, "k", "$.reason"),
        ({"reason": "x", "idempotency_key": "other"}, "k", "$.idempotency_key"),
        ({"reason": "x"}, None, "$.idempotency_key"),
        ({"reason": "x"}, "", "$.idempotency_key"),
        ({"reason": "x"}, "k" * 257, "$.idempotency_key"),
        ({"reason": "x", "source": None}, "k", "$.source"),
        ({"reason": "x", "author": "somebody else"}, "k", "$.author"),
        ([], "k", "$"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(body: Any, key: str | None, path: str) -> None:
    with pytest.raises(DocumentError) as raised:
        asked(body, key)
    assert [fault.path for fault in raised.value.faults] == [path]


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(DocumentError):
        wanted(b'{"reason": "\\ud800"}', "k", "acme", "me")


def transport(answers: list[httpx.Response], observed: list[httpx.Request]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        observed.append(request)
        return answers.pop(0)

    return httpx.MockTransport(answer)


def answers() -> list[httpx.Response]:
    document = {"idempotency_key": "../k", "source": "eu", "reason": "r", "author": "me", "position": PLACE}
    return [httpx.Response(503, json={"detail": "moved"}), httpx.Response(202, json=document)]


def test_both_clients_try_again_until_the_void_is_in_kafka() -> None:
    expected = VoidTaken("../k", "eu", "me", 1, 2, 7)
    observed: list[httpx.Request] = []
    with Client("http://g", "key", transport=transport(answers(), observed)) as client:
        assert client.void("../k", "r", "eu") == expected

    async def run() -> VoidTaken:
        async with AsyncClient("http://g", "key", transport=transport(answers(), observed)) as client:
            return await client.void("../k", "r", "eu")

    assert asyncio.run(run()) == expected
    bodies = [json.loads(request.content) for request in observed]
    assert bodies == [{"idempotency_key": "../k", "reason": "r", "source": "eu"}] * 4
    assert {request.url.path for request in observed} == {"/v1/events/void"}


def test_a_refused_void_raises_and_one_without_an_answer_ends_at_its_deadline() -> None:
    refusal = [httpx.Response(403, json={"detail": "this needs a key with the scope admin"})]
    with (
        Client("http://g", "key", transport=transport(refusal, [])) as client,
        pytest.raises(Refusal, match="scope admin"),
    ):
        client.void("k", "r")
    silent = [httpx.Response(503, json={"detail": "moved"})]
    with (
        Client("http://g", "key", deadline=0, transport=transport(silent, [])) as client,
        pytest.raises(GatewayUnavailable, match="moved") as raised,
    ):
        client.void("k", "r")
    assert raised.value.keys == ("k",)
