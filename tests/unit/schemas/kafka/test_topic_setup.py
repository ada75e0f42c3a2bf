"""What an existing topic lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.kafka.limits import MAX_BYTES
from schemas.kafka.topic_setup import IN_SYNC, ExistingTopic, TopicChange, TopicSpecification, differences
from schemas.kafka.topics import CATALOG, INVOICES, LEDGERS, RESERVATIONS, events_topic, inbox_topic, specifications
from schemas.settings import Settings, SettingsError, load_settings

SETTINGS = Settings(kafka_replication=3)
NEEDED = {specification.name: specification for specification in specifications(SETTINGS)}


def as_needed(specification: TopicSpecification) -> ExistingTopic:
    return ExistingTopic(specification.partitions, specification.replicas, dict(specification.config))


def changed(topic: str, **changes: str) -> list[TopicChange]:
    existing = as_needed(NEEDED[topic])
    config = {**existing.config, **{key.replace("_", "."): value for key, value in changes.items()}}
    return list(differences(NEEDED[topic], replace(existing, config=config)))


@pytest.mark.parametrize("name", NEEDED)
def test_a_topic_is_created_as_needed_and_then_lacks_nothing(name: str) -> None:
    [creation] = differences(NEEDED[name], None)
    assert creation.action == "create"
    config = dict(creation.config)
    assert list(differences(NEEDED[name], ExistingTopic(NEEDED[name].partitions, 3, config))) == []
    # Whatever a cluster's own defaults are.
    assert (config["cleanup.policy"], config["retention.bytes"], config[IN_SYNC]) == ("delete", "-1", "2")


@pytest.mark.parametrize("name", LEDGERS)
def test_a_ledger_loses_nothing_by_age_size_or_compaction(name: str) -> None:
    [change] = changed(name, cleanup_policy="compact,delete", retention_ms="86400000", retention_bytes="1000000")
    assert change.action == "set"
    assert dict(change.config) == {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def test_retention_of_other_topics_is_the_operators_and_compaction_nobodys() -> None:
    events = events_topic(1)
    assert changed(events, retention_ms="1000", retention_bytes="5") == []
    [change] = changed(events, message_timestamp_type="CreateTime", cleanup_policy="compact")
    assert dict(change.config) == {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}


def test_where_a_setting_says_how_long_an_existing_topic_is_kept_so_long() -> None:
    settings = SETTINGS.model_copy(update={"kafka_events_days": 30, "kafka_inbox_days": 3, "kafka_rejected_days": 14})
    existing = {name: as_needed(specification) for name, specification in NEEDED.items()}
    changes = {
        change.topic: dict(change.config)
        for specification in specifications(settings)
        for change in differences(specification, existing[specification.name])
    }
    day = 86_400_000
    assert changes == {
        topic: {"retention.ms": str(days * day), "segment.ms": str(day)}
        for topic, days in ((events_topic(1), 30), (inbox_topic("default"), 3), ("usage.rejected", 14))
    }
    later = [item.config for item in specifications(settings, [events_topic(2), inbox_topic("shop")])[-2:]]
    assert [config["retention.ms"] for config in later] == [str(30 * day), str(3 * day)]
    with pytest.raises(SettingsError, match=r"WEIR_KAFKA_EVENTS_DAYS: .* less than or equal to 90"):
        load_settings(kafka_events_days=91)


def test_what_is_stricter_stays() -> None:
    assert changed(CATALOG, min_insync_replicas="3", max_message_bytes=str(SETTINGS.kafka_record_bytes * 2)) == []
    [change] = changed(CATALOG, min_insync_replicas="1", max_message_bytes="1000000")
    assert dict(change.config) == {IN_SYNC: "2", MAX_BYTES: str(SETTINGS.kafka_record_bytes)}


def test_fewer_replicas_are_the_operators_to_add_and_no_write_is_refused_meanwhile() -> None:
    existing = replace(as_needed(NEEDED[INVOICES]), replicas=1, config=NEEDED[INVOICES].config | {IN_SYNC: "1"})
    [change] = differences(NEEDED[INVOICES], existing)
    assert change.action == "by_hand"
    assert "1 replicas, and WEIR_KAFKA_REPLICATION is 3" in change.text


@pytest.mark.parametrize("name", [*LEDGERS, RESERVATIONS])
def test_the_number_of_partitions_of_a_ledger_is_part_of_its_meaning(name: str) -> None:
    [change] = differences(NEEDED[name], replace(as_needed(NEEDED[name]), partitions=NEEDED[name].partitions + 1))
    assert change.action == "by_hand"
    assert list(differences(NEEDED[events_topic(1)], replace(as_needed(NEEDED[events_topic(1)]), partitions=9))) == []


def test_a_sealed_topic_stays_as_it_is_and_what_may_not_be_read_is_said() -> None:
    assert changed(events_topic(1), max_message_bytes="0", cleanup_policy="compact") == []
    [change] = differences(NEEDED[CATALOG], ExistingTopic(1, 3, {}, "Topic authorization failed"))
    assert change.action == "by_hand"
    assert "DescribeConfigs" in change.text


def test_topics_of_further_generations_and_namespaces_are_looked_at_as_well() -> None:
    names = [events_topic(2), inbox_topic("acme"), "usage.catalog", "orders"]
    further = [specification.name for specification in specifications(SETTINGS, names)][len(NEEDED) :]
    assert further == [events_topic(2), inbox_topic("acme")]
