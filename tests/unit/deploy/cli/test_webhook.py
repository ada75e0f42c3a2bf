"""What `weir webhook status` tells people, and when it ends with 1."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.billing import webhook

FINE: dict[str, Any] = {
    "namespace": "n",
    "delivering": True,
    "waiting": 0,
    "delivered": 3,
    "given_up": 0,
    "oldest_waiting": None,
    "next_try": None,
    "webhook": {
        "code": None,
        "url": "https://example.com/h",
        "enabled": True,
        "since": "2026-01-01T00:00:00Z",
        "rotation": 1,
        "events": ["invoice.paid"],
    },
    "webhooks": [],
    "last_success": {"message_id": "inv_1_v2", "type": "invoice.paid", "last_attempt": "2026-01-02T00:00:00Z"},
    "last_failure": None,
}
ALERTS = FINE["webhook"] | {"code": "alerts", "url": "https://example.com/alerts", "events": ["usage.alert.fired"]}
REFUSED = {
    "message_id": "inv_1_v3",
    "type": "invoice.updated",
    "refused_at": "2026-01-03T00:00:00Z",
    "error": "it answered 500",
}


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({}, 0, "3 delivered, 0 waiting, 0 given up"),
        ({"webhook": None, "delivering": False}, 0, "n has no webhook"),
        ({"webhook": None, "webhooks": [ALERTS]}, 0, "https://example.com/alerts"),
        ({"webhook": None, "webhooks": [ALERTS], "delivering": False}, 1, "nobody delivers"),
        ({"delivering": False}, 1, "nobody delivers"),
        ({"waiting": 1, "oldest_waiting": "then"}, 0, "oldest since then, next try now"),
        ({"given_up": 2, "last_failure": REFUSED}, 1, "weir webhook replay --given-up"),
        (
            {"last_failure": REFUSED},
            0,
            "last failure: inv_1_v3 (invoice.updated) at 2026-01-03T00:00:00Z: it answered 500",
        ),
    ],
)
def test_status_says_what_is_wrong_and_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], code: int, told: str
) -> None:
    monkeypatch.setattr(webhook, "_get", lambda path, namespace: FINE | changes)
    shown = CliRunner().invoke(webhook.app, ["status"])
    assert (shown.exit_code, told in shown.output) == (code, True), shown.output
    as_json = CliRunner().invoke(webhook.app, ["status", "--json"])
    assert (as_json.exit_code, json.loads(as_json.output)) == (code, FINE | changes)


def test_a_replay_says_which_versions() -> None:
    result = CliRunner().invoke(webhook.app, ["replay"])
    assert result.exit_code == 2
    assert "--given-up" in result.output
