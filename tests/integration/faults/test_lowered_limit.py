"""A topic that takes less than the settings say, as after max.message.bytes was lowered under a process, on a real
broker: it refuses all of a set of records that a client sends at once, also those that would fit alone."""

from __future__ import annotations

import json
import uuid

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.events.batch import decode_batch
from schemas.kafka.codec import codec
from schemas.kafka.limits import MAX_BYTES
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from stream_processors.inbox.admission import Admission
from stream_processors.inbox.admit import InboxRecord

pytestmark = pytest.mark.integration

LIMIT = 50_000


def lowered_topic(settings: Settings) -> str:
    name = f"lowered.{uuid.uuid4().hex[:8]}.1"
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    [made] = admin.create_topics(
        [NewTopic(name, 1, 1, config={MAX_BYTES: str(LIMIT), "message.timestamp.type": "LogAppendTime"})]
    ).values()
    made.result(30)
    return name


def values_of(settings: Settings, topic: str) -> list[bytes]:
    with LedgerReader(settings, topic) as reader:
        return [record.value for record in reader.read_to(reader.end_offsets())]


def test_events_that_fit_are_admitted_and_only_what_fits_nowhere_is_rejected(kafka_settings: Settings) -> None:
    events, rejected = (LedgerWriter(kafka_settings, lowered_topic(kafka_settings)) for _ in range(2))
    catalog = Catalog()
    namespace = Namespace(code="shop")
    catalog.apply(record_of("shop", namespace, kind="namespace", version=1, author="", claim_id="a"), 0, 0)

    def record(offset: int, *sizes: int) -> InboxRecord:
        body = [
            {"event_name": "call", "account_id": "acme", "idempotency_key": f"{offset}-{number}",
             "properties": {"t": "x" * size}}
            for number, size in enumerate(sizes)
        ]  # fmt: skip
        return InboxRecord("usage.inbox.shop", "shop", 0, offset, 1_790_000_000_000_000, json.dumps(body).encode())

    records = [record(0, *[3_000] * 100), record(1, 60_000, 10), record(2, 10)]
    Admission(kafka_settings, catalog, records, lambda: (events, 1), rejected).step()
    keys = [key for value in values_of(kafka_settings, events.topic) for key in decode_batch(value).idempotency_keys]
    assert sorted(keys) == sorted([f"0-{number}" for number in range(100)] + ["1-1", "2-0"])
    [refused] = [codec("rejected_event").decode(value) for value in values_of(kafka_settings, rejected.topic)]
    assert (refused["reason"], refused["idempotency_key"]) == ("too_large", "1-0")
    assert (len(refused["original"]) < LIMIT, refused["original_size"]) == (True, len(records[1].value))
