"""A namespace on the shared stack, with its catalog and events written as the gateway would."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from rating.close import CloseResult, run_close
from rating.doctor.diagnosis import Diagnosis
from rating.doctor.examine import diagnose, waiting_records
from rating.periods import Interval
from schemas.catalog.follower import read_catalog
from schemas.catalog.models import KINDS
from schemas.catalog.state import record_of
from schemas.clickhouse.client import connect
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.events.identity import content_hash, identity, partition_of
from schemas.events.voids import EventVoid, encode_void
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG, events_topic, partition_count
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.values.instants import micros

KEY = "a-key-of-the-test"
"""The root key of the ``service`` fixture."""


class Road:
    """One namespace on the stack."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self.settings = settings
        self.namespace = namespace
        self.client = connect(settings)
        self._catalog = LedgerWriter(settings, CATALOG)
        self._events = LedgerWriter(settings, events_topic(settings.generation))
        self._partitions = partition_count(settings, events_topic(settings.generation))
        self._versions: dict[tuple[str, str], int] = {}
        self.publish("namespace", code=namespace, max_event_age_seconds=None)

    def publish(self, kind: str, /, **body: Any) -> int:
        """The next version of a catalog entry; its number."""
        key = (kind, body["code"])
        self._versions[key] = self._versions.get(key, 0) + 1
        record = record_of(
            self.namespace, KINDS[kind].model_validate(body), kind=kind, version=self._versions[key], author="test",
            claim_id=uuid.uuid4().hex,
        )  # fmt: skip
        self._catalog.append(b"", codec("catalog_entry").encode(record))
        return self._versions[key]

    def diagnosis(self, account: str, metric: str, interval: Interval) -> Diagnosis:
        """What became of the account's events for the metric."""
        catalog = read_catalog(self.settings)
        waiting = waiting_records(self.settings, self.client, catalog)
        view = catalog.view(self.namespace)
        return diagnose(self.client, catalog, view, account, metric, interval=interval, waiting=waiting)

    def send(self, events: list[tuple[str, str, str, str, dict[str, Any]]], knows: int | None = None) -> None:
        """(event name, account, idempotency key, RFC 3339 timestamp, properties) each, acknowledged by Kafka.
        ``knows``: as a gateway does whose catalog is older; below that offset."""
        offset = read_catalog(self.settings).next_offset if knows is None else knows
        by_partition: dict[int, list[AcceptedEvent]] = {}
        for name, account, key, timestamp, properties in events:
            text = json.dumps(properties)
            name_hash = content_hash(name, account, text.encode())
            who = identity(self.namespace, "", key)
            accepted = AcceptedEvent(
                who, name_hash, name, account, key, "", micros(datetime.fromisoformat(timestamp)), text
            )
            by_partition.setdefault(partition_of(who, self._partitions), []).append(accepted)
        for partition, some in by_partition.items():
            self._events.append_all([(b"", encode_batch(self.namespace, offset, some))], partition)

    def void(self, *keys: str, reason: str = "sent twice") -> None:
        """Void the events of these keys, one after another, acknowledged by Kafka."""
        for key in keys:
            void = EventVoid(self.namespace, "", key, reason, "test")
            self._events.append(b"", encode_void(void), partition_of(void.identity, self._partitions))

    def close(self, as_of: str | None = None, dry_run: bool = False, subscription: str = "") -> CloseResult:
        """Run the close now."""
        instant = None if as_of is None else datetime.fromisoformat(as_of)
        now = datetime.now(UTC)
        return run_close(
            self.settings, self.namespace, instant, now, lambda *_: None, dry_run, subscription=subscription
        )
