"""Logging in at an OpenID Connect provider: the package ``oidc-provider-mock``, in a thread of the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from oidc_provider_mock import User, run_server_in_thread
from pydantic import SecretStr

from rating.app import build_app
from schemas.settings import Settings
from tests.integration.conftest import Waiting
from tests.integration.rating.console.catalog_steps import form_token
from tests.integration.rating.served import served

ADA = User(
    sub="ada-1", claims={"email": "ada@shop.example", "email_verified": True, "groups": ["finance", "everybody"]}
)
GUEST = User(sub="guest-7", claims={"email": "guest@shop.example", "email_verified": False, "groups": ["visitors"]})


@contextmanager
def console_with_a_provider(settings: Settings, namespace: str) -> Iterator[str]:
    """The URL of a console at which ADA's group decides on invoices of the namespace."""
    with run_server_in_thread(user_claims=[ADA, GUEST], require_nonce=True) as provider:
        changes = {
            "oidc_issuer": f"http://localhost:{provider.server_port}",
            "oidc_client_id": "weir",
            "oidc_client_secret": SecretStr("a client's secret"),
            "oidc_roles": f"everybody={namespace}:viewer,finance={namespace}:billing",
        }
        with served(lambda url: build_app(settings.model_copy(update=changes | {"oidc_console_url": url}))) as url:
            yield url


def logged_in_at_the_provider(browser: httpx.Client, user: User, after: str = "/") -> httpx.Response:
    """By the button of the login page, the provider's form, and back."""
    begin = browser.get("/login", params={"after": after}).text.split("/login/oidc?", 1)[1].partition('"')[0]
    away = browser.get(f"/login/oidc?{begin}")
    assert away.status_code == 303
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert (asked["client_id"], asked["code_challenge_method"]) == (["weir"], ["S256"])
    back = httpx.post(away.headers["location"], data={"sub": user.sub})
    assert back.status_code == 302
    return browser.get(back.headers["location"])


def person_of_the_provider_acts_until_ended(
    url: str, other_url: str, gateway: httpx.Client, wait_until: Waiting
) -> None:
    """ADA is let in by the group, does what its role allows under the name that the provider verified, in every process
    of the service, and is out in each when an admin ends all sessions. ``other_url``: of another process."""
    with httpx.Client(base_url=url, timeout=60) as browser, httpx.Client(base_url=other_url, timeout=60) as other:
        entered = logged_in_at_the_provider(browser, ADA, "/runs")
        assert (entered.status_code, "0;url=/runs" in entered.text) == (200, True)
        assert "ada@shop.example (sso ada-1)" in browser.get("/runs").text
        page = browser.get("/catalog/accounts/form").text
        assert (
            browser.post("/catalog/accounts/form", data={"token": form_token(page), "code": "eve"}).status_code == 303
        )
        audited = gateway.get("/v1/catalog/audit", params={"kind": "account", "code": "eve"}).json()
        assert audited["items"][0]["author"] == "ada@shop.example (sso ada-1)"
        (user,) = gateway.get("/v1/users").json()["items"]
        assert (user["role"], user["subject"], user["name"]) == ("billing", "ada-1", "ada@shop.example")
        assert browser.get("/settings/keys").status_code == 403, "which the role does not allow"
        password = {"user": user["code"], "password": "argon2id"}
        assert browser.post("/login", data=password).status_code == 401, "a provider's user has no password"
        assert gateway.put(f"/v1/users/{user['code']}", json={"password": "a long password"}).status_code == 422
        cookie = {"Cookie": f"weir_console={browser.cookies['weir_console']}"}
        wait_until(lambda: other.get("/", headers=cookie).status_code == 200)
        assert logged_in_at_the_provider(browser, ADA).status_code == 200
        assert len(gateway.get("/v1/catalog/audit", params={"kind": "user"}).json()["items"]) == 1, "nothing changed"
        assert gateway.put(f"/v1/users/{user['code']}", json={"end_sessions": True}).status_code == 200
        for client in (browser, other):
            assert wait_until(lambda client=client: client.get("/", headers=cookie).status_code == 303)


def person_without_a_role_is_refused(url: str, gateway: httpx.Client) -> None:
    """With a page that says as whom; nothing is recorded."""
    with httpx.Client(base_url=url, timeout=60) as browser:
        refused = logged_in_at_the_provider(browser, GUEST)
        assert (refused.status_code, "weir_console" in browser.cookies) == (403, False)
        assert "knows you as guest-7" in refused.text, "its address is not verified"
    assert "guest" not in gateway.get("/v1/users").text
