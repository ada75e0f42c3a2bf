"""Keys are not guessed at the login: wrong ones are counted, told in the log without the key, and after some nothing is
looked at."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import Message

from rating.api.visitors import ended_sessions
from rating.api.visitors.login_attempts import ALL_BURST, BURST, EACH, REMEMBERED, USER_BURST, USER_EACH, LoginAttempts
from rating.app import build_app
from rating.console.login import login_routes
from rating.console.login.session import COOKIE, form_token
from rating.console.login.visit import form_of
from schemas.http.api_keys import ALL_SCOPES, Access
from schemas.settings import Settings

KEY = "the-right-key"


def tried(keys: list[str]) -> list[httpx.Response]:
    app = build_app(Settings(admin_key=SecretStr(KEY)))

    async def requests() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://weir") as client:
            return [await client.post("/login", data={"key": key, "after": "/runs"}) for key in keys]

    return asyncio.run(requests())


def test_wrong_keys_are_limited_and_logged_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = tried([*[f"wrong-secret-{number}" for number in range(BURST)], KEY, "wrong-secret-last"])
    assert [answer.status_code for answer in answers] == [401] * BURST + [429] * 2
    assert 0 < int(answers[-1].headers["retry-after"]) <= EACH
    # The right key is told from no wrong one meanwhile.
    assert [answer.headers.get("set-cookie") for answer in answers] == [None] * len(answers)
    lines = [record.getMessage() for record in caplog.records if record.name == "rating.console.login.login_routes"]
    assert lines[0] == "console login from 192.0.2.7 is refused: a wrong key"
    assert len(lines) == BURST + 2
    assert "secret" not in caplog.text
    assert KEY not in caplog.text


def test_the_right_key_opens_and_forgets_the_wrong_ones(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = tried([*["wrong"] * (BURST - 1), KEY, *["wrong"] * (BURST - 1), KEY])
    assert [answer.status_code for answer in answers].count(303) == 2
    assert "console login from 192.0.2.7" in caplog.messages
    assert tried(["\udc80".encode("utf-8", "replace").decode(), "ü" * 3000])[-1].status_code == 401


def test_a_right_login_gives_nobody_more_tries_at_others_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_routes, "is_password", lambda kept, password: False)
    monkeypatch.setattr(login_routes, "nobodys_hash", lambda: "")
    app = build_app(Settings(admin_key=SecretStr(KEY)))
    monkeypatch.setattr(app.state.rating.keys, "_fresh", lambda: True)

    async def statuses() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://weir") as client:
            tries = [{"user": "ada", "password": "a guess"}, {"key": KEY}] * (BURST - 1) + [
                {"user": "ada"},
                {"key": KEY},
            ]
            return [(await client.post("/login", data=fields)).status_code for fields in tries]

    assert asyncio.run(statuses()) == [401, 303] * (BURST - 1) + [401, 429]


def test_tries_come_back_with_time_and_by_address() -> None:
    tries = LoginAttempts()
    for _ in range(BURST):
        assert tries.wait("2001:db8::1", 0) == 0
        tries.failed("2001:db8::1", 0)
    assert tries.wait("2001:db8::ffff", 0) == EACH  # the same /64
    assert tries.wait("2001:db8:0:1::1", 0) == 0
    assert tries.wait("::ffff:192.0.2.1", 0) == 0
    assert tries.wait("2001:db8::1", EACH - 1) == 1
    assert tries.wait("2001:db8::1", EACH) == 0


def test_all_addresses_together_have_a_bound_and_few_are_remembered() -> None:
    tries = LoginAttempts()
    for number in range(ALL_BURST):
        tries.failed(f"198.51.{number // 250}.{number % 250}", 0)
    assert tries.wait("203.0.113.1", 0) == 1
    assert tries.wait("203.0.113.1", 2) == 0
    for number in range(REMEMBERED + 10):
        tries.failed(f"{number}", 0, "ada" if number % 2 == 0 else "")
    assert len(tries._spent) == REMEMBERED
    assert tries.wait("203.0.113.1", 0) > 0


def test_a_users_password_is_not_guessed_from_many_addresses() -> None:
    tries = LoginAttempts()
    for number in range(USER_BURST):
        assert tries.wait("203.0.113.1", 0, "ada") == 0
        tries.failed(f"198.51.100.{number}", 0, "ada")
    assert tries.wait("203.0.113.1", 0, "ada") == USER_EACH
    assert tries.wait("203.0.113.1", USER_EACH, "ada") == 0
    assert (tries.wait("203.0.113.1", 0, "bo"), tries.wait("203.0.113.1", 0)) == (0, 0), "others, and keys"
    tries.forget("203.0.113.1")
    assert tries.wait("203.0.113.1", 0, "ada") == USER_EACH, "a right login of another gives no more tries"


def test_an_ended_session_is_not_brought_back_by_cookies_that_are_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_sessions, "MOST", 2)
    app = build_app(Settings(admin_key=SecretStr(KEY)))

    async def kept_cookie() -> str:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://weir") as client:
            cookie = (await client.post("/login", data={"key": KEY})).cookies[COOKIE]
            client.cookies.clear()
            for sent in (cookie, "made-up", "1.x.y", "", f"{cookie}0"):
                answer = await client.post("/logout", headers={"cookie": f"{COOKIE}={sent}"})
                assert (answer.status_code, answer.headers["location"]) == (303, "/login")
            # As another site sends a form: without the cookie, which stays.
            assert "set-cookie" not in (await client.post("/logout")).headers
            return cookie

    cookie = asyncio.run(kept_cookie())
    assert app.state.rating.ended_sessions.has(cookie)


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)]
)
def test_no_other_site_logs_a_visitor_in(site: str, status: int) -> None:
    app = build_app(Settings(admin_key=SecretStr(KEY)))

    async def answered() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://weir") as client:
            return await client.post("/login", data={"key": KEY}, headers={"Sec-Fetch-Site": site})

    answer = asyncio.run(answered())
    assert (answer.status_code, "set-cookie" in answer.headers) == (status, status == 303)


def test_a_password_is_taken_as_it_is_typed() -> None:
    settings = Settings(admin_key=SecretStr(KEY))
    fields = {"token": form_token(KEY, "c"), "password": " a pass word ", "name": " Ada "}

    async def body() -> Message:
        return {"type": "http.request", "body": urlencode(fields).encode()}

    request = Request({"type": "http", "method": "POST", "headers": [(b"cookie", f"{COOKIE}=c".encode())]}, body)
    visit: Any = SimpleNamespace(rating=SimpleNamespace(settings=settings), access=Access(None, ALL_SCOPES, "admin"))
    assert asyncio.run(form_of(request, visit)) == fields | {"name": "Ada"}
