"""The stack's own parts together: Kafka, ClickHouse, topics and tables, by the API of fixtures and as a daemon."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.cli.connection import connection
from deploy.local.daemon import detach, down
from deploy.local.stack import Stack, admin_key, settings_environment
from deploy.local.stack_state import StackBusyError, lock_owner, read_state
from deploy.local.supervisor import StartError
from schemas.clickhouse.client import connect
from schemas.settings import Settings, load_settings

pytestmark = pytest.mark.integration

_PARTS = ("kafka", "clickhouse", "init")
_DETACHING = """
import sys
from pathlib import Path
from deploy.local.daemon import detach
print(detach(Path(sys.argv[1]), ports="free", processes=("clickhouse",)).pid)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Stack]:
    with Stack(folder, ports="free", processes=_PARTS, overrides={"partitions": 3}) as running:
        yield running


def produce(settings: Settings, topic: str, values: list[bytes]) -> None:
    producer = Producer({**settings.librdkafka(), "acks": "all", "enable.idempotence": True})
    failed: list[object] = []
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=lambda e, _m: failed.append(e) if e else None)
    assert producer.flush(30) == 0
    assert failed == []


def high_watermark(settings: Settings, topic: str) -> int:
    consumer = Consumer({**settings.librdkafka(), "group.id": "reader"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1])
    finally:
        consumer.close()


def test_topics_and_tables_are_there(stack: Stack) -> None:
    admin = AdminClient(stack.settings.librdkafka())
    topics = admin.list_topics(timeout=10).topics
    assert len(topics["usage.events.1"].partitions) == 3
    client = connect(stack.settings)
    tables = {row[0] for row in client.query("SHOW TABLES").result_rows}
    assert {"usage_events", "usage_records", "usage_progress"} <= tables


def test_kafka_and_clickhouse_keep_what_they_acknowledged_through_kill_9(stack: Stack) -> None:
    settings = stack.settings
    admin = AdminClient(settings.librdkafka())
    for future in admin.create_topics([NewTopic("crash", 1, 1)]).values():
        future.result(30)
    produce(settings, "crash", [b"x"] * 500)
    client = connect(settings)
    client.command("CREATE TABLE crash (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.insert("crash", [[number] for number in range(500)], column_names=["a"])
    for name in ("kafka", "clickhouse"):
        killed = stack.kill(name)
        stack.wait_ready(name, 60, not_pid=killed)
    assert high_watermark(settings, "crash") == 500
    produce(settings, "crash", [b"y"])
    assert high_watermark(settings, "crash") == 501
    assert connect(settings).command("SELECT count() FROM crash") == 500


def test_a_commands_connection_reaches_the_stack(stack: Stack, folder: Path) -> None:
    found = connection(folder=folder, environ={})
    assert found is not None
    assert settings_environment(found) == settings_environment(stack.settings)


def test_no_secret_stands_in_the_state_file(stack: Stack, folder: Path) -> None:
    key = admin_key(folder)
    assert stack.settings.admin_key.get_secret_value() == key
    assert key not in (folder / "stack.json").read_text()


def test_the_admin_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    key = admin_key(tmp_path)
    assert len(key) > 30
    assert admin_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "admin-key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["admin-key"]


def test_a_given_admin_key_is_taken_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ADMIN_KEY", "given")
    settings = Stack(tmp_path, ports="free").settings
    assert settings.admin_key.get_secret_value() == "given"
    assert not (tmp_path / "admin-key").exists()


def test_settings_survive_the_way_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Stack(tmp_path, ports="free", overrides={"namespace": "acme", "partitions": 7}).settings
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_three_brokers_keep_three_copies(tmp_path: Path) -> None:
    settings = Stack(
        tmp_path, ports="free", brokers=3, overrides={"kafka_bootstrap": "10.0.0.1:9092,10.0.0.2:9092"}
    ).settings
    assert [address.partition(":")[0] for address in settings.kafka_bootstrap.split(",")] == ["127.0.0.1"] * 3
    assert len(set(settings.kafka_bootstrap.split(","))) == 3
    assert settings.kafka_replication == 3


def test_preferred_ports_fall_back_where_somebody_listens(stack: Stack, tmp_path: Path) -> None:
    wanted = {"clickhouse_port": stack.settings.clickhouse_port, "kafka_bootstrap": stack.settings.kafka_bootstrap}
    other = Stack(tmp_path, processes=_PARTS, overrides=wanted).settings
    assert other.clickhouse_port != stack.settings.clickhouse_port
    assert other.kafka_bootstrap != stack.settings.kafka_bootstrap
    assert other.kafka_bootstrap.startswith("127.0.0.1:")


def test_the_daemon_runs_until_down(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.local.daemon", "--data-dir", str(tmp_path), "--ports", "free"]
    with subprocess.Popen([*command, "--processes", "clickhouse"], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "clickhouse: starting\n"
        assert daemon.stdout.readline() == "clickhouse: ready\n"
        state = read_state(tmp_path)
        assert state is not None
        assert state.pid == daemon.pid
        assert down(tmp_path)
        assert daemon.wait(30) == 0
    assert lock_owner(tmp_path) is None
    assert not down(tmp_path)


def test_a_detached_stack_is_ready_when_it_is_said_to_be(tmp_path: Path) -> None:
    # Captured, as $(weir up --detach) is: a daemon that kept the script's pipe would let it wait for ever.
    script = subprocess.run(
        [sys.executable, "-c", _DETACHING, tmp_path], capture_output=True, text=True, timeout=300, check=False
    )
    try:
        assert script.returncode == 0, script.stderr
        state = read_state(tmp_path)
        assert state is not None
        assert state.ready
        assert script.stdout == f"{state.pid}\n"
        settings = connection(folder=tmp_path, environ={})
        assert settings is not None
        assert connect(settings, database="default").command("SELECT 1") == 1
        with pytest.raises(StackBusyError, match=f"supervisor pid {state.pid}"):
            detach(tmp_path, ports="free", processes=("clickhouse",))
    finally:
        assert down(tmp_path)
    assert read_state(tmp_path) is None


def test_a_detached_stack_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").write_text("not a folder")
    with pytest.raises(StartError, match="clickhouse died 5 times"):
        detach(tmp_path, ports="free", processes=("clickhouse",))
    assert lock_owner(tmp_path) is None
