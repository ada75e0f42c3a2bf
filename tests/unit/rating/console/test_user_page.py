"""The page of users: names stay text, and no form of it is without its token."""

from __future__ import annotations

from hypothesis import given

from rating.console.frame import Frame
from rating.console.settings.user_page import user_page
from tests.unit.rating.console.test_console import Reader, texts


@given(texts, texts)
def test_names_of_users_stay_text(name: str, code: str) -> None:
    user = {"code": code, "name": name, "role": "viewer", "changed_at": "2026-01-01T00:00:00Z", "changed_by": name}
    shown = user_page(Frame(name, may_administer=True, token=name), [user, user], name, code)
    reader = Reader(shown.removeprefix("<!doctype html>"))
    assert "script" not in reader.names
    assert reader.values.count("token") == 5


def test_a_providers_user_is_shown_by_the_subject_there() -> None:
    user = {"code": "sso-0a1b", "name": "ada@shop.example", "role": "viewer", "issuer": "https://login.example",
            "subject": "ada-1", "changed_at": "2026-01-01T00:00:00Z", "changed_by": "admin"}  # fmt: skip
    shown = user_page(Frame("shop", may_administer=True, token="t"), [user], None)
    assert "sso ada-1" in shown
    assert 'value="sso-0a1b"' in shown
