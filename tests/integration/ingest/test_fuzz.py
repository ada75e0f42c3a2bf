"""Both services under whatever their OpenAPI documents allow and forbid, and the event path under broken bodies.

Nothing is a 500, nothing ends a process, and what was not acknowledged as accepted is not half in the log.
"""

from __future__ import annotations

import gzip
import json
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr
from requests import Session
from schemathesis import GenerationMode

from deploy.cli.connection import base_url, services_of
from ingest.http.decompression import zstd
from schemas.http.scopes import Service
from schemas.settings import Settings
from tests.integration.ingest.gateway_process import keys_in
from tests.integration.world import declare, gateway_client

pytestmark = pytest.mark.integration

ONCE: dict[str, Any] = {"phases": [Phase.generate], "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def own(settings: Settings) -> Settings:
    """A namespace of its own, and a key that reaches no other."""
    code = f"fuzz{uuid.uuid4().hex[:8]}"
    declare(settings, {"namespace": {"code": code, "max_event_age_seconds": None}, "accounts": [{"code": "a"}]})
    with gateway_client(settings, code) as admin:
        key = admin.post("/v1/api-keys", json={"scopes": ["admin"]}).json()["key"]
    return settings.model_copy(update={"namespace": code, "admin_key": SecretStr(key)})


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """The body of the door for history: whatever is made for it, as text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def can_be_wrong(operation: Any) -> bool:
    """Whether its document leaves anything to get wrong: a text in a path is always right."""
    return bool(operation.body) or any(
        "enum" in str(one.definition) or "integer" in str(one.definition) for one in operation.query
    )


@pytest.mark.parametrize("service", ["gateway", "rating"])
def test_no_request_of_the_openapi_document_fails_the_service(own: Settings, service: Service) -> None:
    url = base_url(own, service)
    schema = schemathesis.openapi.from_dict(httpx.get(f"{url}/openapi.json").json())
    failures: list[str] = []
    statuses: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    with Session() as session:

        def ask(case: Any) -> None:
            answer = case.call(base_url=url, session=session, headers=services_of(own).headers())
            statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                failures.append(
                    f"{case.method} {case.formatted_path} {case.query} {case.body!r:.500}: {answer.text[:300]}"
                )

        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.NEGATIVE and not can_be_wrong(operation):
                    continue
                fuzz = given(operation.as_strategy(generation_mode=mode))(ask)
                seed(7)(examples(max_examples=2, **ONCE)(fuzz))()
    assert failures == []
    assert sum(statuses.values()) >= len(operations)
    assert len(statuses) >= 3, statuses
    assert httpx.get(f"{url}/readyz").status_code == 200


EVENT = {
    "event_name": "e",
    "account_id": "a",
    "timestamp": "2026-05-04T00:00:00Z",
    "properties": {"v": 1.5, "deep": [{"x": None}]},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
"""JSON values, NaN and infinities among them."""


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """The bytes of a batch that was right until something was done to it, and the keys that stand in it."""
    number = draw(st.integers(1, 3))
    keys = [f"f-{draw(st.integers(0, 10**9))}-{index}" for index in range(number)]
    events: list[Any] = [dict(EVENT, idempotency_key=key) for key in keys]
    for _ in range(draw(st.integers(0, 2))):
        one = draw(st.sampled_from(events))
        one[draw(st.sampled_from([*EVENT, "source", "idempotency_key", "more"]))] = draw(VALUES)
    text = bytearray(json.dumps({"events": events}).encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text) - 1))
        if draw(st.booleans()):
            text[at] = draw(st.integers(0, 255))
        else:
            del text[at : at + draw(st.integers(1, 10))]
            text = text or bytearray(b"{")
    return bytes(text), keys


def encoded(body: bytes, how: str | None) -> tuple[bytes, dict[str, str]]:
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
    return (packers[how](body), {"content-encoding": how}) if how in packers else (body, {})


def test_broken_bodies_are_refused_whole_and_right_ones_taken_whole(own: Settings) -> None:
    accepted: list[str] = []
    refused = 0
    with services_of(own).http("gateway", timeout=30) as client:

        @seed(11)
        @examples(max_examples=120, **ONCE)
        @given(made=bodies(), how=st.sampled_from([None, None, "gzip", "zstd"]))
        def fuzz(made: tuple[bytes, list[str]], how: str | None) -> None:
            nonlocal refused
            body, head = encoded(made[0], how)
            answer = client.post("/v1/events/batch", content=body, headers=head)
            assert answer.status_code in (202, 400, 413, 422), (answer.status_code, answer.text, body[:300])
            if answer.status_code == 202:
                accepted.extend(answer.json()["idempotency_keys"])
            else:
                refused += 1
                assert answer.headers["content-type"] == "application/problem+json"

        fuzz()

        @seed(13)
        @examples(max_examples=50, **ONCE)
        @given(
            body=st.binary(max_size=300),
            head=st.fixed_dictionaries({}, optional={
                "content-encoding": st.sampled_from(["gzip", "zstd", "identity", "br", "GZIP, gzip"]),
                "content-type": st.sampled_from(
                    ["application/json", "text/plain", "application/cloudevents+json", "ü"]
                ),
            }),
            path=st.sampled_from(["/v1/events", "/v1/events/batch", "/api/v1/events", "/api/v1/events/batch"]),
        )  # fmt: skip
        def noise(body: bytes, head: dict[str, str], path: str) -> None:
            encoded_head = {name.encode(): value.encode() for name, value in head.items()}
            answer = client.post(path, content=body, headers=encoded_head)
            assert 400 <= answer.status_code < 500, (answer.status_code, answer.text, body)

        noise()
    assert accepted
    assert refused
    assert sorted(keys_in(own, own.namespace)) == sorted(accepted), (
        "all of what was accepted, nothing of what was refused"
    )
