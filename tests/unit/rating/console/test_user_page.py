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
