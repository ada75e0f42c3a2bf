"""Reservations of the client: finalised with what was used, or released, whatever happens in between."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from ingest.client import AsyncClient, Client, Refusal, ReservationUnknown

URL = "http://rating"
PATH = "/v1/accounts/acme%2F1/entitlements/tokens/reservations"


class Service:
    """In place of the rating service; ``answers``: statuses before it answers well."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.reason = "reservation_expired"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        self.asked.append((request.url.raw_path.decode(), body))
        status = self.answers.pop(0) if self.answers else 200
        if status != 200:
            return httpx.Response(status, json={"reason": self.reason, "detail": "why"}, headers={"Retry-After": "0"})
        ended = request.url.path.rpartition("/")[2]
        state = {"finalise": "finalised", "release": "released"}.get(ended, "open")
        return httpx.Response(200, json={"reservation_id": "rsv_1", "state": state, "quantity": "10"})


def client(service: Service, deadline: float = 60) -> Client:
    return Client("http://gateway", "key", transport=httpx.MockTransport(service), rating_url=URL, deadline=deadline)


def test_it_is_finalised_with_what_was_used_under_one_key_a_request() -> None:
    service = Service(503, 200, 503)
    with client(service) as weir:
        with weir.reserve("acme/1", "tokens", Decimal("10.50"), expires_in=60) as reservation:
            reservation.use(7)
        assert reservation.state == "finalised"
    paths, bodies = zip(*service.asked, strict=True)
    assert paths == (PATH, PATH, f"{PATH}/rsv_1/finalise", f"{PATH}/rsv_1/finalise")
    assert (
        bodies[0]
        == bodies[1]
        == {"quantity": "10.50", "expires_in": 60, "idempotency_key": bodies[0]["idempotency_key"]}
    )
    assert bodies[2] == bodies[3] == {"quantity": "7", "idempotency_key": bodies[2]["idempotency_key"]}
    assert bodies[0]["idempotency_key"] != bodies[2]["idempotency_key"]


def fail(weir: Client, used: int | None) -> None:
    with weir.reserve("acme/1", "tokens", 10) as reservation:
        if used is not None:
            reservation.use(used)
        raise ZeroDivisionError


def test_work_that_fails_releases_it_unless_it_said_what_it_used() -> None:
    service = Service()
    with client(service) as weir:
        for used in (None, 3):
            with pytest.raises(ZeroDivisionError):
                fail(weir, used)
        with weir.reserve("acme/1", "tokens", 10):
            pass
        with weir.reserve("acme/1", "tokens", 10) as reservation:
            reservation.release()
    closed = [(path.rpartition("/")[2], body.get("quantity")) for path, body in service.asked if path != PATH]
    assert closed == [("release", None), ("finalise", "3"), ("finalise", "10"), ("release", None)]


def test_what_cannot_be_closed_hides_no_error_of_the_work_and_expired_is_none() -> None:
    with client(Service(200, 409)) as weir:
        with weir.reserve("acme/1", "tokens", 10) as reservation:
            reservation.use(1)
        assert reservation.state == "expired"
    service = Service(200, 409)
    service.reason = "reservation_released"
    with client(service) as weir, pytest.raises(Refusal), weir.reserve("acme/1", "tokens", 10):
        pass
    with client(Service(200, 503), 0.0) as weir, pytest.raises(ZeroDivisionError), weir.reserve("acme/1", "tokens", 10):
        raise ZeroDivisionError


def test_a_refusal_is_told_and_so_is_that_nothing_is_known() -> None:
    service = Service(409)
    service.reason = "limit_reached"
    with client(service) as weir, pytest.raises(Refusal) as refused:
        weir.reserve("acme/1", "tokens", 10)
    assert refused.value.problem["reason"] == "limit_reached"
    with (
        client(Service(503), 0.0) as weir,
        pytest.raises(ReservationUnknown, match="with idempotency_key mine") as unknown,
    ):
        weir.reserve("acme/1", "tokens", 10, idempotency_key="mine")
    assert unknown.value.idempotency_key == "mine"
    with Client("http://gateway", "key") as weir, pytest.raises(ValueError, match="has no rating_url"):
        weir.reserve("acme/1", "tokens", 10)


def test_the_asynchronous_client_does_the_same() -> None:
    service = Service()

    async def work() -> None:
        transport = httpx.MockTransport(service)
        async with AsyncClient("http://gateway", "key", transport=transport, rating_url=URL) as weir:
            async with await weir.reserve("acme/1", "tokens", 10) as reservation:
                reservation.use(4)
            with pytest.raises(ZeroDivisionError):
                async with await weir.reserve("acme/1", "tokens", 10):
                    raise ZeroDivisionError
            await (await weir.reserve("acme/1", "tokens", 10)).finalise(2)

    asyncio.run(work())
    closed = [(path.rpartition("/")[2], body.get("quantity")) for path, body in service.asked if path != PATH]
    assert closed == [("finalise", "4"), ("release", None), ("finalise", "2")]
