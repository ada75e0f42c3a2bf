"""A log that is not the metered one: it waits, nothing of it is taken for another, and every named remedy is tried."""

from __future__ import annotations

import re
import signal
from datetime import datetime

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.catalog.follower import catalog_end
from schemas.clickhouse.client import connect
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.events.identity import content_hash, identity
from schemas.kafka.topics import create_topics, events_topic
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.usage_log.acknowledged import Acknowledged
from schemas.usage_log.continuity import read_cursors
from schemas.usage_log.generation_change import end_offsets
from schemas.usage_log.generation_recovery import recover_generation
from schemas.values.instants import micros
from tests.integration.faults.fault_rig import CATALOG, Rig, events
from tests.integration.world import World

pytestmark = pytest.mark.integration


def test_a_log_that_begins_above_its_cursor_waits_until_its_records_are_given_up_by_name(rig: Rig) -> None:
    world = rig.world()
    world.apply(**CATALOG)
    events(world, 1)
    world.metered()
    rig.stack.send_signal("worker-0", signal.SIGSTOP)
    events(world, 2, first=10)
    events(world, 3, first=11)
    [(_, end)] = end_offsets(world.settings).items()
    topic = TopicPartition(events_topic(1), 0, end)
    admin = AdminClient(world.settings.librdkafka())  # kept: without it its futures are never done
    [done] = admin.delete_records([topic], request_timeout=30).values()
    assert done.result(timeout=30).low_watermark == end
    killed = rig.stack.kill("worker-0")  # it may have read them already
    rig.stack.wait_ready("worker-0", 60, not_pid=killed)
    restarts = rig.stack.state().processes["worker-0"].restarts
    rig.wait(lambda: "log_begins_above_cursor" in rig.reasons("worker-0"))
    told = rig.weir(world, "log", "show", code=1)
    command = re.search(r"`weir (log give-up [^`]*) --reason …`", told)
    assert command is not None, told
    status = rig.status()
    assert any(line.startswith("worker-0 needs you: ") and command[0] in line for line in status), status
    assert not any("takes no events" in line for line in status), status
    rig.wait(lambda: acknowledged(world) == 3)
    # Acknowledged after what was lost and before that is given up, and merged: none of it counts as lost.
    events(world, 4, first=20)
    rig.wait(lambda: acknowledged(world) == 4)
    client = connect(world.settings)
    client.command("OPTIMIZE TABLE acknowledged_records FINAL")
    client.close()
    start, stop = int(command[1].split()[-3]), int(command[1].split()[-1])
    place = ("log", "give-up", "--reason", "retention had passed", "--author", "Ada", "--partition")
    for wrong, why in (
        (("1", "--from", str(start), "--to", str(stop)), "no partition 1"),
        (("0", "--from", str(start), "--to", str(stop + 1)), "the log has offsets"),
        (("0", "--from", str(start), "--to", str(stop + 9)), "the log has offsets"),
        (("0", "--from", str(stop + 1), "--to", str(stop + 9)), "still to come"),
        (("0", "--from", str(start + 1), "--to", str(stop)), f"--from {start}"),
        (("0", "--from", str(start), "--to", str(start)), "must lie above"),
    ):
        assert why in rig.weir(world, *place, *wrong, code=2), wrong
    given = (*place, "0", "--from", str(start), "--to", str(stop))
    assert f"2 acknowledged events among them (2 of {world.namespace});" in rig.weir(world, *given)
    assert "nothing is written" in rig.weir(world, *given)
    world.metered()
    rig.wait(lambda: "log_begins_above_cursor" not in rig.reasons("worker-0"))
    assert world.usage("m", start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z")[0]["quantity"] == "2"
    assert "by Ada at" in rig.weir(world, "log", "show")
    rig.wait(lambda: world.books()["given_up"] == 2)  # what was given up is copied for the books a moment later
    books = world.books()
    assert (books["balanced"], books["given_up"], books["lost"], books["accepted"]) == (True, 2, 0, 2)
    assert world.differences() == []
    assert rig.stack.state().processes["worker-0"].restarts == restarts


def test_another_log_under_the_same_name_takes_nothing_and_what_it_holds_is_carried_over(rig: Rig) -> None:
    world = rig.world()
    world.apply(**CATALOG)
    events(world, 1, 2, 3)
    world.metered()
    # Acknowledged while nobody meters, so the log that is deleted is the only place where they are.
    rig.stack.send_signal("worker-0", signal.SIGSTOP)
    events(world, 4, first=10)
    events(world, 6, first=11)
    rig.wait(lambda: acknowledged(world) == 5)
    topic = events_topic(1)
    admin = AdminClient(world.settings.librdkafka())
    [deleted] = admin.delete_topics([topic]).values()
    deleted.result(timeout=30)
    rig.wait(lambda: topic in create_topics(world.settings))
    rig.stack.kill("worker-0")  # it may have read them already
    # As a gateway may have written that had not looked yet.
    [late, *taken] = batches(world, "2026-01-09", *["2026-02-09"] * 12)
    rig.wait(lambda: appended(world, topic, late))
    # Events flow meanwhile: what is acknowledged is metered, and they do not keep the gateway from seeing it.
    answers = until_refused(rig, world)
    rig.wait(lambda: "log_replaced" in rig.reasons("worker-0"))
    # Of what a gateway had taken by then the worker meters nothing before it is carried over, and then all of it.
    rig.stack.send_signal("worker-0", signal.SIGSTOP)
    client = connect(world.settings)
    counted = Acknowledged("gateway")
    placed = LedgerWriter(world.settings, topic).append_all([(b"", batch) for batch in taken], 0)
    for partition, offset in placed:
        counted.add(world.namespace, 1, partition, offset, 1)
    counted.write(lambda: client)

    def interrupted_after(line: str) -> None:
        if "are carried over" in line:
            rig.stack.send_signal("worker-0", signal.SIGCONT)
            rig.wait(lambda: read_cursors(world.settings, 1)[0] > placed[-1][1])
            raise InterruptedError(line)

    with pytest.raises(InterruptedError, match="are carried over"):
        recover_generation(world.settings, client, interrupted_after)
    assert "carried over" in rig.weir(world, "generation", "recover")
    rig.wait(lambda: not rig.reasons("gateway"))
    events(world, 5, first=30)
    world.metered()
    assert world.usage("m", start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z")[0]["quantity"] == "5"
    keys = {key for (key,) in world.rows("SELECT idempotency_key FROM usage_events WHERE namespace = {n:String}")}
    assert {key for key, status in answers.items() if status == 202} <= keys
    # As a gateway counts that took a record at an offset which was metered, into another log that is gone as well.
    [(offset,)] = world.rows("SELECT max(offset) FROM usage_batches WHERE namespace = {n:String} AND generation = 1")
    counted.add(world.namespace, 1, 0, offset, 7)
    counted.write(lambda: client)
    client.close()
    [told] = [line for line in world.differences() if line.startswith("acknowledged")]
    assert told.count("`weir generation recover`") == 0, told  # of a generation that is over
    commands = re.findall(r"`weir (log give-up [^`]*) --reason …`", told)
    assert commands, told
    for command in commands:
        assert "acknowledged events among them" in rig.weir(
            world, *command.split(), "--reason", "the topic was made anew"
        )
        assert "nothing is written" in rig.weir(world, *command.split(), "--reason", "the topic was made anew")
    rig.wait(lambda: world.books()["given_up"] == 9)  # what the other log took is metered, and none of it given up
    assert (world.books()["balanced"], world.books()["lost"]) == (True, 0)
    assert world.differences() == []
    assert "nothing to recover" in rig.weir(world, "generation", "recover", code=1)


def batches(world: World, *days: str) -> list[bytes]:
    """Packed batches of one event of n = 1 on each day."""
    packed: list[bytes] = []
    for number, day in enumerate(days):
        key = f"{world.namespace}-late-{number}"
        digests = identity(world.namespace, "", key), content_hash("e", "a", b'{"n": 1}')
        at = micros(datetime.fromisoformat(f"{day}T00:00:00+00:00"))
        event = AcceptedEvent(*digests, "e", "a", key, "", at, '{"n": 1}')
        packed.append(encode_batch(world.namespace, catalog_end(world.settings), [event]))
    return packed


def until_refused(rig: Rig, world: World) -> dict[str, int]:
    """What events of another month are answered, key → status, until the gateway says that the log was replaced."""
    answers: dict[str, int] = {}

    def refused() -> bool:
        key = f"{world.namespace}-another-{len(answers)}"
        event = {"event_name": "e", "account_id": "a", "idempotency_key": key, "properties": {"n": 1}}
        answer = world.post([event | {"timestamp": "2026-02-09T12:00:00Z"}])
        answers[key] = answer.status_code
        return answer.status_code == 503 and answer.json().get("cause") == "log_replaced"

    rig.wait(refused)
    return answers


def acknowledged(world: World) -> int:
    """Events that the gateway says it has acknowledged."""
    [(count,)] = world.rows("SELECT sum(arraySum(events)) FROM acknowledged_records FINAL WHERE namespace = {n:String}")
    return int(count)


def appended(world: World, topic: str, batch: bytes) -> bool:
    """Whether the new topic takes it yet."""
    try:
        LedgerWriter(world.settings, topic).append_all([(b"", batch)], 0)
    except LedgerUnavailable:
        return False
    return True
