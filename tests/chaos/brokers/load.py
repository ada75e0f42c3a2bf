"""Producers that send on through whatever happens: each sends a batch again until it is acknowledged."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import httpx

from deploy.cli.connection import base_url, services_of
from schemas.settings import Settings

_BATCH: Final = 20
_PRODUCERS: Final = 2
_PATIENCE_SECONDS: Final = 180.0


def wait_until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Ask until it holds; what it raises meanwhile counts as no. Raises TimeoutError with the last of it."""
    deadline, last = time.monotonic() + timeout, ""
    while True:
        try:
            if condition():
                return
        except Exception as error:  # what is asked may be away, too
            last = str(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {timeout:.0f} s {last}")
        time.sleep(0.3)  # between two looks at the condition


class Load:
    """Sends while it is entered. ``acknowledged``: idempotency keys of events answered 202; ``answers``: how often
    each status came, 0 for none."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        own = settings.model_copy(update={"namespace": namespace})
        self._url, self._headers = base_url(own, "gateway"), services_of(own).headers()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(_PRODUCERS)]
        self.acknowledged: set[str] = set()
        self.answers: Counter[int] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def goes_on(self, phase: str, *, least_seconds: float = 2.0) -> None:
        """Watch for so long, and until requests are acknowledged again; prints how long that took and what was
        answered. Raises TimeoutError."""
        began, before = time.monotonic(), self.counts()
        wait_until(lambda: self.counts()[202] >= before[202] + 10, timeout=_PATIENCE_SECONDS)
        first = time.monotonic() - began
        self._stop.wait(max(0.0, least_seconds - first))
        print(f"{phase}: ten requests taken after {first:.1f} s, answers {dict(self.counts() - before)}", flush=True)

    def statuses_during(self, seconds: float) -> dict[int, int]:
        """What is answered in so many seconds from now on."""
        before = self.counts()
        self._stop.wait(seconds)
        return dict(self.counts() - before)

    def counts(self) -> Counter[int]:
        """A copy of ``answers``."""
        with self._lock:
            return Counter(self.answers)

    def _send(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=30) as client:
            while not self._stop.is_set():
                keys = [f"k{next(self._numbers)}" for _ in range(_BATCH)]
                events = [
                    {"event_name": "e", "account_id": f"a{number % 8}", "idempotency_key": key,
                     "timestamp": "2026-01-10T00:00:00Z", "properties": {"n": 1}}
                    for number, key in enumerate(keys)
                ]  # fmt: skip
                while not self._taken(client, events, keys) and not self._stop.is_set():
                    self._stop.wait(0.2)
                self._stop.wait(0.05)

    def _taken(self, client: httpx.Client, events: list[dict[str, object]], keys: list[str]) -> bool:
        try:
            status = client.post("/v1/events/batch", json={"events": events}).status_code
        except httpx.HTTPError:
            status = 0
        with self._lock:
            self.answers[status] += 1
            if status == 202:
                self.acknowledged.update(keys)
        return status == 202
