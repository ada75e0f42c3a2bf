"""An event taken back and one corrected, as people do it: gateway, command line, list, late usage, books, proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.stack import Stack
from tests.integration.world import World, books_of

pytestmark = pytest.mark.integration

CATALOG: dict[str, Any] = {
    "meters": [
        {"code": "calls", "event_name": "call", "profiles": [{"code": "sum", "aggregation": "sum", "property": ["v"]}]}
    ],
    "products": [{"code": "calls", "profile": "calls.sum"}],
    "plans": [
        {
            "code": "basic",
            "currency": "USD",
            "grace_seconds": 0,
            "charges": [{"product": "calls", "price": {"model": "per_unit", "unit_amount": "1"}}],
        }
    ],
    "accounts": [{"code": "acme"}],
    "subscriptions": [{"code": "s", "account": "acme", "plan": "basic", "start": "2026-05-01"}],
}


def test_voids_and_a_correction_by_http_and_command_line(stack: Stack, world: World, tmp_path: Path) -> None:
    world.apply(**CATALOG)
    keys = ("a/b?c d%", "twice", "wrong")
    world.send(
        [
            {
                "event_name": "call",
                "account_id": "acme",
                "idempotency_key": key,
                "timestamp": "2026-05-04T12:00:00Z",
                "properties": {"v": value},
            }
            for key, value in zip((*keys, "right"), ("100", "10", "7", "1"), strict=True)
        ]
    )
    with world.http("gateway") as client:
        made = client.post("/v1/api-keys", json={"scopes": ["ingest"]}).json()["key"]
        path = f"/v1/events/{quote(keys[0], safe='')}/void"
        assert client.post(path, json={"reason": "r"}, headers={"authorization": f"Bearer {made}"}).status_code == 403
        assert client.post(path, json={}).json()["path"] == "$.reason"
        taken = client.post(path, json={"reason": "test call"})
        assert (taken.status_code, taken.json()["idempotency_key"], taken.json()["author"]) == (202, keys[0], "admin")

    def weir(*arguments: str, code: int = 0) -> Any:
        env = {"WEIR_DATA_DIR": str(stack.data_dir), "WEIR_NAMESPACE": world.namespace}
        done = CliRunner().invoke(app, [*arguments, "--json"], env=env)
        assert done.exit_code == code, (arguments, done.output, done.exception)
        return json.loads(done.stdout)

    world.close("2026-06-01T00:00:00+00:00")
    told = weir("void", "twice", "twice", "never sent", "--reason", "sent twice", code=1)
    assert [one["outcome"] for one in told] == ["voided", "already_voided", "nothing_to_void"]
    assert (told[0]["event"]["account_id"], told[0]["event"]["profiles"]) == ("acme", ["calls.sum"])
    (tmp_path / "right.json").write_text('{"properties": {"v": 2.50}}')
    correction = ("correct", "wrong", "--reason", "wrong unit", "--event", str(tmp_path / "right.json"))
    assert [one["outcome"] for one in weir(*correction)["voids"]] == ["voided"]
    assert weir(*correction) == {"corrected": "wrong", "by": "wrong#corrected", "voids": []}
    world.metered()

    usage = world.usage("calls.sum", start="2026-05-01", end="2026-06-01")
    assert [(row["account_id"], row["quantity"]) for row in usage] == [("acme", "3.5")]
    assert [one["idempotency_key"] for one in weir("voids")] == ["wrong", "twice", keys[0]]
    with world.http("rating") as client:
        first = client.get("/v1/voided-events", params={"limit": 2}).json()
        rest = client.get("/v1/voided-events", params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [one["reason"] for one in (*first["voided_events"], *rest["voided_events"])] == [
            "wrong unit",
            "sent twice",
            "test call",
        ]
        assert rest["next_cursor"] is None
        assert client.get("/v1/voided-events", params={"cursor": "x"}).status_code == 422
        assert client.get("/v1/voided-events", params={"account_id": "nobody"}).json()["voided_events"] == []
    (line,) = weir("late")["lines"]
    assert (line["billed"], line["now"], line["difference"]) == ("18.00", "3.50", "-14.50")
    # Found nothing, so it may be replayed once there is something to void.
    world.send([{"event_name": "call", "account_id": "acme", "idempotency_key": "never sent", "properties": {"v": 5}}])
    world.metered()
    weir("rejected", "replay", "--reason", "nothing_to_void")
    world.metered()
    assert [one["idempotency_key"] for one in weir("voids", "--limit", "1")] == ["never sent"]
    assert world.books()["voided"] == 4
    books_of(world.books(), accepted=7, metered=6, duplicates=1)
    assert world.differences() == []
