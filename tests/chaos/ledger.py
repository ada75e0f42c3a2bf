"""What the producers know: which events were acknowledged, and everything that went wrong on the way. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter

from tests.chaos.traffic import Batch, Identity, Sent


class Ledger:
    """The truth that the stack's totals are compared with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._acknowledged: dict[Identity, Sent] = {}
        self._voided: set[Identity] = set()
        self._counts: Counter[str] = Counter()
        self._problems: list[str] = []

    def acknowledged(self, batch: Batch) -> None:
        """Every event of the batch is in Kafka, so each must count once."""
        with self._lock:
            for event in batch.sent:
                self._acknowledged.setdefault(event.identity, event)
            self._counts["batches acknowledged"] += 1
            self._counts["copies acknowledged"] += len(batch.sent)
            self._counts["conflicts acknowledged"] += batch.conflicts

    def void(self, identity: Identity) -> None:
        """The event's void is in Kafka, so the event must not count."""
        with self._lock:
            self._voided.add(identity)
            self._counts["voids acknowledged"] += 1

    def attempt(self, outcome: str) -> None:
        """One request was made: ``202``, ``503``, ``no answer`` …"""
        with self._lock:
            self._counts[f"attempts: {outcome}"] += 1

    def problem(self, what: str) -> None:
        """Something that must not happen to a producer."""
        with self._lock:
            self._problems.append(what)

    def problems(self) -> list[str]:
        """All of them, in order."""
        with self._lock:
            return list(self._problems)

    def counts(self) -> dict[str, int]:
        """Counters by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def voided(self) -> set[Identity]:
        """Every acknowledged event that was voided."""
        with self._lock:
            return set(self._voided)

    def events(self) -> dict[Identity, Sent]:
        """Every acknowledged event by identity."""
        with self._lock:
            return dict(self._acknowledged)
