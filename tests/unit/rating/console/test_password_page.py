"""One's own password on the console: who has none is told so, and tries are limited like those of the login."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
from pydantic import SecretStr

from rating.api.visitors.login_attempts import BURST
from rating.app import build_app
from rating.console.frame import Frame
from rating.console.login import session
from rating.console.login.visit import Visit, _visit
from schemas.catalog.access.users import User
from schemas.http.api_keys import user_access
from schemas.http.problems import Problem
from schemas.settings import Settings

KEY = "the-admin-key"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"
NOW = 1_700_000_000
COOKIE = session.issue(
    KEY, [session.SessionKey(namespace, "user:ada", "digest") for namespace in ("shop", "bakery")], NOW * 1_000_000
)
FIELDS = {
    "token": session.form_token(KEY, COOKIE), "old_password": " the present one", "password": "a further one ",
    "password_again": "a further one ",
}  # fmt: skip


class _Gateway:
    """Takes the right password alone."""

    def __init__(self, users: dict[str, User]) -> None:
        self.users = users
        self.asked: list[tuple[str, str, str]] = []

    async def ask(self, access: Any, namespace: str, method: str, path: str, body: Any) -> None:
        self.asked.append((access.key_id, namespace, path))
        if body["old_password"] != FIELDS["old_password"]:
            raise Problem(422, "invalid", "that is not the present password")
        assert body["password"] == FIELDS["password"], "as it was typed"
        self.users[namespace] = self.users[namespace].model_copy(update={"hash": HASH + "x"})


def answers(*forms: dict[str, str], has_password: bool = True) -> tuple[list[httpx.Response], _Gateway]:
    app = build_app(Settings(admin_key=SecretStr(KEY)))
    users = {name: User(code="ada", hash=HASH, role="viewer") for name in ("shop", "bakery")}
    rating, gateway = app.state.rating, _Gateway(users)
    rating.gateway = gateway
    rating.keys = SimpleNamespace(user=lambda namespace, name: users[namespace])
    rating.now = lambda: datetime.fromtimestamp(NOW, UTC)
    frame = Frame("shop", token=FIELDS["token"], has_password=has_password, visitor="Ada")
    view: Any = SimpleNamespace(namespace="shop")
    app.dependency_overrides[_visit] = lambda: Visit(rating, user_access("shop", users["shop"]), view, frame)

    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://weir") as client:
            client.cookies.set(session.COOKIE, COOKIE)
            return [await client.post("/settings/password", data=form) for form in forms]

    return asyncio.run(run()), gateway


def test_the_password_changes_in_every_namespace_that_it_opens_and_this_session_goes_on() -> None:
    (answer,), gateway = answers(FIELDS)
    assert (answer.status_code, "is changed" in answer.text) == (200, True)
    path = "/v1/users/ada/password"
    assert gateway.asked == [("user:ada", "shop", path), ("user:ada", "bakery", path)]
    held = session.session_of(KEY, answer.cookies[session.COOKIE], NOW * 1_000_000)
    assert held is not None
    assert [key.namespace for key in held.keys] == ["shop", "bakery"]
    assert "digest" not in [key.digest for key in held.keys]


def test_a_wrong_password_is_counted_as_at_the_login() -> None:
    wrong = FIELDS | {"old_password": "a guess"}
    given, gateway = answers(*[wrong] * BURST, FIELDS)
    assert [answer.status_code for answer in given] == [422] * BURST + [429]
    assert len(gateway.asked) == BURST
    assert all("set-cookie" not in answer.headers and "a guess" not in answer.text for answer in given)


def test_two_that_differ_another_sites_form_and_who_has_no_password() -> None:
    given, gateway = answers(FIELDS | {"password_again": "another"}, FIELDS | {"token": "another"})
    assert [answer.status_code for answer in given] == [422, 403]
    (answer,), by_key = answers(FIELDS, has_password=False)
    assert (answer.status_code, "did not log in by a password" in answer.text) == (403, True)
    assert gateway.asked == by_key.asked == []
