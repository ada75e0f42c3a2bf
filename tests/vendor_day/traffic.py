"""Calls of one round, made by a seed, and the producers that send them while processes are killed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from ingest.client import Client
from tests.vendor_day.fold import Call, Fold

BATCH: Final = 20
_COPIES: Final = 0.15


def calls(
    random_numbers: random.Random, account: str, name: str, count: int, start: datetime, end: datetime
) -> list[Call]:
    """``count`` calls spread over [start, end), with keys that begin with ``name``."""
    span = int((end - start).total_seconds() * 1_000_000)
    return [
        Call(
            account,
            f"{account}-{name}-{number}",
            start + timedelta(microseconds=random_numbers.randrange(span)),
            random_numbers.randint(500, 5000),
            random_numbers.choice(("small", "large")),
        )
        for number in range(count)
    ]


def batches(random_numbers: random.Random, sent: Sequence[Call]) -> Iterator[list[Call]]:
    """The calls in batches, with copies of earlier ones of the round among them."""
    for start in range(0, len(sent), BATCH):
        batch = list(sent[start : start + BATCH])
        copies = sum(random_numbers.random() < _COPIES for _ in batch)
        yield batch + [random_numbers.choice(sent[: start + len(batch)]) for _ in range(copies)]


class Producers:
    """Sends rounds through all gateways at once; each batch until it is acknowledged."""

    def __init__(self, clients: Sequence[Client], fold: Fold) -> None:
        self._clients = clients
        self._fold = fold
        self._lock = threading.Lock()

    def send(self, made: Sequence[list[Call]]) -> None:
        """Returns once all are acknowledged. Raises Refusal and GatewayUnavailable."""
        with ThreadPoolExecutor(len(self._clients) * 2, thread_name_prefix="vendor") as pool:
            work = [
                pool.submit(self._send, self._clients[number % len(self._clients)], batch)
                for number, batch in enumerate(made)
            ]
            for future in work:
                future.result()

    def _send(self, client: Client, batch: list[Call]) -> None:
        client.send([call.event() for call in batch])
        with self._lock:
            self._fold.add(batch)
