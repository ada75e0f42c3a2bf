"""What a cluster lacks of the rights of Weir's processes."""

from __future__ import annotations

import pytest

from schemas.kafka.topics import INVOICES
from schemas.rights.kafka_roles import KAFKA_ROLES, KafkaRight, kafka_rights, principal_changes
from schemas.rights.rights_document import KafkaPrincipal

GATEWAY = kafka_rights("gateway")


def test_nothing_changes_where_all_is_there() -> None:
    held = [("User:g", right) for right in GATEWAY] + [("User:other", right) for right in kafka_rights("worker")]
    assert principal_changes([("User:g", GATEWAY)], held, []) == []


def test_what_is_missing_and_what_is_too_much_are_both_said() -> None:
    right = KafkaRight("TOPIC", INVOICES, False, "WRITE")
    missing = min(GATEWAY)
    held = [("User:g", item) for item in {*GATEWAY, right} - {missing}]
    [change] = principal_changes([("User:g", GATEWAY)], held, [("User:g", "DENY READ on topic a")])
    assert change.missing == (missing,)
    assert change.beyond == ("DENY READ on topic a", f"WRITE on topic {INVOICES}")


def test_no_role_but_workers_and_rating_reads_what_tenants_sent() -> None:
    readers = {
        role
        for role in KAFKA_ROLES
        for right in kafka_rights(role, ["a"])
        if right.resource == "TOPIC" and right.operation == "READ" and right.prefixed
    }
    assert readers == {"worker", "rating"}


def test_a_producer_writes_to_its_inboxes_alone() -> None:
    assert {str(right) for right in kafka_rights("producer", ["shop"])} == {
        "WRITE on topic usage.inbox.shop",
        "DESCRIBE on topic usage.inbox.shop",
    }
    for role, namespaces in (("producer", None), ("worker", ("a",))):
        with pytest.raises(ValueError, match="namespaces is for producers"):
            KafkaPrincipal(name="User:a", role=role, namespaces=namespaces)  # type: ignore[arg-type]
