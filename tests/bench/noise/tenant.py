"""A noisy tenant: where and who it is, and the requests that its scenarios share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Noisy:
    """Where, and who."""

    gateway: int
    rating: int
    admin_key: str
    key: str
    namespace: str

    def http(self, service: str = "gateway", key: str = "", **headers: str) -> httpx.Client:
        """A client with the namespace's key. Close it."""
        port = self.gateway if service == "gateway" else self.rating
        own = {"Authorization": f"Bearer {key or self.key}"} | headers
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=own, timeout=60, limits=limits)

    def limited(self, scope: str, **limits: int) -> str:
        """A key with limits of its own."""
        with self.http() as http:
            made = http.post("/v1/api-keys", json={"scopes": [scope], "limits": limits}).raise_for_status()
            return str(made.json()["key"])


Ask = Callable[[httpx.Client, int], httpx.Response]


def repeated(
    noisy: Noisy, seconds: float, threads: int, ask: Ask, service: str = "gateway", key: str = ""
) -> Counter[str]:
    """``ask`` by so many at once, each again when it is answered; answers by status. What is not answered at the end is
    left."""
    answers: Counter[str] = Counter()
    end = time.monotonic() + seconds
    numbers = count()

    def lane(http: httpx.Client) -> None:
        while (left := end - time.monotonic()) > 0:
            http.timeout = httpx.Timeout(max(left + 1, 1))
            try:
                answers[str(ask(http, next(numbers)).status_code)] += 1
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1

    with noisy.http(service, key) as http, ThreadPoolExecutor(threads) as pool:
        for lane_done in [pool.submit(lane, http) for _ in range(threads)]:
            lane_done.result()
    return answers


def event(key: str, name: str = "call", account: str = "a", **properties: object) -> dict[str, Any]:
    """One event of now."""
    return {"event_name": name, "account_id": account, "idempotency_key": key, "properties": properties or {"x": 1}}


def nothing(noisy: Noisy) -> None:
    """No preparation."""


def applied(http: httpx.Client, **lists: Any) -> httpx.Response:
    """A document."""
    return http.post("/v1/catalog/apply", json=lists)


def accounts(number: int, many: int) -> list[dict[str, Any]]:
    """New ones for each number."""
    return [{"code": f"a{number}-{each}"} for each in range(many)]


def head(noisy: Noisy, length: int) -> bytes:
    """Of a batch."""
    return (
        f"POST /v1/events/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {noisy.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
