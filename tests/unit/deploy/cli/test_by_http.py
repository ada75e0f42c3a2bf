"""Commands that ask a service more than once: lists by pages, and what a void did once it is metered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from deploy.cli.connection import Services
from deploy.cli.events import rejected, void
from deploy.cli.operation import verify
from ingest.client import VoidTaken
from tests.unit.deploy.cli.test_by_key import by_handler

RECEIPT = VoidTaken("k", "", "Ada", 1, 2, 30)


def test_rejections_are_listed_by_as_many_pages_as_the_limit_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def pages(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        size = int(request.url.params["limit"])
        return httpx.Response(200, json={"rejections": [{"id": len(asked)}] * size, "next_cursor": f"c{len(asked)}"})

    with by_handler(monkeypatch, pages).http("rating") as client:
        assert len(rejected._pages(client, {"reason": "too_old"}, 150)) == 150
    assert asked == [
        {"reason": "too_old", "limit": "100"},
        {"reason": "too_old", "limit": "50", "cursor": "c1"},
    ]


def test_the_last_page_ends_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rejections": [{"id": "a"}], "next_cursor": None})

    with by_handler(monkeypatch, page).http("rating") as client:
        assert rejected._pages(client, {}, 1000) == [{"id": "a"}]


def effects(monkeypatch: pytest.MonkeyPatch, outcomes: list[str]) -> tuple[list[Any], list[str]]:
    """What a void of the position (1, 2, 30) did where the service answers so, the last for ever; and what was
    asked."""
    paths: list[str] = []

    def outcome(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        outcome = outcomes[min(len(paths), len(outcomes)) - 1]
        return httpx.Response(200, json={"outcome": outcome, "detail": "", "event": None})

    asked_of: Services = by_handler(monkeypatch, outcome)
    monkeypatch.setattr(void, "_PAUSE_SECONDS", 0.0)
    return void._effects(asked_of, [RECEIPT]), paths


def test_what_a_void_did_is_asked_until_it_is_metered(monkeypatch: pytest.MonkeyPatch) -> None:
    [effect], paths = effects(monkeypatch, ["pending", "pending", "already_voided"])
    assert (effect["outcome"], paths) == ("already_voided", ["/v1/voids/1/2/30"] * 3)
    assert not void._without_effect(effect)


def test_a_void_that_is_not_metered_in_time_is_pending(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(void, "_WAIT_SECONDS", 0.0)
    [effect], paths = effects(monkeypatch, ["pending"])
    assert (effect["outcome"], len(paths)) == ("pending", 1)
    assert void._without_effect(effect)
    void._say([RECEIPT], [effect])
    assert "'k': not metered within 0 s" in capsys.readouterr().out


def test_an_event_s_numbers_keep_their_digits_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    event = '"event_name":"e","account_id":"a","timestamp":"2026-01-01T00:00:00Z","properties":{"v":0.10},"voided":true'
    text = f'{{"event":{{{event}}}}}'

    def counted(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=text if request.url.params["idempotency_key"] == "k" else '{"event":null}')

    with by_handler(monkeypatch, counted).http("rating") as client:
        copy = void._copy(client, "k", "")
        assert copy == void.CountedCopy("e", "a", "2026-01-01T00:00:00Z", '{"v":0.10}', True)
        assert void._copy(client, "other", "") is None


def test_the_doctor_s_text_comes_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def diagnosis(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.headers["accept"]) == ("/v1/diagnosis", "text/plain")
        assert dict(request.url.params) == {"account_id": "acme", "metric": "calls"}
        return httpx.Response(200, text="calls.n of account acme\n\n- All 3 events count.")

    asked_of = by_handler(monkeypatch, diagnosis)
    monkeypatch.setattr(verify, "services", lambda namespace: asked_of)
    verify.doctor("acme", "calls")
    assert capsys.readouterr().out == "calls.n of account acme\n\n- All 3 events count.\n"
