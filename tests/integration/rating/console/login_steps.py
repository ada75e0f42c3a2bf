"""Entering the console and leaving it."""

from __future__ import annotations

import httpx

from tests.integration.rating.road import KEY


def enter_with_the_root_key(browser: httpx.Client, namespace: str) -> httpx.Response:
    """Who is not logged in is led to the login and back; the overview, where that is."""
    bare = browser.get("/", params={"namespace": namespace})
    login = f"/login?after=%2F%3Fnamespace%3D{namespace}"
    assert (bare.status_code, bare.headers["location"]) == (303, login)
    assert browser.post("/login", data={"key": "wrong"}).status_code == 401
    entered = browser.post("/login", data={"key": KEY, "after": f"/?namespace={namespace}"})
    assert (entered.status_code, entered.headers["location"]) == (303, f"/?namespace={namespace}")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert KEY not in entered.headers["set-cookie"]
    overview = browser.get(entered.headers["location"])
    assert "default-src 'none'" in overview.headers["content-security-policy"]
    return overview


def enter_with_keys_of_the_namespace(browser: httpx.Client, namespace: str, read: str, ingest: str) -> None:
    """The key that may read opens its own namespace alone; the one that may only send opens nothing."""
    assert browser.post("/login", data={"key": read}).status_code == 303
    assert browser.post("/login", data={"key": ingest}).status_code == 403
    overview = browser.get("/").text
    assert "looks, may look only" in overview
    assert f"<b>{namespace}</b>" in overview, "the key's own, though none was named"
    assert browser.get("/", params={"namespace": "default"}).status_code == 403


def leave(browser: httpx.Client) -> None:
    """Nothing is shown afterwards."""
    assert browser.post("/logout").status_code == 303
    assert browser.get("/").status_code == 303
