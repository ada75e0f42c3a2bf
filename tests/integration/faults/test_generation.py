"""A change of generation under load, on a stack of its own: nothing lost, nothing double, and no process started by
hand; then a restart of that stack on other ports."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.stack import ALL, Stack
from schemas.usage_log.generation_change import read_generations
from tests.integration.world import World, books_of, declare

pytestmark = pytest.mark.integration

METER = {"code": "m", "event_name": "e", "profiles": [{"code": "sum", "aggregation": "sum", "property": ["v"]}]}
DAY = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}


def event(number: int) -> dict[str, Any]:
    return {
        "event_name": "e", "account_id": f"a{number % 3}", "idempotency_key": f"{number:06}",
        "timestamp": "2026-05-04T12:00:00Z", "properties": {"v": number},
    }  # fmt: skip


def test_events_go_on_into_another_number_of_partitions_and_a_restart_on_other_ports_keeps_them(
    tmp_path: Path, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ("kafka", "clickhouse", "init", "gateway", "worker")
    overrides = {"partitions": 2, "flush_seconds": 0.2}
    with Stack(tmp_path / "data", ports="free", processes=kinds, overrides=overrides) as stack:
        world = World(stack.settings, "moved", wait_until)
        declare(stack.settings, {"namespace": {"code": "moved", "max_event_age_seconds": None}, "meters": [METER]})
        stop, sent = threading.Event(), 0
        acknowledged: Counter[int] = Counter()

        def produce() -> None:
            nonlocal sent
            with world.producer(deadline=60) as producer:
                while not stop.is_set():
                    numbers = range(sent, sent + 50)
                    producer.send([event(number) for number in numbers])  # raises where not all are acknowledged
                    acknowledged.update(numbers)
                    sent += 50

        thread = threading.Thread(target=produce)
        thread.start()
        try:
            wait_until(lambda: sent >= 500)
            for name in ("WEIR_DATA_DIR", "WEIR_NAMESPACE"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("WEIR_DATA_DIR", str(stack.data_dir))
            worker = stack.pid("worker-0")
            weir = CliRunner()
            done = weir.invoke(app, ["generation", "change", "--partitions", "3"])
            assert done.exit_code == 0, done.output
            moved_at = sent
            wait_until(lambda: sent >= moved_at + 500)
            stack.wait_ready("worker-0", 60, not_pid=worker)
        finally:
            stop.set()
            thread.join(60)
        # What was acknowledged by the old generation comes once more, to the new one.
        world.send([event(number) for number in range(300)])
        world.metered()
        state = read_generations(stack.settings)
        assert state.writable(1) is not None
        assert sum(state.ends[1]) > 0
        counts = dict(
            world.rows(
                "SELECT generation, count() FROM usage_events FINAL WHERE namespace = {n:String} GROUP BY generation"
            )
        )
        assert set(counts) == {1, 2}
        assert max(acknowledged.values()) == 1
        rows = world.rows(
            "SELECT account_id, sum(quantity) FROM usage_records FINAL WHERE namespace = {n:String} GROUP BY account_id"
        )
        totals = {account: int(quantity) for account, quantity in rows}
        assert totals == {f"a{rest}": sum(number for number in acknowledged if number % 3 == rest) for rest in range(3)}
        books = world.books()
        books_of(
            books,
            accepted=books["accepted"],
            metered=len(acknowledged),
            duplicates=books["accepted"] - len(acknowledged),
        )
        assert books["duplicates"] >= 300
        assert world.differences() == []
        # The old topic is closed for good, whoever tries.
        refused: list[Any] = []
        late = Producer(stack.settings.librdkafka() | {"log_level": 2})
        late.produce(
            "usage.events.1", value=b"late", partition=0, on_delivery=lambda error, _: refused.append(error.code())
        )
        assert late.flush(20) == 0
        assert refused == [KafkaError.MSG_SIZE_TOO_LARGE]
        again = weir.invoke(app, ["generation", "change", "--partitions", "3"])
        assert again.exit_code != 0
        assert weir.invoke(app, ["generation", "show"]).exit_code == 0
        world.disconnect()

    whole = tuple(kind for kind in ALL if kind != "webhooks")
    with Stack(tmp_path / "data", ports="free", processes=whole, overrides=overrides) as restarted:
        assert restarted.settings.kafka_bootstrap != stack.settings.kafka_bootstrap
        world = World(restarted.settings, "moved", wait_until)
        world.send([event(number) for number in range(500)])
        world.metered()
        counts = {name: books[name] for name in ("accepted", "metered", "duplicates")}
        books_of(world.books(), **counts | {name: counts[name] + 500 for name in ("accepted", "duplicates")})
        assert {row["account_id"]: int(row["quantity"]) for row in world.usage("m.sum", **DAY)} == totals
        world.disconnect()
