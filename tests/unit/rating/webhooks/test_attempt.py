"""A message goes to the very address that was checked, under the name that its certificate is checked for, and errors
tell nothing of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from rating.webhooks.receiver import attempt
from rating.webhooks.receiver.attempt import ReceiverAnswer, Sender
from schemas.settings import Settings

URL = "https://hooks.example.com:8443/in?token=t"


def sent(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[httpx.Request], Any],
    *addresses: str,
    url: str = URL,
    own: Mapping[str, Sequence[str]] = MappingProxyType({}),
    then: Sequence[str] | None = None,
    **settings: Any,
) -> tuple[ReceiverAnswer, list[httpx.Request]]:
    """What comes of a message where the name leads to ``addresses`` (``then``: when it is asked again), and the
    requests that were made. ``own``: the addresses of Weir's own parts, by name."""
    requests: list[httpx.Request] = []
    looks = iter([addresses] + ([then] * 9 if then is not None else []))

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer(request)

    async def send() -> ReceiverAnswer:
        async def look_up(host: str, port: int, **_: Any) -> list[Any]:
            found = own.get(host, ()) if host in own else next(looks, addresses)
            return [(2, 1, 6, "", (address, port)) for address in found]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        sender = Sender(Settings(**settings), httpx.MockTransport(handle))
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


def test_a_redirect_to_an_inner_address_is_not_followed_from_a_named_receiver_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved, requests = sent(
        monkeypatch,
        lambda _: httpx.Response(307, headers={"location": "http://127.0.0.1:8123/?query=DROP"}),
        "10.0.0.7",
        url="http://hooks.inner:9000/in",
        webhook_allow="10.0.0.7:9000",
    )
    assert (moved.status, moved.ok, moved.error) == (307, False, "redirects are not followed")
    assert [str(request.url) for request in requests] == ["http://10.0.0.7:9000/in"]


@pytest.mark.parametrize("receiver", ["192.168.1.20", "10.0.0.7", "172.16.3.4", "100.64.0.9", "fd00::5"])
def test_a_receiver_on_a_lan_gets_nothing_until_the_operator_names_it(
    monkeypatch: pytest.MonkeyPatch, receiver: str
) -> None:
    host = f"[{receiver}]" if ":" in receiver else receiver
    url = f"http://{host}:9000/in"
    for settings in ({}, {"webhook_reach": "loopback"}, {"webhook_allow": f"{host}:9001"}):
        refused, requests = sent(monkeypatch, lambda _: httpx.Response(200), receiver, url=url, **settings)
        assert (refused.status, requests) == (0, [])
        assert f"WEIR_WEBHOOK_ALLOW={host}:9000" in refused.error
    taken, requests = sent(monkeypatch, lambda _: httpx.Response(200), receiver, url=url, webhook_allow=f"{host}:9000")
    assert taken.ok
    assert [str(request.url) for request in requests] == [url]


def test_a_name_that_leads_elsewhere_when_it_is_asked_again_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to, and the next message is checked
    anew."""
    answer, (request,) = sent(
        monkeypatch, lambda _: httpx.Response(200), "93.184.216.34", then=["127.0.0.1"], url="https://rebind.example/in"
    )
    assert answer.ok
    assert request.url.host == "93.184.216.34"
    refused, requests = sent(
        monkeypatch, lambda _: httpx.Response(200), "127.0.0.1", then=["93.184.216.34"], url="https://rebind.example/in"
    )
    assert (refused.status, requests) == (0, [])


def test_weirs_own_parts_are_no_receivers_at_this_machines_other_addresses_and_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt, "of_this_machine", lambda address: address == "10.0.0.5")
    parts: dict[str, Any] = {
        "webhook_reach": "any", "webhook_allow": "10.0.0.9:8123", "gateway_host": "0.0.0.0", "gateway_port": 8080,
        "clickhouse_host": "clickhouse", "clickhouse_port": 8123, "own": {"clickhouse": ["10.0.0.9"]},
    }  # fmt: skip
    for address, port in (("10.0.0.5", 8080), ("10.0.0.9", 8123)):
        refused, requests = sent(
            monkeypatch, lambda _: httpx.Response(200), address, url=f"http://hooks.example:{port}/in", **parts
        )
        assert (refused.status, requests) == (0, []), address
        assert "is a port of Weir's own parts" in refused.error
    for address, port in (("10.0.0.5", 9000), ("10.0.0.6", 8080), ("10.0.0.8", 8123)):
        answer, _ = sent(
            monkeypatch, lambda _: httpx.Response(200), address, url=f"http://hooks.example:{port}/in", **parts
        )
        assert answer.ok, (address, answer.error)


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
