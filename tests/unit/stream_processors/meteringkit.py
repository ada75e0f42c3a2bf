"""Events, batches and a catalog for tests of the metering core."""

from __future__ import annotations

from schemas.acceptance import AcceptedEvent
from schemas.batch import decode_batch, encode_batch
from schemas.catalog.models import Meter, Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.identity import content_hash, identity
from stream_processors.dedupe import Record

HOUR = 3_600_000_000
METER = Meter.model_validate(
    {
        "code": "song",
        "event_name": "Song played",
        "profiles": [
            {"code": "plays", "aggregation": "count"},
            {
                "code": "usa",
                "aggregation": "sum",
                "property": "n",
                "filters": [{"property": ["country"], "operator": "in", "value": "USA"}],
            },
        ],
    }
)


def catalog(age: int | None) -> Catalog:
    made = Catalog()
    settings_ = Namespace(code="default", max_event_age_seconds=age, max_event_skew_seconds=0)
    made.apply(record_of("default", settings_, kind="namespace", version=1, author="", claim_id="a"), 0, 0)
    made.apply(record_of("default", METER, kind="meter", version=1, author="", claim_id="b"), 1, 0)
    return made


def event(key: int, body: int) -> AcceptedEvent:
    text = ['{"country":"USA","n":1}', '{"n": 1.0, "country": "USA"}', '{"country":"FR","n":"2.5"}'][body]
    name = identity("default", "", str(key))
    return AcceptedEvent(
        name, content_hash("Song played", "acct", text.encode()), "Song played", "acct", str(key), "", 1, text
    )


def log_of(batches: list[list[tuple[int, int]]], hours: list[int]) -> list[Record]:
    now = 0
    records = []
    for offset, (batch, gap) in enumerate(zip(batches, hours, strict=True)):
        now += gap * HOUR
        packed = encode_batch("default", 2, [event(key, body) for key, body in batch])
        records.append(Record(1, 0, offset, now, decode_batch(packed)))
    return records
