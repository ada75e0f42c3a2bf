"""Errors told apart: what may pass, what cannot for this record, and what nobody's repetition mends."""

from __future__ import annotations

import ast
import builtins

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from confluent_kafka import KafkaError, KafkaException

from schemas.clickhouse import errors
from schemas.kafka import errors as kafka_errors
from tests.trees import all_nodes


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, "not this record"),
        (KafkaError.RECORD_LIST_TOO_LARGE, "not this record"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "cannot go on"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, "cannot go on"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "cannot go on"),
        (KafkaError._TIMED_OUT, "may pass"),
        (KafkaError.NOT_ENOUGH_REPLICAS, "may pass"),
        (KafkaError._ALL_BROKERS_DOWN, "may pass"),
        (KafkaError.UNKNOWN, "may pass"),
    ],
)
def test_errors_of_kafka(code: int, meaning: str) -> None:
    error = KafkaError(code)
    assert kafka_errors.meaning(error) == meaning
    assert ("; " in kafka_errors.explained(error)) == (meaning == "cannot go on")
    assert kafka_errors.kafka_error(KafkaException(error)) is error
    assert kafka_errors.kafka_error(ValueError(error)) is None


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("HTTPDriver for http://x returned response code 404\n Code: 60. DB::Exception: Unknown table", "cannot go on"),
        ("Code: 497. DB::Exception: default: Not enough privileges", "cannot go on"),
        ("Code: 469. DB::Exception: Constraint is violated", "not this record"),
        ("Code: 407. DB::Exception: Decimal math overflow", "not this record"),
        ("Code: 241. DB::Exception: Memory limit exceeded", "may pass"),
        ("Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space", "may pass"),
        ("Code: 252. DB::Exception: Too many parts", "may pass"),
        ("Connection refused", "may pass"),
        ("", "may pass"),
    ],
)
def test_errors_of_clickhouse(text: str, meaning: str) -> None:
    error = DatabaseError(text)
    assert errors.meaning(error) == meaning
    explained = errors.explained(error)
    assert "\n" not in explained
    assert ("; " in explained) == (meaning != "may pass")


SIGNALS = {"Ended", "Stopping", "QueryStopped", "_Beyond", "RefusedByChecks", "TooMuch", "Busy", "NotLoggedIn"}
"""What only steers the code between two functions of ours."""


def test_every_exception_of_weir_is_of_one_family() -> None:
    outside = set()
    for _, node in all_nodes():
        if isinstance(node, ast.ClassDef):
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            builtin = [base for base in bases if isinstance(getattr(builtins, base, None), type)]
            exception = any(issubclass(getattr(builtins, base), BaseException) for base in builtin)
            if exception and "WeirError" not in bases:
                outside.add(node.name)
    assert outside == SIGNALS | {"WeirError"}
