"""The rights of Weir's processes on Kafka, each no more than it uses, and what a cluster lacks of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from schemas.kafka.topics import (
    ALERTS,
    CATALOG,
    CHECKPOINTS,
    CLOCK,
    EVENTS_PREFIX,
    INBOX_PREFIX,
    INVOICES,
    REJECTED,
    RESERVATIONS,
    TOPUPS,
    inbox_topic,
)

KafkaRole = Literal["gateway", "worker", "rating", "init", "producer"]
KAFKA_ROLES: Final[tuple[KafkaRole, ...]] = get_args(KafkaRole)
Resource = Literal["TOPIC", "GROUP"]
Operation = Literal["READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"]

_TOPICS: Final = "usage."
_GROUPS: Final = "weir-"
_LEDGERS_OF_RATING: Final = (CATALOG, CHECKPOINTS, INVOICES, ALERTS, RESERVATIONS, TOPUPS, CLOCK)
_WRITTEN_BY_WORKERS: Final = (REJECTED, CATALOG, CHECKPOINTS, INVOICES, CLOCK)


@dataclass(frozen=True, slots=True, order=True)
class KafkaRight:
    """One allowed operation. ``prefixed``: on every resource whose name begins with ``name``."""

    resource: Resource
    name: str
    prefixed: bool
    operation: Operation

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource.lower()} {self.name}{'*' if self.prefixed else ''}"


def kafka_rights(role: KafkaRole, namespaces: Sequence[str] = ()) -> frozenset[KafkaRight]:
    """What ``role`` needs. ``namespaces``: those whose inboxes a producer writes to."""
    return frozenset(_rights(role, namespaces))


def _rights(role: KafkaRole, namespaces: Sequence[str]) -> Iterator[KafkaRight]:
    if role == "producer":
        for namespace in namespaces:
            yield from _topic(inbox_topic(namespace), "WRITE", "DESCRIBE")
        return
    yield from _topics(_TOPICS, "DESCRIBE", "DESCRIBE_CONFIGS")
    if role == "init":
        yield from _topics(_TOPICS, "CREATE", "ALTER_CONFIGS")
    elif role == "gateway":
        yield from _topics(EVENTS_PREFIX, "WRITE")
        yield from _topics(INBOX_PREFIX, "CREATE")  # of a namespace that asks for one
        for name in (CATALOG, CLOCK):
            yield from _topic(name, "READ", "WRITE")
        yield from _topic(CHECKPOINTS, "READ")
        yield from _topic(REJECTED, "WRITE")
    elif role == "worker":
        yield from _topics(_TOPICS, "READ")
        yield from _topics(EVENTS_PREFIX, "WRITE")
        for name in _WRITTEN_BY_WORKERS:
            yield from _topic(name, "WRITE")
        yield KafkaRight("GROUP", _GROUPS, True, "READ")
    else:
        yield from _topics(_TOPICS, "READ")
        for name in _LEDGERS_OF_RATING:
            yield from _topic(name, "WRITE")
        yield KafkaRight("GROUP", _GROUPS, True, "DESCRIBE")


def _topic(name: str, *operations: Operation) -> Iterator[KafkaRight]:
    return (KafkaRight("TOPIC", name, False, operation) for operation in operations)


def _topics(prefix: str, *operations: Operation) -> Iterator[KafkaRight]:
    return (KafkaRight("TOPIC", prefix, True, operation) for operation in operations)


@dataclass(frozen=True, slots=True)
class PrincipalChange:
    """What a principal (``User:name``) lacks, or has ``beyond`` what it needs, which is the operator's to take."""

    principal: str
    missing: tuple[KafkaRight, ...]
    beyond: tuple[str, ...]


def principal_changes(
    wanted: Iterable[tuple[str, frozenset[KafkaRight]]],
    held: Iterable[tuple[str, KafkaRight]],
    others: Iterable[tuple[str, str]],
) -> list[PrincipalChange]:
    """``wanted``: rights by principal; ``held``: what the cluster allows; ``others``: what it has for a principal that
    no ``KafkaRight`` says (a denial, a single host, ALL), as text. Empty where all is as it should be."""
    present: dict[str, set[KafkaRight]] = {}
    for principal, right in held:
        present.setdefault(principal, set()).add(right)
    odd: dict[str, set[str]] = {}
    for principal, text in others:
        odd.setdefault(principal, set()).add(text)
    changes = []
    for principal, rights in wanted:
        has = present.get(principal, set())
        beyond = {str(right) for right in has - rights} | odd.get(principal, set())
        if rights - has or beyond:
            changes.append(PrincipalChange(principal, tuple(sorted(rights - has)), tuple(sorted(beyond))))
    return changes
