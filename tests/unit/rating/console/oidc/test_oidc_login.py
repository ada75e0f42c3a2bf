"""The way to the provider and back through the console's routes, and each way on which nobody is let in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from rating.api.rating_problems import unavailable
from rating.api.visitors.id_token import Identity
from rating.api.visitors.identity_provider import OidcProvider
from rating.app import build_app
from rating.console.login import session
from rating.console.login.oidc import oidc_routes
from rating.console.login.oidc.login_request import COOKIE, SECONDS
from rating.console.login.oidc.provider_users import opened_as
from rating.console.login.session import SessionKey
from schemas.catalog.access.users import User, UserRole, provider_code
from tests.unit.rating.console.oidc.fake_provider import ISSUER, NOW, SETTINGS, FakeProvider, claims, signed

Browse = Callable[[httpx.AsyncClient, FakeProvider], Awaitable[None]]


async def _opened(rating: Any, identity: Identity, roles: dict[str, UserRole]) -> list[SessionKey]:
    return [SessionKey(name, f"user:{identity.subject}", "digest") for name in roles]


def browse(monkeypatch: pytest.MonkeyPatch, fake: FakeProvider, steps: Browse, at: list[int] | None = None) -> None:
    app = build_app(SETTINGS)
    app.state.rating.oidc = OidcProvider(SETTINGS, fake.transport())
    now = at or [NOW]
    monkeypatch.setattr(app.state.rating, "now", lambda: datetime.fromtimestamp(now[0], UTC))
    monkeypatch.setattr(oidc_routes, "opened_as", _opened)

    async def run() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://billing.example") as client:
            await steps(client, fake)

    asyncio.run(run())


async def begun(client: httpx.AsyncClient, fake: FakeProvider, after: str = "/runs") -> str:
    """The state that the provider was given."""
    answer = await client.get("/login/oidc", params={"after": after})
    assert answer.status_code == 303
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert answer.headers["location"].startswith(f"{ISSUER}/authorize?")
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == "https://billing.example/login/oidc/callback"
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/login/oidc"))
    fake.nonce = asked["nonce"]
    return asked["state"]


async def back(client: httpx.AsyncClient, **query: str) -> httpx.Response:
    return await client.get("/login/oidc/callback", params={"code": "c", **query})


def test_who_comes_back_with_a_good_token_is_logged_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        state = await begun(client, fake)
        kept = client.cookies[COOKIE]
        # A parameter that only this provider knows is ignored.
        answer = await back(client, state=state, session_state="x", iss=ISSUER)
        assert answer.status_code == 200
        assert 'content="0;url=/runs"' in answer.text
        assert "SameSite=strict" in answer.headers["set-cookie"]
        assert session.COOKIE in client.cookies
        assert COOKIE not in client.cookies
        client.cookies.clear()
        again = await client.get(
            "/login/oidc/callback", params={"code": "c", "state": state}, headers={"cookie": f"{COOKIE}={kept}"}
        )
        assert (again.status_code, session.COOKIE in client.cookies) == (400, False)
        assert len(fake.tokens_asked) == 1, "the provider is not asked again"

    browse(monkeypatch, FakeProvider(), steps)


def test_another_state_no_cookie_and_a_late_answer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]

    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        await begun(client, fake)
        answer = await back(client, state="another")
        assert (answer.status_code, "Begin it again" in answer.text) == (400, True)
        assert (await back(client, state="")).status_code == 400
        state = await begun(client, fake)
        client.cookies.clear()
        assert (await back(client, state=state)).status_code == 400
        state = await begun(client, fake)
        now[0] += SECONDS
        assert (await back(client, state=state)).status_code == 400
        for made_up in ("x", "x.y", "", "é.ü"):
            answer = await client.get(
                "/login/oidc/callback?code=c&state=s", headers={"cookie": f"{COOKIE}={made_up}".encode()}
            )
            assert answer.status_code == 400
        assert fake.tokens_asked == []

    browse(monkeypatch, FakeProvider(), steps, now)


@pytest.mark.parametrize(
    ("query", "token"),
    [
        ({"error": "access_denied"}, None),
        ({"iss": "https://other.example"}, None),
        ({"code": ""}, None),
        ({}, lambda nonce: signed(claims("another"))),
        ({}, lambda nonce: signed(claims(nonce, aud="another"))),
    ],
)
def test_a_refusal_is_a_page_without_a_session(
    query: dict[str, str], token: Callable[[str], str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        answer = await back(client, state=await begun(client, fake), **query)
        assert (answer.status_code, session.COOKIE in client.cookies) == (401, False)
        assert "You are not logged in" in answer.text

    browse(monkeypatch, FakeProvider(**({"token": token} if token else {})), steps)


def test_who_has_no_role_is_told_as_whom_the_provider_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        answer = await back(client, state=await begun(client, fake))
        assert (answer.status_code, session.COOKIE in client.cookies) == (403, False)
        assert "knows you as ada@shop.example" in answer.text
        assert "WEIR_OIDC_ROLES" in answer.text

    browse(monkeypatch, FakeProvider(lambda nonce: signed(claims(nonce, groups=["guests"]))), steps)


def test_a_provider_that_is_away_is_a_page_that_says_so_and_not_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        answer = await client.get("/login/oidc")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert "does not answer" in answer.text
        assert "login.internal.example" not in answer.text
        assert 'name="password"' in answer.text, "the other ways stay open"

    browse(monkeypatch, FakeProvider(away=True), steps)


def test_a_gateway_that_is_away_is_a_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> list[SessionKey]:
        raise unavailable("the gateway does not answer")

    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        monkeypatch.setattr(oidc_routes, "opened_as", away)
        answer = await back(client, state=await begun(client, fake))
        assert (answer.status_code, session.COOKIE in client.cookies) == (503, False)

    browse(monkeypatch, FakeProvider(), steps)


def test_the_way_leads_to_no_other_site(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(client: httpx.AsyncClient, fake: FakeProvider) -> None:
        for after in ("https://evil.example", "//evil.example", "/\\evil.example"):
            answer = await back(client, state=await begun(client, fake, after))
            assert 'content="0;url=/"' in answer.text

    browse(monkeypatch, FakeProvider(), steps)


def test_the_button_is_there_only_where_a_provider_is() -> None:
    async def page(settings: Any) -> tuple[str, int]:
        transport = httpx.ASGITransport(build_app(settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://weir") as client:
            return (await client.get("/login?after=/runs")).text, (await client.get("/login/oidc")).status_code

    with_provider, _ = asyncio.run(page(SETTINGS))
    assert 'href="https://billing.example/login/oidc?after=%2Fruns"' in with_provider
    without, status = asyncio.run(page(SETTINGS.model_copy(update={"oidc_issuer": ""})))
    assert ("organisation" in without, status) == (False, 404)


class _Gateway:
    """Does to ``users`` what the gateway's API does."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], User] = {}
        self.asked: list[tuple[str, str]] = []

    async def ask(self, access: Any, namespace: str, method: str, path: str, body: Any = None) -> None:
        code = path.rpartition("/")[2]
        self.asked.append((method, namespace))
        if method == "DELETE":
            del self.users[namespace, code]
        else:
            self.users[namespace, code] = User(code=code, **body)


