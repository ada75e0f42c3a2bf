"""Keys and users of a namespace by the console's settings, and what they may do until they are taken away."""

from __future__ import annotations

from typing import Any

import httpx

from tests.integration.conftest import Waiting
from tests.integration.rating.console.catalog_steps import form_token


def key_is_made_and_revoked(
    browser: httpx.Client, gateway: httpx.Client, namespace: str, token: str, author: str
) -> None:
    """Its text is shown once, opens the gateway until it is revoked, and its maker is named."""
    assert "has 0 items" in browser.post("/settings/keys", data={"token": token, "name": "Bo"}).text
    new_key = {"token": token, "name": "Bo", "scope.read": "on"}
    made_page = browser.post("/settings/keys", data=new_key).text
    text = made_page.split(f"weir_{namespace}.", 1)[1].partition("<")[0]
    bo = {"Authorization": f"Bearer weir_{namespace}.{text}"}
    assert gateway.get("/v1/plans", headers=bo).status_code == 200
    assert f"by {author}" in browser.get("/settings/keys").text
    revoked = browser.post("/settings/keys/revoke", data={"token": token, "id": text.partition(".")[0]})
    assert revoked.status_code == 303
    assert gateway.get("/v1/plans", headers=bo).status_code == 401
    assert text not in browser.get("/settings/keys").text


def user_acts_until_removed(browser: httpx.Client, gateway: httpx.Client, token: str, wait_until: Waiting) -> None:
    """Bo logs in by password, does what the role allows under that name, and is out at logout, when all sessions are
    ended and when removed."""
    saved_user = {"token": token, "code": "bo@example.com", "name": "Bo", "role": "support"}
    assert "needs it" in browser.post("/settings/users", data=saved_user).text
    secret = {"password": "correct horse battery"}
    assert browser.post("/settings/users", data=saved_user | secret).status_code == 303
    assert "bo@example.com" in browser.get("/settings/users").text
    login = {"user": "bo@example.com", **secret}
    with httpx.Client(base_url=browser.base_url, timeout=60) as bo_browser:
        assert bo_browser.post("/login", data=login | {"password": "wrong"}).status_code == 401
        assert bo_browser.post("/login", data=login).status_code == 303
        assert "Bo (bo@example.com)" in bo_browser.get("/").text
        assert bo_browser.get("/settings/keys").status_code == 403
        assert browser.post("/settings/users", data=saved_user | {"role": "billing"}).status_code == 303
        wait_until(lambda: "Create a plan" in bo_browser.get("/catalog/plans").text)
        page = bo_browser.get("/catalog/accounts/form").text
        new = {"token": form_token(page), "code": "dora"}
        assert bo_browser.post("/catalog/accounts/form", data=new).status_code == 303
        audited = gateway.get("/v1/catalog/audit", params={"kind": "account", "code": "dora"}).json()
        assert audited["items"][0]["author"] == "Bo (bo@example.com)"
        kept = bo_browser.cookies["weir_console"]
        bo_browser.post("/logout")
        assert bo_browser.get("/", headers={"Cookie": f"weir_console={kept}"}).status_code == 303
        assert bo_browser.post("/login", data=login).status_code == 303
        login |= own_password_is_changed(bo_browser, login)
        ended = {"token": token, "code": "bo@example.com", "do": "end"}
        assert browser.post("/settings/users", data=ended).status_code == 303
        assert wait_until(lambda: bo_browser.get("/").status_code == 303)
        assert bo_browser.post("/login", data=login).status_code == 303
        assert browser.post("/settings/users", data=ended | {"do": "remove"}).status_code == 303
        assert wait_until(lambda: bo_browser.get("/").status_code == 303)
        assert bo_browser.post("/login", data=login).status_code == 401


def own_password_is_changed(browser: httpx.Client, login: dict[str, str]) -> dict[str, str]:
    """By who has the present one; this session goes on and every other one is over. Returns the new password."""
    changed = {"password": "staple battery horse"}
    with httpx.Client(base_url=browser.base_url, timeout=60) as other:
        assert other.post("/login", data=login).status_code == 303
        assert "Password" in browser.get("/settings").text
        fields = {"token": form_token(browser.get("/settings/password").text), "old_password": login["password"]}
        fields |= {"password": changed["password"], "password_again": changed["password"]}
        for wrong in (
            {"old_password": "another"},
            {"password_again": "another"},
            {"password": "x", "password_again": "x"},
        ):
            refused = browser.post("/settings/password", data=fields | wrong)
            assert (refused.status_code, 'role="alert"' in refused.text) == (422, True)
        assert "is changed" in browser.post("/settings/password", data=fields).text
        assert browser.get("/").status_code == 200
        assert other.get("/").status_code == 303
        assert other.post("/login", data=login).status_code == 401
        assert other.post("/login", data=login | changed).status_code == 303
    return changed


def users_are_audited(gateway: httpx.Client) -> None:
    """Each step of ``user_acts_until_removed`` that changed the user, newest first and without the password."""
    trail = gateway.get("/v1/catalog/audit", params={"kind": "user"}).json()
    assert [item["action"] for item in trail["items"]] == ["retired", "changed", "changed", "changed", "created"]
    assert trail["items"][2]["author"] == "Bo (bo@example.com)", "whose own password it is"
    assert "argon2" not in str(trail)


def key_asks_on_nobodys_behalf(gateway: httpx.Client, made: dict[str, Any]) -> None:
    """``made``: the gateway's answer that has a new key's text and id. Only the console acts for another."""
    behalf = {"Authorization": f"Bearer {made['key']}", "Weir-On-Behalf-Of": made["id"]}
    assert "alone asks on behalf" in gateway.get("/v1/plans", headers=behalf).json()["detail"]
    assert gateway.get("/v1/plans", headers={"Weir-On-Behalf-Of": "key_none"}).status_code == 401
