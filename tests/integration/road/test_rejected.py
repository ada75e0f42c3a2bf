"""What was refused gets a second chance: judged at its original arrival, counted once, and the books balance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from deploy.cli.main import app
from schemas.clickhouse.client import connect
from schemas.clickhouse.stored_rejections import RejectionCriteria, matching_rejections
from schemas.kafka.topics import inbox_topic
from stream_processors.replay.rejected_replay import Replayer
from stream_processors.replay.rejected_rows import replays_shown
from tests.integration.world import World, books_of

pytestmark = pytest.mark.integration

METER = {"code": "calls", "event_name": "call", "profiles": [{"code": "s", "aggregation": "sum", "property": ["s"]}]}
DAY = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}


def event(key: str, s: str = "1.5") -> dict[str, Any]:
    return {
        "event_name": "call", "account_id": "acme", "idempotency_key": key, "timestamp": "2026-05-04T12:00:00Z",
        "properties": {"s": s},
    }  # fmt: skip


def test_what_was_refused_enters_once_by_its_own_door_and_is_recorded(world: World) -> None:
    strict = {"code": world.namespace, "max_event_age_seconds": 3600, "inbox": True}
    world.apply(namespace=strict, meters=[METER])
    assert world.post([event("by-http"), event("sent-again")]).status_code == 422
    keyless = {key: value for key, value in event("").items() if key != "idempotency_key"}
    producer = Producer({"bootstrap.servers": world.settings.kafka_bootstrap, "acks": "all"})
    for body in (event("by-inbox"), keyless):
        producer.produce(inbox_topic(world.namespace), value=json.dumps(body).encode())
    producer.produce(inbox_topic(world.namespace), value=b"no event at all")
    assert producer.flush(30) == 0
    world.wait(lambda: world.books()["refused"] == 5)

    client = connect(world.settings)
    try:
        wanted = RejectionCriteria(world.namespace)
        replayer = Replayer(world.settings, client)
        # Nothing has changed: everything is refused again, and stays listed.
        refused = [one for one in matching_rejections(client, wanted) if one.namespace]
        assert {one.reason for one in refused} == {"too_old", "malformed"}
        assert all(one.why.startswith("still refused") for one in replayer.replay(refused))

        world.apply(namespace=strict | {"max_event_age_seconds": None}, meters=[METER])
        world.send([event("sent-again")])
        world.metered()
        tried = replayer.replay(refused, dry_run=True)
        assert sum(one.entered for one in tried) == 3
        assert len([one for one in matching_rejections(client, wanted) if one.namespace]) == 4

        outcomes = replayer.replay(refused)
        assert sorted((one.entered, one.counted, bool(one.why)) for one in outcomes) == [
            (0, 0, True), (1, 0, False), (1, 0, False), (1, 1, False)
        ]  # fmt: skip
        world.wait(lambda: replays_shown(client, outcomes))
        assert [one.reason for one in matching_rejections(client, wanted) if one.namespace] == ["malformed"]
        # A replay that was killed before it was recorded, and two at once, come to this: the same rejections again.
        world.metered()
        again = replayer.replay(refused)
        assert sorted((one.entered, one.counted) for one in again) == [(0, 0), (0, 1), (0, 1), (0, 2)]
        listed = matching_rejections(client, RejectionCriteria(world.namespace, replayed_too=True))
        told = {rejection.replayed for rejection in listed if rejection.namespace}
        assert len(told) > 1
    finally:
        client.close()
    world.metered()
    [row] = world.usage("calls", **DAY)
    assert (row["quantity"], row["events"]) == ("6", 4)
    # Refused once, as ever; received again, and accepted, when they entered.
    books_of(world.books(), refused=5, accepted=4, metered=4)
    assert world.differences() == []


def test_the_command_line_lists_and_replays(world: World, stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    for name in ("WEIR_DATA_DIR", "WEIR_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIR_DATA_DIR", str(stack.data_dir))
    weir = CliRunner()
    world.apply(meters=[METER])
    no_account = {"event_name": "call", "idempotency_key": "k", "timestamp": "2026-05-04T12:00:00Z"}
    assert world.post([no_account | {"properties": {"who": "acme", "s": "2"}}]).status_code == 422
    listed = world.wait(
        lambda: json.loads(
            weir.invoke(app, ["rejected", "list", "-n", world.namespace, "--reason", "no_account", "--json"]).stdout
        )
    )
    [one] = listed
    assert (one["stage"], one["reason"], one["events"]) == ("gateway", "no_account", 1)
    assert "who" in one["original"]
    assert weir.invoke(app, ["rejected", "replay", one["id"], "-n", world.namespace]).exit_code == 1
    paths = {"code": world.namespace, "max_event_age_seconds": None, "account_paths": [["who"]]}
    world.apply(namespace=paths, meters=[METER])
    done = weir.invoke(app, ["rejected", "replay", one["id"], "-n", world.namespace, "--json"])
    assert (done.exit_code, json.loads(done.stdout)["entered"]) == (0, 1)
    assert "0 events entered" in weir.invoke(app, ["rejected", "replay", one["id"], "-n", world.namespace]).stdout
    assert weir.invoke(app, ["rejected", "replay", "-n", world.namespace]).exit_code != 0
    everything = weir.invoke(app, ["rejected", "list", "-n", world.namespace, "--all"]).stdout
    assert "replayed" in everything
    world.metered()
    assert [row["quantity"] for row in world.usage("calls", **DAY, account_id="acme")] == ["2"]


def test_what_was_too_large_to_be_kept_whole_is_read_again_at_its_origin(world: World) -> None:
    """A record of 9 MB, and a batch of two that would expand to 40 MB: one is kept by its beginning, the other was
    never read."""
    strict = {"code": world.namespace, "max_event_age_seconds": 3600, "inbox": True}
    world.apply(namespace=strict, meters=[METER])
    own = {"bootstrap.servers": world.settings.kafka_bootstrap, "acks": "all", "message.max.bytes": 100_000_000}
    producer = Producer(own | {"compression.type": "zstd", "linger.ms": 500, "batch.size": 100_000_000})
    large = json.dumps(event("large")).encode() + b" " * 9_000_000
    producer.produce(inbox_topic(world.namespace), value=large, partition=0)
    for key in ("wide-1", "wide-2"):
        body = json.dumps(event(key)).encode() + b" " * 20_000_000
        producer.produce(inbox_topic(world.namespace), value=body, partition=1)
    assert producer.flush(30) == 0
    world.wait(lambda: world.books()["refused"] == 3)
    client = connect(world.settings)
    try:
        refused = matching_rejections(client, RejectionCriteria(world.namespace))
        found = {rejection.reason: rejection for rejection in refused if rejection.namespace}
        assert {(one.reason, one.events, one.original_size) for one in found.values()} == {
            ("too_old", 1, len(large)), ("not_read", 2, -1)
        }  # fmt: skip
        assert large.startswith(found["too_old"].original)
        world.apply(namespace=strict | {"max_event_age_seconds": None}, meters=[METER])
        settings = world.settings.model_copy(update={"kafka_record_bytes": 32 * 1024 * 1024})
        outcomes = Replayer(settings, client).replay(list(found.values()))
        assert [(one.entered, one.why) for one in sorted(outcomes, key=lambda one: one.entered)] == [(1, ""), (2, "")]
    finally:
        client.close()
    world.metered()
    [row] = world.usage("calls", **DAY)
    assert (row["quantity"], row["events"]) == ("4.5", 3)
