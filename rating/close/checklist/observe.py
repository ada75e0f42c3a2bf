"""The checklist's queries of Kafka and ClickHouse: a few per namespace, none per account."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition

from rating.close.checklist.checks import Observations
from rating.usage.void_conditions import not_voided
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below
from schemas.kafka.topics import ADMIT_GROUP, inbox_topic
from schemas.ledgers.checkpoints import Cut
from schemas.settings import Settings

_TIMEOUT = 10


def observe_namespace(
    settings: Settings, client: Client, namespace: str, start_us: int, end_us: int, as_of: Cut | None
) -> Observations:
    """Observe [start_us, end_us) as of a cut (None: live). Blocking. Raises KafkaException."""
    bind = Binder()
    condition = f"namespace = {bind('namespace', 'String', namespace)}"
    span = (
        f"{condition} AND timestamp >= {bind.instant('start', start_us)} AND timestamp < {bind.instant('end', end_us)}"
        + ("" if as_of is None else f" AND {position_below(as_of.offsets, bind)}")
    )
    cut = "" if as_of is None else position_below(as_of.offsets, bind, prefix="void_")
    span += f" AND {not_voided([condition], cut)}"
    backfills = "" if as_of is None else f" AND checkpoint <= {bind('checkpoint', 'UInt32', as_of.number)}"
    # Only distinct names are read, so duplicate rows do not matter and FINAL is not needed.
    used = client.query(
        f"SELECT DISTINCT account_id, profile_id FROM usage_records WHERE {span}{backfills}", bind.parameters
    )
    lost = client.query(
        "SELECT DISTINCT event_name, match_profile_ids, unmeterable_profile_ids, unmeterable_reasons FROM usage_events"
        f" WHERE {span} AND (empty(match_profile_ids) OR notEmpty(unmeterable_profile_ids)) LIMIT 1000",
        bind.parameters,
    ).result_rows
    refused = client.query(
        "SELECT toString(stage), toString(reason), sum(events) FROM rejected_events FINAL"
        " WHERE namespace = {namespace:String} AND stage != 'replay'"
        " AND received_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC') AND rejection_id NOT IN ("
        "SELECT rejection_id FROM rejected_events WHERE namespace IN ({namespace:String}, '') AND stage = 'replay')"
        " GROUP BY stage, reason HAVING sum(events) > 0",
        {"namespace": namespace, "start": start_us},
    ).result_rows
    return Observations(
        start_us,
        end_us,
        waiting(settings, namespace),
        {(str(stage), str(reason)): int(events) for stage, reason, events in refused},
        {(str(account), str(profile)) for account, profile in used.result_rows},
        {str(name) for name, matched, unmeterable, _ in lost if not matched and not unmeterable},
        {
            (str(profile_id), str(why))
            for _, _, profiles, reasons in lost
            for profile_id, why in zip(profiles, reasons, strict=True)
        },
    )


def waiting(settings: Settings, namespace: str) -> int:
    """Records in the namespace's inbox that no worker has admitted; 0 without an inbox. Raises KafkaException."""
    consumer_settings = {"group.id": ADMIT_GROUP, "enable.auto.commit": False, "log_level": 2}
    consumer = Consumer(settings.librdkafka() | consumer_settings)  # reads the group's offsets without joining it
    try:
        topic = inbox_topic(namespace)
        known = consumer.list_topics(timeout=_TIMEOUT).topics.get(topic)
        if known is None or known.error is not None:
            return 0
        behind = 0
        for position in consumer.committed(
            [TopicPartition(topic, number) for number in known.partitions], timeout=_TIMEOUT
        ):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, position.partition), timeout=_TIMEOUT)
            # The offset is negative if nothing was committed yet.
            behind += max(0, int(high) - max(int(position.offset), int(low)))
        return behind
    finally:
        consumer.close()
