"""What is refused under overload by its head alone: the answer, how long it stands, and that it is counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from ingest.app import Application
from ingest.gateway_metrics import GatewayMetrics
from ingest.http.auth import AdmittedRequest, Guard
from schemas.catalog.keys import ApiKey
from schemas.catalog.state import Catalog, record_of
from schemas.http.api_keys import KIND, key_hash, key_text
from schemas.http.early_answers import EarlyAnswer
from schemas.settings import load_settings

NOW = 1_767_225_600_000_000
TEXT = key_text("tour", "key_1", bytes(range(32)))
HEADERS = [(b"host", b"x"), (b"authorization", f"Bearer {TEXT}".encode())]


class Shedding:
    """A gateway's early answers; ``refuses``: whether its overload control refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = True
        self.catalog = Catalog()
        follower: Any = SimpleNamespace(catalog=self.catalog, fresh=lambda _seconds: True)
        settings = load_settings(admin_key="root")
        self.guard = Guard(settings, follower, lambda: NOW)
        monkeypatch.setattr(self.guard.overload, "refuses", lambda tenant: self.refuses and tenant == "tour")
        self.metrics = GatewayMetrics()
        gateway: Any = SimpleNamespace(guard=self.guard, metrics=self.metrics)
        self.early = Application(FastAPI(), {"gateway": gateway}).early
        self.publish(1)

    def publish(self, version: int, *, retired: bool = False) -> None:
        model = ApiKey(code="key_1", hash=key_hash(TEXT), scopes=("ingest",))
        record = record_of("tour", model, kind=KIND, version=version, author="t", claim_id="c", retired=retired)
        assert self.catalog.apply(record, self.catalog.next_offset, NOW) is not None

    def counted(self) -> float | None:
        return self.metrics.registry.get_sample_value("weir_gateway_requests_total", {"status": "503"})


@pytest.fixture
def shedding(monkeypatch: pytest.MonkeyPatch) -> Shedding:
    return Shedding(monkeypatch)


def test_a_refusal_is_told_when_to_come_again_and_stands_as_long_as_its_tenant_is_refused(shedding: Shedding) -> None:
    answer = shedding.early(b"/v1/events", HEADERS)
    assert isinstance(answer, EarlyAnswer)
    assert answer.response.status_code == 503
    assert answer.response.headers["retry-after"] == "1"
    assert b"overloaded" in bytes(answer.response.body)
    assert answer.again()
    shedding.refuses = False
    assert not answer.again()
    assert isinstance(shedding.early(b"/v1/events", HEADERS), AdmittedRequest)


def test_a_key_that_was_revoked_is_verified_again(shedding: Shedding) -> None:
    answer = shedding.early(b"/v1/events", HEADERS)
    assert isinstance(answer, EarlyAnswer)
    shedding.publish(2, retired=True)
    assert not answer.again()
    assert shedding.early(b"/v1/events", HEADERS) is None  # the application answers, with 401


def test_each_refusal_is_counted(shedding: Shedding) -> None:
    answer = shedding.early(b"/v1/events/batch", HEADERS)
    assert isinstance(answer, EarlyAnswer)
    for _ in range(3):
        answer.again()
    for _ in range(2):
        shedding.metrics.render()
        assert shedding.counted() == 4


@pytest.mark.parametrize("target", [b"/api/v1/events", b"/v1/events?x=1", b"/v1/catalog/apply"])
def test_requests_with_answers_of_their_own_go_to_the_application(shedding: Shedding, target: bytes) -> None:
    assert shedding.early(target, HEADERS) is None
