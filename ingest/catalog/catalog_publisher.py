"""Publishes catalog changes to usage.catalog and determines which claims won. Blocking; call it from a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from ingest.catalog.changes import CatalogPlan, Change
from ingest.catalog.document import Tick, no_tick
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.models import Namespace
from schemas.catalog.state import record_of
from schemas.errors import WeirError
from schemas.kafka.codec import codec
from schemas.kafka.limits import value_limit
from schemas.kafka.topics import CATALOG, create_inbox
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_READ_BACK_SECONDS: Final = 15.0
AT_ONCE: Final = 1_000
"""Records written before they are read back. Between such parts every follower reaches the log's end, so that none
considers its catalog stale, and changes of other namespaces or a key's revocation wait for one part only."""
_codec = codec("catalog_entry")


def batched(changes: Iterable[Change], size: int) -> Iterator[list[Change]]:
    """Split into lists of at most ``size``, in order."""
    left = iter(changes)
    while part := list(islice(left, size)):
        yield part


class LostClaims(WeirError):
    """Another writer published these versions first; the plan's other changes are published."""

    def __init__(self, lost: list[Change]) -> None:
        names = ", ".join(f"{change.kind} {change.code} version {change.version}" for change in lost)
        super().__init__(f"another writer published first: {names}")
        self.lost = lost


class EntriesTooLarge(WeirError):
    """These entries (with their sizes in bytes) exceed ``limit``; nothing of the plan is published."""

    def __init__(self, entries: Sequence[tuple[Change, int]], limit: int) -> None:
        sizes = ", ".join(f"{change.kind} {change.code} ({size} bytes)" for change, size in entries)
        super().__init__(
            f"{sizes}: an entry has up to {limit} bytes in the catalog; split it (several charges, products or "
            "profiles), or let the "
            "operator raise WEIR_KAFKA_RECORD_BYTES"
        )
        self.entries, self.limit = entries, limit


class CatalogPublisher:
    """Publishes plans. ``exclusive`` serialises plans within one gateway; between gateways the ledger's first-valid
    rule decides."""

    def __init__(self, settings: Settings, catalog: CatalogFollower, new_claim: Callable[[], str]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._writer = LedgerWriter(settings, CATALOG)
        self._limit = value_limit(settings.kafka_record_bytes)
        self._new_claim = new_claim
        self._locks: dict[str, threading.Lock] = {}

    def exclusive(self, what: str) -> threading.Lock:
        """The lock named ``what``, to be held by plans that may change the same entries."""
        return self._locks.setdefault(what, threading.Lock())

    def publish(self, plan: CatalogPlan, author: str, rest: Tick = no_tick) -> None:
        """Write all changes in order and wait until this gateway's own catalog contains them.

        Events accepted by this gateway afterwards are metered by the new entries. ``rest`` is called between parts.
        Raises LostClaims, and LedgerUnavailable or KafkaException if Kafka does not answer (some changes may be
        published; applying them again is safe).
        """
        changes = plan.to_publish()
        if not changes:
            return
        for change in changes:
            if isinstance(change.model, Namespace) and change.model.inbox:
                create_inbox(self._settings, change.code)
        lost: list[Change] = []
        for part in batched(changes, AT_ONCE):
            rest()
            records = self._records(plan, part, author)
            placed = self._writer.append_all(records, partition=0)
            last_offset = max(offset for _, offset in placed)
            if not self._catalog.wait_for(last_offset + 1, _READ_BACK_SECONDS):
                raise LedgerUnavailable(f"the catalog was written, but not read back within {_READ_BACK_SECONDS:g} s")
            lost += [
                change
                for change, (_, offset) in zip(part, placed, strict=True)
                if not self._won(plan.namespace, change, offset)
            ]
        if lost:
            raise LostClaims(lost)

    def check(self, plan: CatalogPlan, author: str) -> None:
        """Raises EntriesTooLarge, before anything is written, if an entry exceeds the record limit."""
        changes = plan.to_publish()
        if len(changes) <= AT_ONCE:  # larger plans are checked part by part before each is written
            self._records(plan, changes, author)

    def _records(self, plan: CatalogPlan, changes: Sequence[Change], author: str) -> list[tuple[bytes, bytes]]:
        records = [(self._key(plan, change), self._value(plan, change, author)) for change in changes]
        large = [
            (change, len(value))
            for change, (_, value) in zip(changes, records, strict=True)
            if len(value) > self._limit
        ]
        if large:
            raise EntriesTooLarge(large, self._limit)
        return records

    def _won(self, namespace: str, change: Change, offset: int) -> bool:
        versions = self._catalog.catalog.versions(namespace, change.kind, change.code, offset + 1)
        return len(versions) >= change.version and versions[change.version - 1].offset == offset

    def _key(self, plan: CatalogPlan, change: Change) -> bytes:
        return f"{plan.namespace}/{change.kind}/{change.code}".encode()

    def _value(self, plan: CatalogPlan, change: Change, author: str) -> bytes:
        return _codec.encode(
            record_of(
                plan.namespace,
                change.model,
                kind=change.kind,
                version=change.version,
                author=author,
                claim_id=self._new_claim(),
                retired=change.action == "retired",
            )
        )
