"""Topic names, and the settings that durability rests on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.kafka.topics import events_topic, inbox_topic, namespace_of_inbox, specifications
from schemas.settings import load_settings

LEDGERS = ("usage.catalog", "usage.checkpoints", "usage.invoices")


def test_names() -> None:
    assert events_topic(2) == "usage.events.2"
    assert inbox_topic("live") == "usage.inbox.live"


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_an_inbox_names_its_namespace(namespace: str) -> None:
    assert namespace_of_inbox(inbox_topic(namespace)) == namespace


@pytest.mark.parametrize(("replication", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_topics_are_durable_and_ledgers_are_for_ever(replication: int, in_sync: str) -> None:
    topics = {topic.name: topic for topic in specifications(load_settings(kafka_replication=replication, partitions=7))}
    assert topics["usage.events.1"].partitions == 7
    for name, topic in topics.items():
        assert topic.replicas == replication
        assert topic.config["min.insync.replicas"] == in_sync
        assert topic.config["unclean.leader.election.enable"] == "false"
        assert topic.config["cleanup.policy"] == "delete"
        if name != "usage.rejected":
            assert topic.config["message.timestamp.type"] == "LogAppendTime"
    for name in LEDGERS:
        assert (topics[name].config["cleanup.policy"], topics[name].config["retention.ms"]) == ("delete", "-1")
    assert [topics[name].partitions for name in LEDGERS[:2]] == [1, 1]
