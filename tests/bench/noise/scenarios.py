"""What a noisy tenant does, one scenario a function.

Valid input or plainly broken one, of the sizes of issue 11 where the machine of a developer bears them; loopback only.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from noise.tenant import Noisy, accounts, applied, event, head, nothing, repeated


def merge_keys(noisy: Noisy, seconds: float) -> Counter[str]:
    """YAML of 650 bytes that merges itself, 19 levels."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{level}: &a{level}\n  <<: [*a{level - 1}, *a{level - 1}]" for level in range(1, 20)]
    body, kind = "\n".join(lines), {"content-type": "application/yaml"}
    return repeated(noisy, seconds, 4, lambda http, _: http.post("/v1/catalog/apply", content=body, headers=kind))


def yaml_large(noisy: Noisy, seconds: float) -> Counter[str]:
    """An ordinary YAML document of a megabyte, dry run."""
    body = "accounts:\n" + "".join(f"- code: y{each}\n  name: Customer number {each}\n" for each in range(20_000))
    kind = {"content-type": "application/yaml"}
    return repeated(
        noisy, seconds, 2, lambda http, _: http.post("/v1/catalog/apply?dry_run=true", content=body, headers=kind)
    )


def filter_in(noisy: Noisy, seconds: float) -> Counter[str]:
    """A filter of 8,000 values."""
    values = [f"v{each}" for each in range(8_000)]
    filters = [{"property": ["x"], "operator": "in", "value": values}, {"property": ["x"], "operator": "exists"}]
    profiles = [{"code": "n", "aggregation": "count", "filters": filters}]
    return repeated(
        noisy, seconds, 6, lambda http, number: applied(http, meters=[{"code": f"m{number}", "profiles": profiles}])
    )


def many_accounts(noisy: Noisy, seconds: float) -> Counter[str]:
    """100,000 accounts in one document, again and again."""
    return repeated(noisy, seconds, 1, lambda http, number: applied(http, accounts=accounts(number, 100_000)))


def prepare_large(noisy: Noisy) -> None:
    """A catalog of 200,000 accounts."""
    with noisy.http() as http:
        for number in range(4):
            applied(http, accounts=accounts(number, 50_000)).raise_for_status()


def single_writes(noisy: Noisy, seconds: float) -> Counter[str]:
    """One account after another, in a large catalog."""
    return repeated(noisy, seconds, 2, lambda http, number: applied(http, accounts=[{"code": f"single{number}"}]))


def prepare_types(noisy: Noisy) -> None:
    """24,000 event types, or as many as are allowed."""
    fields = [{"name": f"f{each}", "type": ["null", "int"], "default": None} for each in range(8)]
    with noisy.http() as http:
        for first in range(0, 24_000, 4_000):
            names = range(first, first + 4_000)
            types = [
                {"code": f"e{each}", "schema": {"type": "record", "name": "R", "fields": fields}} for each in names
            ]
            applied(http, event_types=types)


def first_events(noisy: Noisy, seconds: float) -> Counter[str]:
    """The first event after a change, of one type after another."""

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        if number % 10 == 0:
            return applied(http, accounts=[{"code": f"t{number}"}])
        return http.post("/v1/events", json=event(f"k{number}", f"e{number * 7 % 20_000}", f1=1))

    return repeated(noisy, seconds, 2, ask)


def prepare_namespaces(noisy: Noisy) -> None:
    """A hundred of them."""
    meter = {"code": "call", "profiles": [{"code": "n", "aggregation": "count"}]}
    with noisy.http(key=noisy.admin_key) as http:
        for each in range(100):
            body = {"namespace": {"code": f"many{each}"}, "meters": [meter]}
            http.post("/v1/catalog/apply", json=body, headers={"Weir-Namespace": f"many{each}"}).raise_for_status()


def namespaces(noisy: Noisy, seconds: float) -> Counter[str]:
    """Events of a hundred namespaces, one after another."""

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        body = event(f"{noisy.namespace}{number}")
        return http.post("/v1/events", json=body, headers={"Weir-Namespace": f"many{number % 100}"})

    return repeated(noisy, seconds, 4, ask, key=noisy.admin_key)


def prepare_profiles(noisy: Noisy) -> None:
    """640 on one event name, or as many as are allowed."""
    profiles = [{"code": f"p{each}", "aggregation": "sum", "property": ["x"]} for each in range(640)]
    with noisy.http() as http:
        for most in (640, 256):
            if applied(http, meters=[{"code": "wide", "event_name": "wide", "profiles": profiles[:most]}]).is_success:
                return


def many_profiles(noisy: Noisy, seconds: float) -> Counter[str]:
    """1,000 events that all of them look at."""
    answers: Counter[str] = Counter()
    with noisy.http() as http:
        for batch in range(10):
            events = [event(f"k{batch}-{each}", "wide", x=each) for each in range(100)]
            answers[str(http.post("/v1/events/batch", json={"events": events}).status_code)] += 1
    time.sleep(seconds)  # as long as the quiet tenant is watched
    return answers


def prepare_usage(noisy: Noisy) -> None:
    """40,000 events of 20,000 accounts, with a string of their own."""
    with noisy.http() as http:
        profiles = [{"code": f"p{each}", "aggregation": "sum", "property": ["x"]} for each in range(2)]
        applied(http, meters=[{"code": "use", "event_name": "use", "profiles": profiles}]).raise_for_status()
        for batch in range(80):
            events = [
                event(f"k{batch}-{each}", "use", f"a{(batch * 500 + each) % 20_000}", x=each, pad=f"{each}" * 40)
                for each in range(500)
            ]
            http.post("/v1/events/batch", json={"events": events})


