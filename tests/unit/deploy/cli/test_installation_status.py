"""`weir status` by settings alone: which installation is meant, and what is said of it."""

from __future__ import annotations

from deploy.cli.connection import base_url, names_installation
from deploy.cli.operation.installation_status import ReadyAnswer, StoreStanding, process_lines, store_lines
from schemas.health.readiness import UnreadyReason
from schemas.kafka.replica_health import ReplicaHealth
from schemas.settings import Settings

WHOLE = StoreStanding("k:9092", "ch:8123/weir", "25.8", ReplicaHealth(3, (), ()), (), (), ())


def test_variables_that_say_what_the_local_stack_says_mean_the_local_stack() -> None:
    local = {"WEIR_KAFKA_BOOTSTRAP": "127.0.0.1:9092", "WEIR_CLICKHOUSE_PORT": "8123"}
    assert not names_installation({}, local)
    assert not names_installation(local | {"WEIR_GATEWAY_PORT": "9999", "WEIR_RATING_URL": ""}, local)
    assert names_installation({"WEIR_KAFKA_BOOTSTRAP": "kafka-1:9092"}, local)
    assert names_installation({"WEIR_RATING_URL": "https://rating"}, local)
    assert names_installation(local, {})


def test_an_address_that_stands_for_all_is_asked_on_this_machine() -> None:
    bound = Settings(gateway_host="0.0.0.0", rating_host="::")
    assert (base_url(bound, "gateway"), base_url(bound, "rating")) == ("http://127.0.0.1:8080", "http://[::1]:8081")


def test_what_is_missing_is_said_with_its_remedy() -> None:
    reason = UnreadyReason("balancing", "partitions are being given out", "wait", refuses=False, lasting=False)
    answers = [
        ReadyAnswer("gateway", "http://g", ""),
        ReadyAnswer("rating", "http://r", "does not answer (refused)"),
        ReadyAnswer("http://w", "http://w", "", (reason,)),
        ReadyAnswer("http://h", "http://h", ""),
    ]
    assert list(process_lines(answers)) == [
        "gateway http://g: ready",
        "rating http://r: does not answer (refused)",
        "http://w is not ready: partitions are being given out; wait",
        "http://h: ready",
    ]
    assert WHOLE.ready
    assert list(store_lines(WHOLE)) == ["Kafka k:9092: 3 brokers", "ClickHouse ch:8123/weir: version 25.8"]
    places = tuple(f"usage.events.1/{number}" for number in range(7))
    replicas = ReplicaHealth(1, ("usage.clock/0",), places)
    lacking = ("usage.topups: partitions 1",)
    broken = StoreStanding("k:9092", "ch:8123/weir", None, replicas, lacking, None, ("ClickHouse: refused",))
    assert not broken.ready
    assert list(store_lines(broken)) == [
        "Kafka k:9092: 1 brokers",
        "  1 partitions without a leader: they take and give nothing until a broker that has them is back:"
        " usage.clock/0",
        "  7 partitions with fewer replicas in sync than they have: "
        "usage.events.1/0, usage.events.1/1, usage.events.1/2, usage.events.1/3, usage.events.1/4 and 2 more",
        "  ClickHouse: refused",
        "  `weir init` has 1 changes of topics to make; `weir init --check` lists them",
    ]
    assert next(iter(store_lines(None))).startswith("Kafka and ClickHouse were not asked")
