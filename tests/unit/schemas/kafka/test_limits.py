"""One number for how large a record may be."""

from __future__ import annotations

import io
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from fastavro import schemaless_writer

from schemas.events.acceptance import MAX_PROPERTIES_BYTES, MAX_TEXT
from schemas.events.rejections import RejectedEvent, hash_of, rejection_record
from schemas.kafka import limits as kafka_limits
from schemas.kafka.codec import codec
from schemas.kafka.limit_watch import LimitWatch
from schemas.kafka.limits import (
    TopicLimits,
    check_topics,
    confirm_topics,
    packed_limit,
    producing,
    too_small,
    topic_limit,
    topic_limits,
    value_limit,
)
from schemas.kafka.topics import specifications
from schemas.settings import Settings, SettingsError

SMALL = Settings(kafka_record_bytes=128 * 1024)


def test_topics_producers_and_packing_agree() -> None:
    for settings in (Settings(), SMALL):
        assert {specification.config["max.message.bytes"] for specification in specifications(settings)} == {
            str(settings.kafka_record_bytes)
        }
        assert producing(settings.kafka_record_bytes)["message.max.bytes"] == settings.kafka_record_bytes
        assert packed_limit(settings) < value_limit(settings.kafka_record_bytes) < settings.kafka_record_bytes
        # Whatever the setting, an event alone gets in.
        assert value_limit(settings.kafka_record_bytes) > MAX_PROPERTIES_BYTES + 5 * 4 * MAX_TEXT


def test_a_topic_that_takes_less_is_told_with_both_remedies_and_a_sealed_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {
        "usage.rejected": 1_048_588,
        "usage.catalog": 8 * 1024 * 1024,
        "usage.events.1": 0,
        "usage.events.2": 9_000_000,
    }
    assert too_small(Settings(), limits) == ["usage.rejected"]

    def known(settings: Settings, topics: Any) -> TopicLimits:
        return TopicLimits({topic: limits[topic] for topic in topics}, {})

    monkeypatch.setattr(kafka_limits, "topic_limits", known)
    with pytest.raises(
        SettingsError,
        match=r"usage\.rejected \(1048588\).*max\.message\.bytes=8388608.*WEIR_KAFKA_RECORD_BYTES=1048588",
    ):
        check_topics(Settings(), limits)
    check_topics(Settings(kafka_record_bytes=1_048_588), limits)


def test_brokers_that_do_not_tell_a_limit_are_an_error_of_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may pass, and ends neither a process at its start nor the thread that looks."""

    class Admin:
        def __init__(self, *_: Any) -> None: ...

        def describe_configs(self, resources: Any, request_timeout: float) -> dict[Any, Any]:
            return {resource: SimpleNamespace(result=self.result) for resource in resources}

        def result(self, timeout: float) -> Any:
            raise TimeoutError

    monkeypatch.setattr(kafka_limits, "AdminClient", Admin)
    with pytest.raises(KafkaException, match="do not tell"):
        topic_limit(Settings(), "usage.rejected")
    with pytest.raises(KafkaException, match=r"usage\.rejected: the brokers do not tell"):
        check_topics(Settings(), ["usage.rejected"])
    confirm_topics(Settings(), lambda settings: ["usage.rejected"])
    watch = LimitWatch(Settings(), lambda settings: ["usage.rejected"])
    watch.look()
    assert watch.limits == {}


def test_a_topic_whose_limit_may_not_be_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Admin:
        def __init__(self, *_: Any) -> None: ...

        def describe_configs(self, resources: Any, request_timeout: float) -> dict[Any, Any]:
            return {resource: SimpleNamespace(result=partial(self.limit, resource.name)) for resource in resources}

        def limit(self, topic: str, timeout: float) -> Any:
            if topic == "usage.denied":
                raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
            return {"max.message.bytes": SimpleNamespace(value="1000000")}

    monkeypatch.setattr(kafka_limits, "AdminClient", Admin)
    topics = ["usage.denied", "usage.rejected"]
    limits = topic_limits(Settings(), topics)
    assert (limits.known, limits.denied) == ({"usage.rejected": 1_000_000}, {"usage.denied"})
    with pytest.raises(SettingsError, match=r"usage\.rejected \(1000000\)"):
        confirm_topics(Settings(), lambda settings: topics)


FIELDS = {
    "namespace": "shop", "stage": "admit", "reason": "malformed", "detail": "$: no JSON", "events": 1,
    "received_at": 1, "rejection_id": b"r" * 16,
}  # fmt: skip


@pytest.mark.parametrize("size", [0, 1000, 110_000, 130_000, 5_000_000])
def test_a_rejection_gets_in_whatever_its_size_whole_where_it_fits(size: int) -> None:
    original = b"\x00junk" * (size // 5)
    record = rejection_record(
        RejectedEvent(**FIELDS | {"original": original, "detail": "é" * 9_999}), value_limit(SMALL.kafka_record_bytes)
    )
    assert len(record) <= value_limit(SMALL.kafka_record_bytes)
    decode = codec("rejected_event").decode(record)
    if size <= 110_000:
        assert (decode["original"], decode["original_size"], decode["original_hash"]) == (original, -1, "")
    else:
        assert original.startswith(decode["original"])
        assert len(decode["original"]) == 64 * 1024
        assert (decode["original_size"], decode["original_hash"]) == (len(original), hash_of(original))


def test_a_rejection_of_an_earlier_version_is_whole() -> None:
    old = codec("rejected_event")
    header, schema = next(iter(old._writers.items()))
    out = io.BytesIO()
    out.write(header)
    schemaless_writer(out, schema, FIELDS | {"original": b"junk"})
    assert old.decode(out.getvalue())["original_size"] == -1