def tries(noisy: Noisy, seconds: float) -> Counter[str]:
    """16 at once, of one key."""
    profiles = [{"code": f"p{each}", "aggregation": "sum", "property": ["x"]} for each in range(64)]
    draft = {
        "meter": {"code": "use", "event_name": "use", "profiles": profiles},
        "period": time.strftime("%Y-%m", time.gmtime()),
    }
    return repeated(noisy, seconds, 16, lambda http, _: http.post("/v1/profiles/try", json=draft), "rating")


def wide_queries(noisy: Noisy, seconds: float) -> Counter[str]:
    """8 at once, by account."""
    asked = {"metric": "use.p1", "from": time.strftime("%Y-%m", time.gmtime()), "group_by": "account"}
    return repeated(noisy, seconds, 8, lambda http, _: http.get("/v1/usage", params=asked), "rating")


def bodies(noisy: Noisy, seconds: float) -> Counter[str]:
    """200 connections, each with all of 8 MiB but the end (as far as it is read)."""
    answers: Counter[str] = Counter()
    size = 8 * 1024 * 1024
    piece = b'{"events":[' + b" " * (64 * 1024 - 11)
    end = time.monotonic() + seconds
    with ExitStack() as held:
        open_ones: list[tuple[socket.socket, list[int]]] = []
        for _ in range(200):
            sending = held.enter_context(socket.create_connection(("127.0.0.1", noisy.gateway)))
            sending.sendall(head(noisy, size))
            sending.setblocking(False)
            open_ones.append((sending, [0]))
        while time.monotonic() < end:
            moved = 0
            for sending, sent in open_ones:
                if sent[0] >= size - len(piece):
                    continue
                try:
                    moved += (now := sending.send(piece))
                    sent[0] += now
                except BlockingIOError:
                    pass
                except OSError:
                    sent[0] = size
                    answers["closed"] += 1
            if not moved:
                time.sleep(0.02)  # all sockets are full
        answers["MiB"] = sum(sent[0] for _, sent in open_ones) // 2**20
    return answers


def idle(noisy: Noisy, seconds: float) -> Counter[str]:
    """1,100 connections that say nothing."""
    answers: Counter[str] = Counter()
    with ExitStack() as held:
        for _ in range(1_100):
            try:
                held.enter_context(socket.create_connection(("127.0.0.1", noisy.gateway), timeout=2))
                answers["open"] += 1
            except OSError as error:
                answers[type(error).__name__] += 1
        time.sleep(seconds)  # as long as the quiet tenant is watched
    return answers


def stream(noisy: Noisy, seconds: float) -> Counter[str]:
    """50,000 lines at once of a key of 10 events and 1,000 bytes a second."""
    key = noisy.limited("admin", events_per_second=10, bytes_per_second=1_000, requests_per_second=5)
    lines = "\n".join(json.dumps(event(f"h{each}")) for each in range(50_000))
    kind = {"content-type": "application/x-ndjson"}
    return repeated(
        noisy, seconds, 2, lambda http, _: http.post("/v1/events/stream", content=lines, headers=kind), key=key
    )


def broken_gzip(noisy: Noisy, seconds: float) -> Counter[str]:
    """Bodies of 16 MB that are small on the wire, and broken at their end."""
    key = noisy.limited("ingest", events_per_second=10, bytes_per_second=1_000_000, requests_per_second=100)
    text = json.dumps({"events": [event(f"k{each}", pad="p" * 1_000) for each in range(7_000)]}).encode()
    body, kind = gzip.compress(text)[:-20] + b"x" * 20, {"content-encoding": "gzip", "content-type": "application/json"}
    return repeated(
        noisy, seconds, 4, lambda http, _: http.post("/v1/events/batch", content=body, headers=kind), key=key
    )


def hostile_values(noisy: Noisy, seconds: float) -> Counter[str]:
    """Numbers without end, depth, 100,000 names, long text: in properties."""
    properties: list[str] = [
        '{"x":1e400000}',
        '{"x":-0}',
        '{"x":"NaN"}',
        '{"x":' + "9" * 100_000 + "}",
        '{"x":' + "[" * 5_000 + "]" * 5_000 + "}",
        "{" + ",".join(f'"n{each}":{each}' for each in range(100_000)) + "}",
        '{"x":"' + "é" * 400_000 + '"}',
        '{"x":0.' + "1" * 100_000 + "}",
    ]

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        start = f'{{"event_name":"use","account_id":"a","idempotency_key":"h{number}","properties":'
        body = start + properties[number % len(properties)] + "}"
        return http.post("/v1/events", content=body.encode(), headers={"content-type": "application/json"})

    return repeated(noisy, seconds, 4, ask)


SCENARIOS: dict[str, tuple[Callable[[Noisy], None], Callable[[Noisy, float], Counter[str]]]] = {
    "merge_keys": (nothing, merge_keys),
    "yaml_large": (nothing, yaml_large),
    "filter_in": (nothing, filter_in),
    "accounts": (nothing, many_accounts),
    "single": (prepare_large, single_writes),
    "types": (prepare_types, first_events),
    "namespaces": (prepare_namespaces, namespaces),
    "profiles": (prepare_profiles, many_profiles),
    "tries": (prepare_usage, tries),
    "wide": (prepare_usage, wide_queries),
    "bodies": (nothing, bodies),
    "idle": (nothing, idle),
    "stream": (nothing, stream),
    "gzip": (nothing, broken_gzip),
    "values": (prepare_usage, hostile_values),
}
