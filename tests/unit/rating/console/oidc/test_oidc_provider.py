"""Which ID tokens are believed, and how often the provider is asked for its keys."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from rating.api.visitors.group_roles import granted, group_roles
from rating.api.visitors.id_token import SKEW_SECONDS, Identity, TokenRefused, UnknownKey
from rating.api.visitors.identity_provider import (
    AWAY_SECONDS,
    KEPT_SECONDS,
    REFRESH_SECONDS,
    OidcProvider,
    ProviderAway,
    Redeemed,
    provider_of,
)
from rating.app import build_app
from schemas.settings import Settings, SettingsError
from tests.unit.rating.console.oidc.fake_provider import (
    CLIENT,
    ISSUER,
    KEY,
    NOW,
    OTHER_KEY,
    SETTINGS,
    FakeProvider,
    claims,
    signed,
)

REDEEMED = Redeemed("code", "verifier", "n", "https://billing.example/login/oidc/callback")


def identity(fake: FakeProvider, now: int = NOW, settings: Settings = SETTINGS) -> Identity:
    return asyncio.run(OidcProvider(settings, fake.transport()).identity(REDEEMED, now))


def joined(header: dict[str, str], said: dict[str, Any]) -> str:
    return ".".join(_text(json.dumps(part).encode()) for part in (header, said))


def unsigned(said: dict[str, Any]) -> str:
    return joined({"alg": "none"}, said) + "."


def signed_by_the_public_key(said: dict[str, Any]) -> str:
    text = joined({"alg": "HS256", "kid": "first"}, said)
    return f"{text}.{_text(hmac.digest(KEY.as_pem(private=False), text.encode(), 'sha256'))}"


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def with_another_body(token: str) -> str:
    header, _, signature = token.split(".")
    body = _text(json.dumps(claims("n", sub="somebody")).encode())
    return f"{header}.{body}.{signature}"


def test_a_good_token_says_who_it_is_and_the_code_goes_with_verifier_and_secret() -> None:
    fake = FakeProvider()
    assert identity(fake) == Identity(ISSUER, "248289761001", "ada@shop.example", ["finance"])
    assert fake.tokens_asked == [
        {
            "grant_type": ["authorization_code"], "code": ["code"], "code_verifier": ["verifier"],
            "redirect_uri": ["https://billing.example/login/oidc/callback"],
        }
    ]  # fmt: skip
    basic = base64.b64decode(fake.authorization[0].removeprefix("Basic ")).decode()
    assert basic == f"{CLIENT}:a%20client%27s%20secret"


def test_the_secret_goes_where_the_provider_takes_it_and_a_public_client_has_none() -> None:
    fake = FakeProvider(discovery={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    identity(fake)
    assert (fake.tokens_asked[0]["client_secret"], fake.authorization) == (["a client's secret"], [""])
    fake = FakeProvider()
    identity(fake, settings=SETTINGS.model_copy(update={"oidc_client_secret": SecretStr("")}))
    assert ("client_secret" in fake.tokens_asked[0], fake.tokens_asked[0]["client_id"]) == (False, [CLIENT])


@pytest.mark.parametrize(
    "changes",
    [{"email_verified": None}, {"email_verified": False}, {"email_verified": "true"}, {"email": 7}, {"email": "a\nb"}],
)
def test_an_address_that_the_provider_has_not_verified_names_nobody(changes: dict[str, Any]) -> None:
    assert identity(FakeProvider(lambda nonce: signed(claims(nonce, **changes)))).email == ""


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (lambda n: signed(claims("another")), "nonce"),
        (lambda n: signed(claims(n, nonce=None)), "nonce"),
        (lambda n: signed(claims(n, nonce=[n])), "nonce"),
        (lambda n: signed(claims(n, aud="another")), "aud"),
        (lambda n: signed(claims(n, aud=None)), "aud"),
        (lambda n: signed(claims(n, aud=[CLIENT, "another"])), "azp"),
        (lambda n: signed(claims(n, aud=[CLIENT, "another"], azp="another")), "azp"),
        (lambda n: signed(claims(n, iss="https://other.example")), "iss"),
        (lambda n: signed(claims(n, exp=NOW - SKEW_SECONDS - 1)), "expired"),
        (lambda n: signed(claims(n, exp=None)), "exp"),
        (lambda n: signed(claims(n, iat=NOW + SKEW_SECONDS + 100)), "in the future"),
        (lambda n: signed(claims(n, sub=None)), "sub"),
        (lambda n: signed(claims(n, sub=["x"])), "sub"),
        (lambda n: unsigned(claims(n)), "'none', which is not taken"),
        (lambda n: signed_by_the_public_key(claims(n)), "'HS256', which is not taken"),
        (lambda n: signed(claims(n), OTHER_KEY), "does not publish"),
        (lambda n: signed(claims(n), OTHER_KEY, kid="first"), "BadSignature"),
        (lambda n: with_another_body(signed(claims(n))), "BadSignature"),
        (lambda n: "no token", "refused"),
        (lambda n: "a.b.c", "refused"),
        (lambda n: "x" * 70_000, "too long"),
    ],
)
def test_what_is_wrong_is_refused_without_a_word_of_the_token(token: Callable[[str], str], reason: str) -> None:
    with pytest.raises(TokenRefused, match=reason) as raised:
        identity(FakeProvider(token))
    assert "ada@shop" not in str(raised.value)


def test_clocks_may_differ_by_a_minute() -> None:
    assert identity(FakeProvider(), NOW + 300 + SKEW_SECONDS - 1).subject == "248289761001"
    assert identity(FakeProvider(), NOW - SKEW_SECONDS).subject == "248289761001"
    with pytest.raises(TokenRefused):
        identity(FakeProvider(), NOW + 300 + SKEW_SECONDS + 1)


def test_changed_keys_are_fetched_once_a_minute_at_most() -> None:
    fake, clock = FakeProvider(lambda nonce: signed(claims(nonce), OTHER_KEY)), [0.0]
    provider = OidcProvider(SETTINGS, fake.transport(), lambda: clock[0])

    async def tries() -> None:
        for _ in range(3):
            with pytest.raises(UnknownKey):
                await provider.identity(REDEEMED, NOW)
        assert fake.asked.count("/jwks") == 1
        fake.keys = [KEY, OTHER_KEY]
        clock[0] += REFRESH_SECONDS
        await provider.identity(REDEEMED, NOW)
        await provider.identity(REDEEMED, NOW)
        assert fake.asked.count("/jwks") == 2
        assert fake.asked.count("/.well-known/openid-configuration") == 1
        clock[0] += KEPT_SECONDS
        await provider.identity(REDEEMED, NOW)
        assert fake.asked.count("/jwks") == 3

    asyncio.run(tries())


@pytest.mark.parametrize(
    "discovery",
    [{"issuer": f"{ISSUER}/"}, {"issuer": None}, {"jwks_uri": None}, {"token_endpoint": "http://login.example/token"}],
)
def test_a_discovery_document_of_another_or_without_tls_is_none(discovery: dict[str, Any]) -> None:
    with pytest.raises(ProviderAway):
        identity(FakeProvider(discovery=discovery))


def test_a_provider_that_is_away_is_not_asked_at_each_click() -> None:
    fake, clock = FakeProvider(away=True), [0.0]
    provider = OidcProvider(SETTINGS, fake.transport(), lambda: clock[0])

    async def tries() -> None:
        for _ in range(3):
            with pytest.raises(ProviderAway) as raised:
                await provider.endpoints()
            assert "internal" not in str(raised.value)
        assert len(fake.asked) == 1
        fake.away = False
        clock[0] += AWAY_SECONDS
        await provider.endpoints()

    asyncio.run(tries())


@pytest.mark.parametrize(("status", "error"), [(400, TokenRefused), (401, TokenRefused), (503, ProviderAway)])
def test_a_code_that_is_not_taken(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        identity(FakeProvider(token_status=status))


def test_an_endless_answer_is_cut() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"x" * 600_000))
    with pytest.raises(ProviderAway):
        asyncio.run(OidcProvider(SETTINGS, transport).endpoints())


def test_groups_give_the_highest_of_their_roles() -> None:
    roles = group_roles(SETTINGS.oidc_roles)
    assert granted(roles, ["everybody", "finance"]) == {"shop": "billing"}
    assert granted(roles, "everybody") == {"shop": "viewer"}
    assert granted(roles, ["ops", "everybody", 7, None]) == {"shop": "admin", "bakery": "admin"}
    for nobody in (None, [], {}, "Finance", ["finance "], {"finance": True}, 1):
        assert granted(roles, nobody) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oidc_client_id": ""}, "WEIR_OIDC_CLIENT_ID"),
        ({"oidc_roles": ""}, "WEIR_OIDC_ROLES"),
        ({"oidc_roles": "finance=shop"}, "'finance=shop' is no group"),
        ({"oidc_roles": "finance=shop:owner"}, "viewer, support, billing, admin"),
        ({"oidc_issuer": "http://login.example"}, "WEIR_OIDC_ISSUER must begin with https"),
        ({"oidc_console_url": "billing.example"}, "WEIR_OIDC_CONSOLE_URL must begin"),
        ({"oidc_scopes": "email"}, "WEIR_OIDC_SCOPES"),
    ],
)
def test_wrong_settings_are_named_at_the_start(changes: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_app(SETTINGS.model_copy(update=changes))
    assert provider_of(SETTINGS.model_copy(update=changes | {"oidc_issuer": ""})) is None
