"""The door for history: any number of lines, judged one by one, told while they come, safe to send again."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.ingest.gateway_process import rejected
from tests.integration.world import World, books_of

pytestmark = pytest.mark.integration

METER = {"code": "calls", "event_name": "call", "profiles": [{"code": "s", "aggregation": "sum", "property": ["s"]}]}
NDJSON = {"content-type": "application/x-ndjson"}


def line(i: int, **more: Any) -> bytes:
    told = {"event_name": "call", "account_id": "acme", "idempotency_key": f"h{i}", "timestamp": "1999-05-04T12:00:00Z"}
    return json.dumps(told | {"properties": {"s": 1}} | more).encode() + b"\n"


def stream(world: World, body: Any, **more: str) -> tuple[int, list[dict[str, Any]]]:
    with world.http("gateway") as client:
        answer = client.post("/v1/events/stream", content=body, headers=NDJSON | more)
    return answer.status_code, [json.loads(text) for text in answer.text.splitlines()]


def test_history_is_taken_line_by_line_and_a_second_time_changes_nothing(world: World) -> None:
    world.apply(meters=[METER])
    lines = [line(i) for i in range(1200)]
    lines[6] = b"\n"
    lines[7] = b"{nonsense\n"
    lines[700] = line(700, idempotency_key=None)
    lines[900] = line(900, properties="x" * 300_000)
    body = b"".join(lines)[:-1]  # the last line ends with the body
    for encoded, more in (
        (body, {}),
        (gzip.compress(body[:90_000]) + gzip.compress(body[90_000:]), {"content-encoding": "gzip"}),
    ):
        status, told = stream(world, encoded, **more)
        assert status == 200
        summary = told[-1]
        expected = {"complete": True, "lines": 1200, "accepted": 1196, "refused": 3, "last_acknowledged_line": 1200}
        assert summary | expected | {"type": "summary"} == summary
        refused = {item["line"]: item["reason"] for item in told if item["type"] == "refused"}
        assert refused == {8: "malformed", 701: "missing", 901: "too_large"}
    world.metered()
    world.wait(lambda: world.books()["refused"] == 6 and world.books()["balanced"])
    books_of(world.books(), refused=6, accepted=2392, metered=1196, duplicates=1196)
    records = [record for record in rejected(world.settings, world.namespace) if record["original"] == b"{nonsense"]
    assert [str(record["detail"]).partition(":")[0] for record in records] == ["line 8", "line 8"]


def test_it_tells_progress_while_lines_come_and_keeps_what_came_before_the_connection_broke(world: World) -> None:
    world.apply(meters=[METER])
    progress = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield line(1) + line(2) + b"half a line"
        assert progress.wait(30), "no progress while the body is open"
        raise ConnectionError("the sender is gone")

    def watch() -> None:
        world.wait(lambda: len(world.rows("SELECT 1 FROM usage_events FINAL WHERE namespace = {n:String}")) == 2)
        progress.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(ConnectionError), world.http("gateway") as client:
        client.post("/v1/events/stream", content=slowly(), headers=NDJSON)
    watcher.join()
    status, told = stream(world, line(1) + line(2) + line(3))
    assert (status, told[-1]["accepted"], told[-1]["last_acknowledged_line"]) == (200, 3, 3)
    world.metered()
    books_of(world.books(), accepted=5, metered=3, duplicates=2)


def test_what_is_not_for_history_is_said_before_anything_is_read(world: World) -> None:
    assert stream(world, b"", **{"content-encoding": "br"})[0] == 415
    cut = gzip.compress(line(1) * 2)[:-9]
    status, told = stream(world, cut, **{"content-encoding": "gzip"})
    assert (status, told[-1]["complete"]) == (200, False)
    assert "is cut; send on from line 3" in told[-1]["trouble"]
    world.apply(namespace={"code": world.namespace, "max_event_age_seconds": 3600})
    with world.http("gateway") as client:
        answer = client.post("/v1/events/stream", content=line(1))
        assert (answer.status_code, answer.json()["reason"]) == (409, "age_limited")
        assert "max_event_age_seconds: null" in answer.json()["detail"]
        assert client.post("/v1/events/stream", headers={"Authorization": "Bearer wrong"}).status_code == 401
