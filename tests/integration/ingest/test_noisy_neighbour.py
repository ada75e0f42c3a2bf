"""What one tenant does, beside a quiet one: the noisy one gets the documented answer, the quiet one its own, right."""

from __future__ import annotations

import gzip
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.settings import Settings
from tests.integration.ingest.gateway_process import GatewayProcess
from tests.integration.world import World, declare

pytestmark = pytest.mark.integration

METER = {"code": "call", "profiles": [{"code": "n", "aggregation": "count"}]}


@pytest.fixture
def quiet(settings: Settings, wait_until: Callable[..., Any]) -> World:
    """Another namespace, which measures its calls."""
    code = f"q{uuid.uuid4().hex[:12]}"
    declare(settings, {"namespace": {"code": code, "max_event_age_seconds": None}, "meters": [METER]})
    return World(settings, code, wait_until)


def event(key: str, name: str = "call") -> dict[str, Any]:
    return {
        "event_name": name,
        "account_id": "a",
        "idempotency_key": key,
        "timestamp": "2026-01-10T00:00:00Z",
        "properties": {"x": 1},
    }


def served_beside(noise: Callable[[], list[httpx.Response]], quiet: World) -> list[httpx.Response]:
    """The noise's answers; meanwhile every event of the quiet tenant is taken, and then it is what it measures."""
    sent = 0
    with ThreadPoolExecutor(1) as pool, quiet.http("gateway") as http:
        under_way = pool.submit(noise)
        while not wait({under_way}, timeout=0.02).done or sent < 3:
            answer = http.post("/v1/events", json=event(f"q{sent}"))
            assert answer.status_code == 202, answer.text
            sent += 1
        answers = under_way.result()
    quiet.metered()
    [row] = quiet.usage("call", start="2026-01", end="2026-02")
    assert row["events"] == sent
    return answers


def at_once(requests: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(requests)) as pool:
        return [done.result() for done in [pool.submit(request) for request in requests]]


def key_of(world: World, url: str | None = None, **wanted: Any) -> str:
    """A key, made at the gateway at ``url``, where it is in force at once (elsewhere within a second)."""
    with world.http("gateway", **({"base_url": url} if url else {})) as http:
        made = http.post("/v1/api-keys", json=wanted)
        assert made.status_code == 201, made.text
        return str(made.json()["key"])


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def bomb(levels: int) -> bytes:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{level}: &a{level}\n  <<: [*a{level - 1}, *a{level - 1}]" for level in range(1, levels + 1)]
    return "\n".join(lines).encode()


def test_documents_that_cost_much_hold_nobody_up_and_keys_never_wait_behind_them(world: World, quiet: World) -> None:
    values = [f"v{number}" for number in range(8_000)]
    filters = [{"property": ["x"], "operator": "in", "value": values}, {"property": ["x"], "operator": "exists"}]
    large = {"meters": [{"code": "m", "profiles": [{"code": "n", "aggregation": "count", "filters": filters}]}],
             "accounts": [{"code": f"a{number}"} for number in range(2_500)]}  # fmt: skip
    key = key_of(world, scopes=["ingest"])
    name = key.split(".")[1]

    def noise() -> list[httpx.Response]:
        with world.http("gateway") as http:
            yaml = {"content-type": "application/yaml"}
            documents = [lambda: http.post("/v1/catalog/apply", json=large)] * 4
            bombs = [lambda: http.post("/v1/catalog/apply", content=bomb(60), headers=yaml)] * 2
            return at_once([*documents, *bombs, lambda: http.delete(f"/v1/api-keys/{name}")])

    *answers, revoked = served_beside(noise, quiet)
    assert revoked.status_code == 204
    assert {answer.status_code for answer in answers[:4]} <= {200, 201, 429}
    assert 201 in {answer.status_code for answer in answers[:4]}
    for answer in answers[4:]:
        assert answer.status_code == 422
        assert "more than 1000000 nodes" in answer.json()["detail"]


def test_bounds_are_the_operators_and_what_they_hold_back_is_named(world: World, quiet: World) -> None:
    owner = key_of(world, scopes=["admin"])
    limits = {"profiles_per_event_name": 3, "event_types": 300}
    world.apply(namespace={"code": world.namespace, "max_event_age_seconds": None, "bounds": limits})
    meters = [{"code": f"m{number}", "event_name": "call", "profiles": METER["profiles"]} for number in range(4)]
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}
    types = [{"code": f"e{number}", "schema": schema} for number in range(301)]

    def noise() -> list[httpx.Response]:
        with world.http("gateway", headers=bearer(owner)) as http:
            raised = {"code": world.namespace, "max_event_age_seconds": None, "bounds": {"event_types": 10**6}}
            answers = [
                http.post("/v1/catalog/apply", json=body)
                for body in (
                    {"namespace": raised},
                    {"meters": meters},
                    {"event_types": types},
                    {"meters": meters[:3], "event_types": types[:300]},
                )
            ]
            return [*answers, http.post("/v1/events", json=event("k", "e7"))]

    raised, profiles, names, within, taken = served_beside(noise, quiet)
    assert (raised.status_code, raised.json()["path"]) == (403, "$.namespace.bounds")
    assert (profiles.status_code, names.status_code) == (422, 422)
    assert "bound to 3 (profiles_per_event_name)" in profiles.json()["detail"]
    assert "bound to 300 (event_types)" in names.json()["detail"]
    assert "the operator, who alone can raise it" in names.json()["detail"]
    assert (within.status_code, taken.status_code) == (201, 202)


