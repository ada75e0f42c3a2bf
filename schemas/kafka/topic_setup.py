"""What an existing Kafka lacks of Weir's topics, and its repair: ``weir init``, and the start of the local stack.

Decided here alone (``differences``): a missing topic is created; a setting without which records could be lost, or
offsets and append times would not mean what the protocol takes them for, is set; what no client can change safely (the
number of partitions of a ledger, replicas) is left to the operator. Retention of what is no ledger, and any setting
that is stricter than needed, is the operator's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from schemas.kafka.limits import MAX_BYTES
from schemas.settings import Settings

IN_SYNC: Final = "min.insync.replicas"
_TIMEOUT: Final = 30
TopicAction = Literal["create", "set", "by_hand"]


@dataclass(frozen=True, slots=True)
class TopicSpecification:
    """A topic as Weir needs it. ``partitions``: of its creation; ``counted``: an existing topic must have exactly as
    many, since its readers take their number for granted. ``replicas``: of its creation, and the least of an existing
    topic. ``config``: settings of its creation; ``required``: the names of those that an existing topic must have,
    too."""

    name: str
    partitions: int
    counted: bool
    replicas: int
    config: Mapping[str, str]
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic as the brokers describe it. ``replicas``: of the partition that has the fewest; ``config``: settings, as
    far as they may be read; ``unreadable``: why they may not, or ""."""

    partitions: int
    replicas: int
    config: Mapping[str, str]
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One thing that a topic lacks. ``text`` says it for a person; ``config`` are the settings that it is created with
    or that are set."""

    topic: str
    action: TopicAction
    text: str
    config: tuple[tuple[str, str], ...] = ()


def differences(specification: TopicSpecification, existing: ExistingTopic | None) -> Iterator[TopicChange]:
    """What is missing of ``specification``; nothing where all is as it should be."""
    name = specification.name
    if existing is None:
        retention = specification.config.get("retention.ms", "the cluster's")
        text = f"partitions {specification.partitions}, replicas {specification.replicas}, retention.ms {retention}"
        yield TopicChange(name, "create", text, tuple(sorted(specification.config.items())))
        return
    if existing.unreadable:
        yield TopicChange(
            name,
            "by_hand",
            f"its settings cannot be read ({existing.unreadable}): give WEIR_KAFKA_SASL_USERNAME the rights"
            " DescribeConfigs and AlterConfigs on it",
        )
    elif existing.config.get(MAX_BYTES) != "0":  # 0: sealed for good, so nothing is written to it any more
        settings = tuple(_settings(specification, existing))
        if settings:
            text = ", ".join(f"{key}={value} (was {existing.config.get(key, 'unset')})" for key, value in settings)
            yield TopicChange(name, "set", text, settings)
    if specification.counted and existing.partitions != specification.partitions:
        yield TopicChange(
            name,
            "by_hand",
            f"it has {existing.partitions} partitions and needs {specification.partitions}: a number of partitions"
            " cannot be lowered, and a higher one gives keys other partitions. While nothing is written to it, delete"
            " it and repeat",
        )
    if existing.replicas < specification.replicas:
        yield TopicChange(
            name,
            "by_hand",
            f"it has {existing.replicas} replicas, and WEIR_KAFKA_REPLICATION is {specification.replicas}: add them"
            " (kafka-reassign-partitions.sh), then repeat, which sets min.insync.replicas",
        )


def _settings(specification: TopicSpecification, existing: ExistingTopic) -> Iterator[tuple[str, str]]:
    for key in sorted(specification.required):
        needed, present = specification.config[key], existing.config.get(key)
        if key == IN_SYNC:
            # Above the replicas that there are, every write would be refused.
            needed = str(min(int(needed), existing.replicas))
        if present is None or (_least(key, present, needed) if key in (IN_SYNC, MAX_BYTES) else present != needed):
            yield key, needed


def _least(key: str, present: str, needed: str) -> bool:
    return not present.isdigit() or int(present) < int(needed)


def existing_topics(settings: Settings, names: Iterable[str]) -> dict[str, ExistingTopic]:
    """Those of ``names`` that exist. Raises KafkaException where the brokers do not answer within 30 s."""
    admin = AdminClient(settings.librdkafka() | {"log_level": 2})
    topics = admin.list_topics(timeout=_TIMEOUT).topics
    present = [name for name in dict.fromkeys(names) if name in topics]
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in present]
    futures: dict[Any, Any] = admin.describe_configs(resources, request_timeout=_TIMEOUT) if resources else {}
    existing: dict[str, ExistingTopic] = {}
    for resource, future in futures.items():
        partitions = topics[resource.name].partitions
        replicas = min((len(partition.replicas) for partition in partitions.values()), default=0)
        config: dict[str, str] = {}
        unreadable = ""
        try:
            config = {key: entry.value for key, entry in future.result(timeout=_TIMEOUT + 5).items()}
        except KafkaException as error:
            unreadable = str(error.args[0].str())
        existing[resource.name] = ExistingTopic(len(partitions), replicas, config, unreadable)
    return existing


def topic_changes(settings: Settings, specifications: Sequence[TopicSpecification]) -> list[TopicChange]:
    """``differences`` of all. Raises KafkaException."""
    existing = existing_topics(settings, [specification.name for specification in specifications])
    return [
        change
        for specification in specifications
        for change in differences(specification, existing.get(specification.name))
    ]


def apply_changes(
    settings: Settings, specifications: Sequence[TopicSpecification], changes: Sequence[TopicChange]
) -> None:
    """Create and set what ``changes`` name, each topic by itself; what another process has created meanwhile is fine.
    Raises KafkaException with the first refusal, once all have been tried."""
    admin = AdminClient(settings.librdkafka() | {"log_level": 2})
    missing = {change.topic for change in changes if change.action == "create"}
    refusals = _create(admin, [specification for specification in specifications if specification.name in missing])
    resources = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            change.topic,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in change.config
            ],
        )
        for change in changes
        if change.action == "set"
    ]
    if resources:
        futures: dict[Any, Any] = admin.incremental_alter_configs(resources, request_timeout=_TIMEOUT)
        for resource, future in futures.items():
            try:
                future.result(timeout=_TIMEOUT + 5)
            except KafkaException as error:
                refusals.append(_about(resource.name, error))
    if refusals:
        raise refusals[0]


def create_topics_of(settings: Settings, specifications: Sequence[TopicSpecification]) -> None:
    """Create those that are missing; what exists stays as it is. Raises KafkaException."""
    if refusals := _create(AdminClient(settings.librdkafka() | {"log_level": 2}), specifications):
        raise refusals[0]


def _create(admin: AdminClient, specifications: Sequence[TopicSpecification]) -> list[KafkaException]:
    topics = [
        NewTopic(
            specification.name,
            num_partitions=specification.partitions,
            replication_factor=specification.replicas,
            config=dict(specification.config),
        )
        for specification in specifications
    ]
    refusals: list[KafkaException] = []
    if topics:
        futures: dict[str, Any] = admin.create_topics(topics, operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT)
        for name, future in futures.items():
            try:
                future.result(timeout=_TIMEOUT + 5)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    refusals.append(_about(name, error))
    return refusals


def _about(topic: str, error: KafkaException) -> KafkaException:
    return KafkaException(KafkaError(error.args[0].code(), f"{topic}: {error.args[0].str()}"))
