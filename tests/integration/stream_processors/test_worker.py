"""The worker on real Kafka and the real engine: what it writes is a function of the log and of the catalog each batch
names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from schemas.catalog.follower import read_catalog
from schemas.clickhouse.client import connect
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.events.identity import content_hash, identity, partition_of
from schemas.kafka.topics import events_topic
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from tests.integration.world import World

pytestmark = pytest.mark.integration


def meter(operator_value: str) -> dict[str, Any]:
    return {
        "code": "song",
        "event_name": "Song played",
        "profiles": [
            {
                "code": "plays",
                "aggregation": "count",
                "filters": [{"property": ["country"], "operator": "in", "value": operator_value}],
            }
        ],
    }


def accepted(namespace: str, key: str, properties: str, account: str = "acct") -> AcceptedEvent:
    return AcceptedEvent(
        identity(namespace, "", key), content_hash("Song played", account, properties.encode()), "Song played", account,
        key, "", time.time_ns() // 1000, properties,
    )  # fmt: skip


def append(settings: Settings, namespace: str, catalog_offset: int, events: list[AcceptedEvent]) -> None:
    writer = LedgerWriter(settings, events_topic(settings.generation))
    for event in events:
        partition = partition_of(event.identity, settings.partitions)
        writer.append_all([(b"", encode_batch(namespace, catalog_offset, [event]))], partition)


def rows(settings: Settings, sql: str, **parameters: Any) -> list[Any]:
    client = connect(settings)
    try:
        return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]
    finally:
        client.close()


def matches(settings: Settings, namespace: str) -> dict[str, tuple[list[str], list[int]]]:
    found = rows(
        settings,
        "SELECT idempotency_key, arrayMap(one -> one.1, matched), arrayMap(one -> one.2, matched)"
        " FROM (SELECT * FROM usage_events FINAL WHERE namespace = {n:String}) AS events LEFT ANY JOIN ("
        "SELECT generation, partition, offset, `index`, arraySort(groupArray((toString(profile_id), profile_version)))"
        " AS matched FROM usage_records FINAL WHERE namespace = {n:String} GROUP BY generation, partition, offset,"
        " `index`) AS records USING (generation, partition, offset, `index`)",
        n=namespace,
    )
    return {key: (list(ids), list(versions)) for key, ids, versions in found}


def test_a_batch_is_matched_under_the_catalog_that_it_names(
    settings: Settings, namespace: str, world: World, wait_until: Callable[..., Any]
) -> None:
    before = read_catalog(settings).next_offset
    world.apply(meters=[meter("USA")])
    after = read_catalog(settings).next_offset
    body = '{"country":"USA"}'
    append(settings, namespace, after, [accepted(namespace, "after", body)])
    append(settings, namespace, before, [accepted(namespace, "before", body)])
    found = wait_until(lambda: len(matches(settings, namespace)) == 2 and matches(settings, namespace))
    assert found == {"after": (["song.plays"], [1]), "before": ([], [])}


def test_a_copy_that_says_the_same_is_a_duplicate_and_one_that_differs_a_conflict(
    settings: Settings, namespace: str, wait_until: Callable[..., Any]
) -> None:
    offset = read_catalog(settings).next_offset
    append(
        settings,
        namespace,
        offset,
        [
            accepted(namespace, "k", '{"n":1,"country":"USA"}'),
            accepted(namespace, "k", '{"country": "USA", "n": 1.0}'),
            accepted(namespace, "k", '{"country":"USA","n":2}'),
            accepted(namespace, "k", '{"n":1,"country":"USA"}', account="other"),
        ],
    )
    rejected = (
        "SELECT reason, sum(events) FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'meter'"
        " GROUP BY reason"
    )
    wait_until(lambda: rows(settings, rejected, n=namespace) == [("conflict", 2)])
    duplicates = "SELECT count() FROM duplicate_events FINAL WHERE namespace = {n:String}"
    assert rows(settings, duplicates, n=namespace) == [(1,)]
    assert list(matches(settings, namespace)) == ["k"]


def test_bytes_that_are_no_batch_are_rejected_and_block_nobody(
    settings: Settings, namespace: str, wait_until: Callable[..., Any]
) -> None:
    writer = LedgerWriter(settings, events_topic(settings.generation))
    event = accepted(namespace, "behind junk", "{}")
    junk = f"junk of {namespace}".encode()
    partition, offset = writer.append_all([(b"", junk)], partition_of(event.identity, settings.partitions))[0]
    append(settings, namespace, read_catalog(settings).next_offset, [event])
    wait_until(lambda: "behind junk" in matches(settings, namespace))
    kept = (
        "SELECT reason, original FROM rejected_events FINAL WHERE origin_topic = {t:String}"
        " AND origin_partition = {p:Int32} AND origin_offset = {o:Int64}"
    )
    place = {"t": events_topic(settings.generation), "p": partition, "o": offset}
    found = wait_until(lambda: rows(settings, kept, **place))
    assert [reason for reason, _ in found] == ["undecodable"]
    assert found[0][1] in (junk, junk.decode())
