"""A message waits for its invoice's row and number, for a while, and one that cannot be shown keeps no other
waiting."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from rating.webhooks import rendering
from rating.webhooks.queue import QueuedDelivery

MINUTE = 60_000_000


def delivery(invoice: str, event: str = "invoice.finalized", namespace: str = "n") -> QueuedDelivery:
    return QueuedDelivery(namespace, f"{invoice}_v1", "", invoice, 1, event, 0, 0)


def whole(number: str | None) -> Any:
    return SimpleNamespace(head=SimpleNamespace(number=number), to_json=lambda: {"number": number})


def test_what_is_told_has_its_number_or_waited_a_quarter_of_an_hour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = {"numbered": whole("INV-1"), "unnumbered": whole(None), "draft": whole(None)}

    def read(
        client: Any, namespace: str, expected: list[tuple[str, int]], *, draft: bool
    ) -> dict[tuple[str, int], Any]:
        if any(name == "broken" for name, _ in expected):
            raise ValueError("a body with the customer's words")
        return {key: stored[key[0]] for key in expected if key[0] in stored and draft == (key[0] == "draft")}

    monkeypatch.setattr(rendering, "read_versions", read)
    items = [
        delivery("numbered"),
        delivery("unnumbered"),
        delivery("missing"),
        delivery("broken"),
        delivery("draft", "invoice.drafted"),
        delivery("numbered", namespace="other"),
    ]
    with caplog.at_level(logging.ERROR):
        soon = rendering.message_bodies(None, items, MINUTE)
    assert [item is not None for item in soon] == [True, False, False, False, True, True]
    assert "version 1 of broken cannot be shown: ValueError" in caplog.text
    assert "customer's words" not in caplog.text
    late = rendering.message_bodies(None, items, 15 * MINUTE)
    assert [item is not None for item in late] == [True, True, False, False, True, True]
    assert late[1] is not None
    assert json.loads(late[1]) == {
        "type": "invoice.finalized",
        "timestamp": "1970-01-01T00:00:00Z",
        "data": {"number": None},
    }