def test_a_name_that_many_profiles_look_at_and_questions_of_one_key_leave_room_for_others(
    world: World, quiet: World
) -> None:
    profiles = [{"code": f"p{number}", "aggregation": "sum", "property": ["x"]} for number in range(60)]
    world.apply(meters=[{"code": "wide", "event_name": "call", "profiles": profiles}])
    world.send([event(f"k{number}") for number in range(500)])
    world.metered()
    reader = bearer(key_of(world, scopes=["read"]))

    def noise() -> list[httpx.Response]:
        draft = {"code": "call", "profiles": profiles}
        with world.http("rating", headers=reader, timeout=120) as http:
            tries = [lambda: http.post("/v1/profiles/try", json={"meter": draft, "period": "2026-01"})] * 12
            wide = [
                lambda: http.get("/v1/usage", params={"metric": "wide.p1", "from": "2026-01", "group_by": "account"})
            ] * 8
            return at_once(tries + wide)

    answers = served_beside(noise, quiet)
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)
    assert {answer.json()["total"]["quantity"] for answer in answers[12:] if answer.is_success} == {"500"}
    assert any(answer.is_success for answer in answers[:12])


@pytest.fixture
def small_gateway(settings: Settings, tmp_path: Path) -> Iterator[GatewayProcess]:
    """One with little room."""
    with GatewayProcess(settings, tmp_path / "gateway.log", body_bytes=64 * 1024 * 1024, connections=20) as process:
        yield process


def test_bodies_under_way_and_idle_connections_are_their_senders_trouble(
    world: World, quiet: World, small_gateway: GatewayProcess
) -> None:
    noisy, other = (key_of(of, small_gateway.url, scopes=["ingest"]) for of in (world, quiet))
    port = small_gateway.settings.gateway_port
    with ExitStack() as held:
        for _ in range(8):  # each announces a body of 8 MiB, and sends little of it
            sending = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            head = (
                f"POST /v1/events/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {noisy}\r\nContent-Length: "
                "8388608\r\n\r\n"
            )
            sending.sendall(head.encode() + b'{"events":[')
        batch = json.dumps(
            {"events": [event(f"k{number}") | {"properties": {"x": "y" * 2000}} for number in range(100)]}
        )
        with httpx.Client(base_url=small_gateway.url, headers=bearer(other), timeout=30) as http:
            assert http.post("/v1/events/batch", content=batch).status_code == 202
        idle = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(60)]
        assert len(idle) == 60
        # On a connection of its own: the idle one of before may have made room meanwhile.
        with httpx.Client(base_url=small_gateway.url, headers=bearer(other), timeout=30) as http:
            assert http.post("/v1/events", json=event("after")).status_code == 202
        with httpx.Client(base_url=small_gateway.url, headers=bearer(noisy), timeout=30) as http:
            assert http.post("/v1/events", json=event("small")).status_code == 202, "small ones need no room"


GZIP = {"content-encoding": "gzip"}
CLOUDEVENT = {"specversion": "1.0", "id": "k", "source": "s", "type": "call", "subject": "a", "data": {"x": 1}}
LAGO = {"transaction_id": "k", "external_subscription_id": "a", "code": "call", "properties": {"x": 1}}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BINARY = {"ce-specversion": "1.0", "ce-id": "k", "ce-source": "s", "ce-type": "call", "ce-subject": "a"}
EVENT_DOORS: dict[str, tuple[str, Any, dict[str, str]]] = {
    "one": ("/v1/events", event("k"), {}),
    "batch": ("/v1/events/batch", {"events": [event("k")] * 2}, {}),
    "cloudevent": ("/api/v1/events", CLOUDEVENT, STRUCTURED),
    "cloudevents": ("/api/v1/events", [CLOUDEVENT] * 2, {"content-type": "application/cloudevents-batch+json"}),
    "binary cloudevent": ("/api/v1/events", {"x": 1}, BINARY),
    "lago": ("/api/v1/events", {"event": LAGO}, {}),
    "lago's batch": ("/api/v1/events/batch", {"events": [LAGO] * 2}, {}),
}
"""path, body, headers of every door for events that answers as a whole; the stream of history is apart"""
OTHER_DOORS: dict[str, tuple[str, str, Any]] = {
    "void": ("POST", "/v1/events/void", {"idempotency_key": "n", "reason": "r"}),
    "void by path": ("POST", "/v1/events/n/void", {"reason": "r"}),
    "apply": ("POST", "/v1/catalog/apply", {"accounts": [{"code": "a"}]}),
    "entry": ("POST", "/v1/accounts", {"code": "b"}),
    "new version": ("PUT", "/v1/accounts/a", {"code": "a", "name": "n"}),
    "namespace": ("PUT", "/v1/namespaces/n", {"code": "n"}),
    "key": ("POST", "/v1/api-keys", {"scopes": ["ingest"]}),
}


