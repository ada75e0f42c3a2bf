"""Classifies Kafka errors for retry loops.

may pass           a broker is away or a queue is full: retry the record later
not this record    it is too large or malformed: it is rejected with the reason, or refused with 422
cannot go on       nothing helps until somebody changes something: the process stops or reports it, with the remedy
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import Meaning, WeirError

_NOT_THIS_RECORD: Final = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD}
)
_REMEDIES: Final[dict[int, str]] = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "give WEIR_KAFKA_SASL_USERNAME the rights to read, write and describe "
    "this topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "give WEIR_KAFKA_SASL_USERNAME the rights to read with its consumer "
    "groups (weir-*)",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "give WEIR_KAFKA_SASL_USERNAME the right IdempotentWrite on the cluster",
    KafkaError.SASL_AUTHENTICATION_FAILED: "look at WEIR_KAFKA_SASL_MECHANISM, _USERNAME and _PASSWORD",
    KafkaError._AUTHENTICATION: "look at WEIR_KAFKA_SASL_MECHANISM, _USERNAME and _PASSWORD",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "look at WEIR_KAFKA_SASL_MECHANISM",
    KafkaError.UNSUPPORTED_VERSION: "Weir needs Kafka 3.7 or later",
    KafkaError.INVALID_REQUIRED_ACKS: "the brokers must accept acks=all",
    KafkaError.POLICY_VIOLATION: "a policy of the brokers forbids it; look at their log",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic is not there; `weir init` creates it, or create it as "
    "schemas/README.md says",
    KafkaError._UNKNOWN_TOPIC: "the topic is not there; `weir init` creates it, or create it as schemas/README.md says",
    KafkaError._UNKNOWN_PARTITION: "the topic has fewer partitions than the catalog says; it was made anew: restore it",
    KafkaError._INVALID_ARG: "a setting of Kafka is wrong; look at WEIR_KAFKA_*",
}


class RecordRefused(WeirError):
    """Kafka will never accept this record. ``size``: bytes of its value; ``limit``: the topic's limit in bytes."""

    def __init__(self, topic: str, size: int, limit: int, detail: str = "too large") -> None:
        super().__init__(
            f"{topic}: a record of {size} bytes is refused ({detail}); records have up to {limit} bytes there"
        )
        self.topic, self.size, self.limit = topic, size, limit


def meaning(error: KafkaError) -> Meaning:
    """Classify ``error``; unknown errors may pass."""
    if error.code() in _NOT_THIS_RECORD:
        return "not this record"
    return "cannot go on" if error.code() in _REMEDIES else "may pass"


def explained(error: KafkaError) -> str:
    """The error's text, with the remedy if it needs somebody."""
    remedy = _REMEDIES.get(error.code())
    return f"{error.str()}; {remedy}" if remedy else str(error.str())


def kafka_error(error: BaseException) -> KafkaError | None:
    """The KafkaError in an exception of the client; None for other exceptions."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None