def test_a_login_writes_only_what_changed_and_takes_away_what_no_group_gives() -> None:
    gateway = _Gateway()
    rating: Any = SimpleNamespace(
        gateway=gateway,
        keys=SimpleNamespace(root=None, user=lambda name, code: gateway.users.get((name, code))),
        namespaces=lambda: ["bakery", "shop"],
        users=lambda code, most: [(name, user) for (name, other), user in gateway.users.items() if other == code],
    )
    ada = Identity(ISSUER, "1", "ada@shop.example", None)

    def opened(roles: dict[str, UserRole], identity: Identity = ada) -> list[str]:
        gateway.asked.clear()
        return [key.namespace for key in asyncio.run(opened_as(rating, identity, roles))]

    assert opened({"shop": "billing", "bakery": "viewer", "nowhere": "admin"}) == ["shop", "bakery"]
    assert gateway.asked == [("PUT", "shop"), ("PUT", "bakery")]
    assert (opened({"shop": "billing", "bakery": "viewer"}), gateway.asked) == (["shop", "bakery"], [])
    assert (opened({"shop": "admin"}), gateway.asked) == (["shop"], [("DELETE", "bakery"), ("PUT", "shop")])
    # The same address of another person is another user.
    opened({"shop": "viewer"}, Identity(ISSUER, "2", "ada@shop.example", None))
    assert {user.role for user in gateway.users.values()} == {"admin", "viewer"}
    assert (opened({}), gateway.asked) == ([], [("DELETE", "shop")])
    assert [code for _, code in gateway.users] == [provider_code(ISSUER, "2")]
