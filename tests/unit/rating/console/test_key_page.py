"""The page of API keys: names stay text, a revoked key cannot be revoked again, the new key is shown once."""

from __future__ import annotations

from hypothesis import given

from rating.console.frame import Frame
from rating.console.settings.key_page import key_page
from tests.unit.rating.console.test_console import Reader, texts

KEY = {
    "id": "key_1", "name": "", "scopes": ["read"], "expires_at": None, "created_at": "2026-01-01T00:00:00Z",
    "created_by": "admin", "revoked_at": None, "revoked_by": None,
}  # fmt: skip


@given(texts, texts)
def test_names_of_keys_stay_text(name: str, author: str) -> None:
    key = KEY | {"name": name, "created_by": author}
    shown = key_page(Frame(name, may_administer=True, token=name), [key], name, {"key": name}, author)
    reader = Reader(shown.removeprefix("<!doctype html>"))
    assert "script" not in reader.names
    assert reader.names.count("pre") == 1


def test_only_a_key_that_stands_can_be_revoked() -> None:
    revoked = KEY | {"revoked_at": "2026-02-01T00:00:00Z", "revoked_by": "<Ada>"}
    shown = str(key_page(Frame("shop", may_administer=True), [KEY, revoked], None))
    assert shown.count(">Revoke</button>") == 1
    assert "revoked 2026-02-01 by &lt;Ada&gt;" in shown
    assert "<pre" not in shown
