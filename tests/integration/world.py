"""What the road tests do to a namespace, as a producer and a clerk would: by HTTP, Kafka and the functions of the
CLI."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx
from clickhouse_connect.driver.client import Client as ClickHouse

from deploy.cli.connection import base_url, services_of
from ingest.client import Client
from rating.books import read_books
from rating.close import CloseResult, run_close
from rating.close.checkpoint import end_offsets
from rating.invoices.lists import MAX_LIMIT, list_invoices
from rating.invoices.read import with_lines
from rating.verify.verification import verify
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import read_progress
from schemas.settings import Settings

Event = dict[str, Any]
Wait = Callable[..., Any]


class World:
    """One namespace on the run's stack."""

    def __init__(self, settings: Settings, namespace: str, wait_until: Wait) -> None:
        self.settings = settings.model_copy(update={"namespace": namespace})
        self.namespace = namespace
        self.wait = wait_until

    @cached_property
    def clickhouse(self) -> ClickHouse:
        """A client that goes on through a restart of ClickHouse; made when it is first needed, since a connection asks
        three questions before its own."""
        return connect(self.settings)

    def disconnect(self) -> None:
        """Close that client, where there is one; the next question makes another."""
        if client := self.__dict__.pop("clickhouse", None):
            client.close()

    def producer(self, **more: Any) -> Client:
        """The producer library. Close it."""
        key = self.settings.admin_key.get_secret_value()
        return Client(base_url(self.settings, "gateway"), key, self.namespace, **more)

    def http(self, service: str, **more: Any) -> httpx.Client:
        """A client of a service with key and namespace. Close it."""
        own = {
            "base_url": base_url(self.settings, service),
            "headers": services_of(self.settings).headers(),
            "timeout": 60,
        }
        return httpx.Client(**(own | more))

    def apply(self, **lists: Any) -> dict[str, Any]:
        """Publish catalog entries: ``meters=[…]`` and so on."""
        with self.http("gateway") as client:
            answer = client.post("/v1/catalog/apply", json=lists)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def post(self, events: Sequence[Event] | bytes) -> httpx.Response:
        """One batch, whatever comes back."""
        body = events if isinstance(events, bytes) else json.dumps({"events": list(events)}).encode()
        with self.http("gateway") as client:
            return client.post("/v1/events/batch", content=body, headers={"content-type": "application/json"})

    def send(self, events: Sequence[Event]) -> None:
        """Batches of 100, all acknowledged."""
        for start in range(0, len(events), 100):
            answer = self.post(events[start : start + 100])
            assert answer.status_code == 202, answer.text

    def metered(self, timeout: float = 60.0) -> None:
        """Wait until everything that is acknowledged now is metered."""
        ends = end_offsets(self.settings)

        def done() -> bool:
            progress = read_progress(self.clickhouse)
            return all(progress.get(key, 0) >= end for key, end in ends.items())

        self.wait(done, timeout=timeout)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query with the parameter n, the namespace."""
        return [tuple(row) for row in self.clickhouse.query(sql, parameters={"n": self.namespace}).result_rows]

    def books(self) -> dict[str, Any]:
        """The ledger."""
        return read_books(self.clickhouse, self.namespace).to_json()

    def usage(self, metric: str, *, start: str, end: str, **more: Any) -> list[dict[str, Any]]:
        """Rows of GET /v1/usage, all accounts each."""
        asked = {"metric": metric, "from": start, "to": end, "group_by": "account"} | more
        with self.http("rating") as client:
            answer = client.get("/v1/usage", params=asked)
        assert answer.is_success, answer.text
        return list(answer.json()["rows"])

    def close(self, as_of: str) -> CloseResult:
        """Run the close."""
        return run_close(
            self.settings, self.namespace, datetime.fromisoformat(as_of), datetime.now(UTC), lambda *_: None
        )

    def invoices(self) -> list[dict[str, Any]]:
        """All invoices, whole, latest period first: as ClickHouse has them, whether a service runs or not."""
        invoices: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = list_invoices(self.clickhouse, self.namespace, cursor=cursor, limit=MAX_LIMIT)
            whole = with_lines(self.clickhouse, self.namespace, page.invoices)
            invoices += [invoice.to_json() for invoice in whole]
            if (cursor := page.next_cursor) is None:
                return invoices

    def differences(self) -> list[str]:
        """What ``weir verify`` finds."""
        return [str(found) for found in verify(self.settings, namespace=self.namespace)]


def books_of(books: Mapping[str, Any], **expected: int) -> None:
    """The books balance and have exactly these counts; what is not named is 0."""
    names = ("refused", "accepted", "metered", "unmatched", "duplicates", "conflicts")
    assert {name: books[name] for name in names} == {name: expected.get(name, 0) for name in names}
    assert books["balanced"]
    assert books["received"] == books["refused"] + books["accepted"]


def declare(settings: Settings, document: dict[str, Any]) -> Any:
    """Publish a catalog document through the gateway; its answer."""
    code = document["namespace"]["code"]
    with gateway_client(settings, code) as client:
        answer = client.post("/v1/catalog/apply", json=document)
        assert answer.is_success, answer.text
        return answer.json()


def gateway_client(settings: Settings, namespace: str) -> httpx.Client:
    """A client of the gateway with key and namespace. Close it."""
    own = settings.model_copy(update={"namespace": namespace})
    return httpx.Client(base_url=base_url(own, "gateway"), headers=services_of(own).headers(), timeout=30)
