"""A message goes to the very address that was checked, under the name that its certificate is checked for, and errors
tell nothing of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rating.webhooks.receiver.attempt import ReceiverAnswer, Sender
from schemas.settings import Settings

URL = "https://hooks.example.com:8443/in?token=t"


def sent(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[httpx.Request], Any],
    *addresses: str,
    url: str = URL,
    **settings: Any,
) -> tuple[ReceiverAnswer, list[httpx.Request]]:
    """What comes of a message where the name leads to ``addresses``, and the requests that were made."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer(request)

    async def send() -> ReceiverAnswer:
        async def look_up(host: str, port: int, **_: Any) -> list[Any]:
            return [(2, 1, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        sender = Sender(Settings(**settings))
        await sender.close()
        sender._client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
        try:
            return await sender.send(url, {"webhook-id": "inv_1_v1"}, b"{}", 0.0)
        finally:
            await sender.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(send()), requests


def test_it_goes_to_the_checked_address_under_the_receivers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, (request,) = sent(
        monkeypatch, lambda _: httpx.Response(204), "10.0.0.1", "93.184.216.34", "2606:2800:220:1::1"
    )
    assert (answer.status, answer.ok) == (204, True)
    assert str(request.url) == "https://93.184.216.34:8443/in?token=t"
    assert request.headers["host"] == "hooks.example.com:8443"
    assert request.headers["webhook-id"] == "inv_1_v1"
    assert request.extensions["sni_hostname"] == "hooks.example.com"


def test_the_next_address_is_tried_where_one_cannot_be_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_v4(request: httpx.Request) -> httpx.Response:
        if ":" in request.url.host:
            raise httpx.ConnectError("no route to host")
        return httpx.Response(200)

    answer, requests = sent(monkeypatch, only_v4, "2606:2800:220:1::1", "93.184.216.34")
    assert answer.ok
    assert [item.url.host for item in requests] == ["2606:2800:220:1::1", "93.184.216.34"]
    failed, _ = sent(monkeypatch, only_v4, "2606:2800:220:1::1")
    assert (failed.status, failed.error) == (0, "it cannot be connected to")


def test_redirects_and_refusals_are_told_by_their_status_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    moved, requests = sent(
        monkeypatch, lambda _: httpx.Response(301, headers={"location": "http://169.254.169.254/"}), "93.184.216.34"
    )
    assert (moved.status, moved.ok, moved.error, len(requests)) == (301, False, "redirects are not followed", 1)
    busy, _ = sent(
        monkeypatch, lambda _: httpx.Response(503, headers={"retry-after": "90"}, text="secret words"), "93.184.216.34"
    )
    assert (busy.status, busy.error, busy.retry_after) == (503, "it answered 503", 90.0)
    fine, _ = sent(monkeypatch, lambda _: httpx.Response(200, headers={"retry-after": "90"}), "93.184.216.34")
    assert fine.retry_after is None


def test_what_goes_wrong_is_told_in_words_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
        def answer(_: httpx.Request) -> httpx.Response:
            raise error

        return answer

    for error in (
        httpx.RemoteProtocolError("secret words"),
        httpx.ReadError("secret words"),
        ValueError("secret words"),
    ):
        answer, _ = sent(monkeypatch, broken(error), "93.184.216.34")
        assert (answer.status, "secret" in answer.error) == (0, False)
    refused, requests = sent(monkeypatch, lambda _: httpx.Response(200), "10.0.0.1")
    assert (refused.status, requests) == (0, [])
    assert "hooks.example.com is an address of a private network" in refused.error
    nowhere, _ = sent(monkeypatch, lambda _: httpx.Response(200))
    assert not nowhere.ok


def test_a_receiver_that_does_not_answer_is_left_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    answer, _ = sent(monkeypatch, hang, "93.184.216.34", webhook_timeout_seconds=0.05)
    assert (answer.status, answer.error) == (0, "no answer within 0.05 s")
