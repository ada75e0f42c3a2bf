"""Through the gateway: duplicates, conflicts, refusals, keys made by the server, accounts in properties."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.integration.world import World, books_of

pytestmark = pytest.mark.integration

CALLS = [
    {"code": "calls", "event_name": "call", "profiles": [
        {"code": "number", "aggregation": "count"},
        {"code": "seconds", "aggregation": "sum", "property": ["seconds"]},
    ]},
]  # fmt: skip
MAY = {"start": "2026-05-01T00:00:00Z", "end": "2026-06-01T00:00:00Z"}


def call(key: str | None, seconds: Any = "1.5", **more: Any) -> dict[str, Any]:
    event = {"event_name": "call", "account_id": "acme", "timestamp": "2026-05-04T12:00:00Z"}
    event |= {} if key is None else {"idempotency_key": key}
    return event | {"properties": {"seconds": seconds}} | more


def seconds(world: World) -> dict[str, tuple[str, int]]:
    rows = world.usage("calls.seconds", **MAY)
    return {row["account_id"]: (row["quantity"], row["events"]) for row in rows}


def test_copies_of_an_event_count_once_however_they_come(world: World) -> None:
    world.apply(meters=CALLS)
    batch = [call(f"k{number}") for number in range(100)]
    # At once over several connections, then again later, alone, and twice in one batch.
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(world.post, [batch] * 4))
    assert {answer.status_code for answer in answers} == {202}
    world.metered()
    world.send(batch)
    world.send([call("k7"), call("k7")])
    world.metered()
    assert seconds(world) == {"acme": ("150", 100)}
    books_of(world.books(), accepted=502, metered=100, duplicates=402)


def test_the_same_key_of_another_source_is_another_event(world: World) -> None:
    world.apply(meters=CALLS)
    world.send([call("k"), call("k", source="other")])
    world.metered()
    assert seconds(world) == {"acme": ("3", 2)}


def test_other_content_under_a_used_key_is_a_conflict_and_the_same_said_otherwise_is_not(world: World) -> None:
    world.apply(meters=CALLS)
    world.send([call("k", "1.5", timestamp="2026-05-04T12:00:00Z")])
    world.send([call("k", "2.5")])
    # The timestamp is no part of what is compared; the order of properties and the form of numbers are none either.
    answer = world.post(
        b'{"events": [{"event_name": "call", "account_id": "acme", "idempotency_key": "k", '
        b'"properties": {"seconds":"1.5"}}]}'
    )
    assert answer.status_code == 202
    world.metered()
    assert seconds(world) == {"acme": ("1.5", 1)}

    def conflict_is_kept() -> bool:
        return bool(world.rows("SELECT 1 FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'meter'"))

    world.wait(conflict_is_kept)
    books_of(world.books(), accepted=3, metered=1, duplicates=1, conflicts=1)
    [(reason, original)] = world.rows(
        "SELECT reason, original FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'meter'"
    )
    assert reason == "conflict"
    assert "2.5" in (original if isinstance(original, str) else original.decode())


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        ({"timestamp": "2026-02-30T00:00:00Z"}, "timestamp"),
        ({"timestamp": "2199-01-01T00:00:00Z"}, "timestamp"),
        ({"account_id": ""}, "account_id"),
        ({"properties": []}, "properties"),
        ({"event_nam": "call"}, ""),
    ],
)
def test_a_batch_with_one_bad_event_is_refused_whole_and_says_which_and_where(
    world: World, broken: dict[str, Any], path: str
) -> None:
    world.apply(meters=CALLS)
    events = [call("a"), call("b"), call("c") | broken, call("d")]
    answer = world.post(events)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["index"] == 2
    assert problem["path"].startswith("$.events[2]")
    assert problem["path"].endswith(path)
    world.wait(lambda: world.books()["refused"] == 4)
    world.send([call("a")])
    world.metered()
    books_of(world.books(), refused=4, accepted=1, metered=1)


def test_batches_hold_1_to_100_events(world: World) -> None:
    for size, status in ((0, 422), (1, 202), (100, 202), (101, 422)):
        assert world.post([call(f"{size}-{number}") for number in range(size)]).status_code == status
    assert world.post(b"{").status_code == 400


def test_without_the_key_nothing_is_told(world: World, gateway: httpx.Client, rating: httpx.Client) -> None:
    for client, path in (
        (gateway, "/v1/events"),
        (gateway, "/v1/catalog/apply"),
        (rating, "/v1/usage?metric=x&from=2026"),
    ):
        method = "GET" if "usage" in path else "POST"
        for authorization in ("", "Bearer wrong"):
            answer = client.request(method, path, headers={"authorization": authorization}, content=b"{}")
            assert answer.status_code == 401, path
            assert answer.headers["content-type"].startswith("application/problem+json")


def test_keys_made_by_the_server_come_back_and_a_retry_with_them_is_safe(world: World) -> None:
    world.apply(meters=CALLS)
    answer = world.post([call(None), call("mine"), call(None)])
    keys = answer.json()["idempotency_keys"]
    assert len(set(keys)) == 3
    assert keys[1] == "mine"
    world.send([call(key) for key in keys])
    world.metered()
    assert seconds(world) == {"acme": ("4.5", 3)}


def test_an_event_with_its_account_in_a_property_is_taken_as_it_is(world: World, gateway: httpx.Client) -> None:
    world.apply(
        meters=[{"code": "songs", "event_name": "Song played", "profiles": [{"code": "n", "aggregation": "count"}]}]
    )
    event = {
        "event_name": "Song played", "properties": {"title": "x", "billingrails_account_id": "acct_67890"},
        "idempotency_key": "k", "timestamp": "2023-10-01T12:00:00Z",
    }  # fmt: skip
    assert gateway.post("/v1/events", json=event).status_code == 202
    assert gateway.post("/v1/events", json=event | {"properties": {"title": "x"}}).json()["path"] == "$.account_id"
    world.metered()
    rows = world.usage("songs", start="2023-10-01T00:00:00Z", end="2023-10-02T00:00:00Z")
    assert rows == [{"account_id": "acct_67890", "quantity": "1", "events": 1}]


def test_what_no_profile_measures_is_unmatched_and_a_new_meter_counts_only_what_comes_after_it(world: World) -> None:
    world.send([call("before")])
    world.apply(meters=CALLS)
    world.send([call("after", "4")])
    world.metered()
    assert seconds(world) == {"acme": ("4", 1)}
    books_of(world.books(), accepted=2, metered=1, unmatched=1)
