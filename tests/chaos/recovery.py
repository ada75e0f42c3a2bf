"""How long the stack takes to be whole again after a fault: until events sent after its end are metered, in every
partition."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from rating.close.checkpoint import end_offsets
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import read_progress
from schemas.settings import Settings

PROBE: Final = "probe"
"""The namespace of probe events; it has no meters."""
_EVENTS: Final = 64
"""Keys of a probe: so many that every partition gets one."""
_POLL_S: Final = 0.2


class Unrecovered(Exception):
    """The stack did not become whole again in time."""


class Probes:
    """Sends probes and watches them through. Thread-safe. ``url``: one gateway; ``rating``: the rating service."""

    def __init__(self, settings: Settings, key: str, timestamp: str, patience: float) -> None:
        self._settings = settings
        self._headers = {"Authorization": f"Bearer {key}", "Weir-Namespace": PROBE}
        self._timestamp = timestamp
        self._patience = patience
        # One client for all: making one costs more than a request.
        self._http = httpx.Client(timeout=4, verify=False)
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.sent = 0

    def recovered(self, urls: Sequence[str], rating: str) -> float:
        """Seconds from now until a probe taken by each of the gateways is metered and ``rating`` answers. Raises
        Unrecovered."""
        began = time.monotonic()
        deadline = began + self._patience
        for url in urls:
            self._send(url, deadline)
        self._metered(deadline)
        self._until(lambda: self._http.get(f"{rating}/readyz").status_code == 200, deadline, "rating answers")
        return time.monotonic() - began

    def _send(self, url: str, deadline: float) -> None:
        with self._lock:
            number = next(self._numbers)
        events: list[dict[str, Any]] = [
            {
                "event_name": "probe",
                "account_id": "probe",
                "idempotency_key": f"{number}-{index}",
                "timestamp": self._timestamp,
                "properties": {},
            }
            for index in range(_EVENTS)
        ]

        def taken() -> bool:
            answer = self._http.post(f"{url}/v1/events/batch", json={"events": events}, headers=self._headers)
            return answer.status_code == 202

        self._until(taken, deadline, f"{url} takes a probe")
        with self._lock:
            self.sent += _EVENTS

    def _metered(self, deadline: float) -> None:
        ends: dict[tuple[int, int], int] = {}

        def known() -> bool:
            ends.update(end_offsets(self._settings))
            return True

        self._until(known, deadline, "Kafka tells the end of the log")

        client: Any = None

        def done() -> bool:
            nonlocal client
            client = client or connect(self._settings, timeout_seconds=5)
            progress = read_progress(client)
            return all(progress.get(key, 0) >= end for key, end in ends.items())

        self._until(done, deadline, f"progress covers {ends}")

    def _until(self, condition: Any, deadline: float, what: str) -> None:
        trouble = ""
        while True:
            try:
                if condition():
                    return
            except Exception as error:
                trouble = f" ({str(error).splitlines()[:1]})"
            if time.monotonic() > deadline:
                raise Unrecovered(f"not within {self._patience:g} s: {what}{trouble}")
            time.sleep(_POLL_S)