def test_every_door_counts_what_it_receives_broken_or_refused_too_and_a_key_in_debt_passes_none(world: World) -> None:
    """Bytes as they come, of bodies that cannot be read; events that are refused. All limits are looked at in one
    place, so a key in debt is held at a door whatever it owes."""
    broken = gzip.compress(b"{" * 5_000)[:-20] + b"x" * 500

    def limited(**limits: int) -> httpx.Client:
        return world.http("gateway", headers=bearer(key_of(world, scopes=["admin"], limits=limits)))

    def held(http: httpx.Client, what: str) -> None:
        answer = http.get("/v1/accounts")
        assert (answer.status_code, answer.json()["limit"]) == (429, what)
        assert int(answer.headers["retry-after"]) >= 1

    posts = {name: ("POST", path) for name, (path, _, _) in EVENT_DOORS.items()}
    posts |= {name: (method, path) for name, (method, path, _) in OTHER_DOORS.items()}
    for name, (method, path) in posts.items():
        with limited(bytes_per_second=1) as http:
            answer = http.request(method, path, content=broken, headers=GZIP)
            assert answer.is_client_error, (name, answer.text)
            held(http, "bytes")
    for name, (path, body, headers) in EVENT_DOORS.items():
        refused = json.dumps(body).replace('"call"', '""')
        headers = {key: "" if key == "ce-type" else value for key, value in headers.items()}
        with limited(events_per_second=1) as http:
            answers = at_once([lambda: http.post(path, content=refused, headers=headers)] * 10)  # noqa: B023
            codes = {answer.status_code for answer in answers}
            assert codes <= {400, 422, 429}, (name, codes)
            assert 429 in codes, (name, codes)
    with limited(bytes_per_second=1) as http:
        assert http.post("/v1/events", json=event("k") | {"properties": {"x": "y" * 5_000}}).status_code == 202
        for name, (path, body, headers) in EVENT_DOORS.items():
            assert http.post(path, content=json.dumps(body), headers=headers).status_code == 429, name
        for name, (method, path, body) in OTHER_DOORS.items():
            assert http.request(method, path, json=body).status_code == 429, name
        assert http.post("/v1/events/stream", content=b"").status_code == 429
        assert http.delete("/v1/accounts/a").status_code == 429
        for path in ("/v1/accounts", "/v1/accounts/a", "/v1/api-keys", "/v1/catalog/audit", "/v1/namespaces"):
            assert http.get(path).status_code == 429, path


def test_limits_hold_at_every_door_and_for_everything_that_is_received(world: World) -> None:
    def limited(scope: str, **limits: int) -> httpx.Client:
        return world.http("gateway", headers=bearer(key_of(world, scopes=[scope], limits=limits)))

    broken = gzip.compress(json.dumps({"events": [event("k")] * 50}).encode())[:-20] + b"x" * 5000
    with limited("ingest", bytes_per_second=10) as http:
        first = http.post("/v1/events/batch", content=broken, headers=GZIP)
        second = http.post("/v1/events", json=event("k"))
        assert (first.status_code, second.status_code, second.json()["limit"]) == (400, 429, "bytes")
    with limited("catalog", bytes_per_second=10) as http:
        first = http.post("/v1/catalog/apply", json={"accounts": [{"code": "a", "name": "x" * 5000}]})
        assert (first.status_code, http.get("/v1/accounts").status_code) == (201, 429)
    with limited("admin", bytes_per_second=1) as http:
        void = {"idempotency_key": "n", "reason": "r" * 100}
        assert [http.post("/v1/events/void", json=void).status_code for _ in range(2)] == [202, 429]
    with limited("admin", events_per_second=20) as http:
        lines = "\n".join(json.dumps(event(f"h{number}")) for number in range(60))
        answer = http.post("/v1/events/stream", content=lines, headers={"content-type": "application/x-ndjson"})
        summary = json.loads(answer.text.splitlines()[-1])
        assert (summary["complete"], summary["accepted"]) == (True, 60)
        assert summary["seconds"] >= 1.5, "held back to 20 a second, after a second's worth at once"
    # What holds no event is held back too: blank lines cost what lines cost, and a line without an end its bytes.
    for limits, body in (
        ({"events_per_second": 1_000}, b"\n" * 3_000),
        ({"bytes_per_second": 100_000}, b"0" * 300_000),
    ):
        with limited("admin", **limits) as http:
            answer = http.post("/v1/events/stream", content=gzip.compress(body), headers=GZIP)
            assert json.loads(answer.text.splitlines()[-1])["seconds"] >= 1.5, limits
    with limited("admin") as http:
        over = http.post("/v1/api-keys", json={"scopes": ["ingest"], "limits": {"events_per_second": 10**8}})
        assert (over.status_code, over.json()["path"]) == (422, "$.limits.events_per_second")
        assert "the operator, who alone can give more" in over.json()["detail"]
        assert http.post("/v1/api-keys", json={"scopes": ["ingest"]}).status_code == 201
