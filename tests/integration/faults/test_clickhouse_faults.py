"""ClickHouse restored from an older copy, a part that is damaged, a log that is not the one that was metered: each on a
stack of its own, whose ClickHouse starts and stops by itself. What was acknowledged counts, bills are right, and every
remedy that is named is tried.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.cli.operation.not_ready import lines, reasons_not_ready
from deploy.local.ports import free_port
from deploy.local.probes import reasons_of
from deploy.local.stack import Stack, settings_environment
from rating.invoices.waiting import CloseError
from schemas.catalog.follower import catalog_end
from schemas.clickhouse.client import connect
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.events.identity import content_hash, identity
from schemas.kafka.topics import create_topics, events_topic
from schemas.ledgers.transport import LedgerUnavailable, LedgerWriter
from schemas.usage_log.acknowledged import Acknowledged
from schemas.usage_log.generation_change import end_offsets
from schemas.values.instants import micros
from tests.integration.world import World, declare

pytestmark = pytest.mark.integration

METER = {"code": "m", "event_name": "e", "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]}]}
CATALOG: dict[str, Any] = {
    "meters": [METER],
    "products": [{"code": "n", "profile": "m.n"}],
    "plans": [
        {
            "code": "p",
            "currency": "USD",
            "charges": [{"product": "n", "price": {"model": "per_unit", "unit_amount": "1"}}],
        }
    ],
    "accounts": [{"code": "a"}],
    "subscriptions": [{"code": "s", "account": "a", "plan": "p", "start": "2026-01-01"}],
}


@dataclass
class Rig:
    """A stack, and beside it the ClickHouse that it uses."""

    folder: Path
    wait: Callable[..., Any]
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.clickhouse = self.start_clickhouse()
        overrides = self.clickhouse.settings.model_dump(
            include={"clickhouse_host", "clickhouse_port", "clickhouse_password"}
        )
        overrides |= {"checkpoint_seconds": 5, "close_schedule_seconds": 0, "partitions": 1}
        kinds = ("kafka", "init", "gateway", "worker", "rating")
        self.stack = Stack(self.folder / "stack", ports="free", processes=kinds, overrides=overrides)
        self.stack.start()

    def start_clickhouse(self) -> Stack:
        """On the port and the folder that it always had."""
        self.clickhouse = Stack(
            self.folder, ports="preferred", processes=("clickhouse",), overrides={"clickhouse_port": self.port}
        )
        self.clickhouse.start()
        return self.clickhouse

    @property
    def data(self) -> Path:
        """ClickHouse's own folder; it has to be down."""
        return self.folder / "clickhouse"

    def snapshot(self, copy: Path) -> None:
        """Copy the folder of ClickHouse while it stands still, as a snapshot of a disk does."""
        self.clickhouse.send_signal("clickhouse", signal.SIGSTOP)
        try:
            shutil.copytree(self.data, copy, symlinks=True)
        finally:
            self.clickhouse.send_signal("clickhouse", signal.SIGCONT)

    def damage(self, *tables: str) -> None:
        """Cut the newest part of each table short while ClickHouse is down."""
        client = connect(self.stack.settings)
        sql = (
            "SELECT path FROM system.parts WHERE table = {t:String} AND active ORDER BY modification_time "
            "DESC, max_block_number DESC LIMIT 1"
        )
        paths = [client.query(sql, parameters={"t": table}).result_rows[0][0] for table in tables]
        client.close()
        self.clickhouse.stop()
        for path in paths:
            with (Path(path) / "data.bin").open("r+b") as file:
                file.truncate(20)
        self.start_clickhouse()

    def weir(self, world: World, *arguments: str, code: int = 0) -> str:
        """The command, as a person runs it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
        environment = clean | settings_environment(world.settings)
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli.main", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def status(self) -> list[str]:
        """What `weir status` says of services that are not as they should be."""
        return list(lines(reasons_not_ready(self.stack.state())))

    def reasons(self, process: str) -> list[str]:
        """Names of what keeps a process from being ready."""
        ports = self.stack.state().processes[process].ports
        return [reason.name for reason in reasons_of("127.0.0.1", next(iter(ports.values()))) or ()]

    def world(self) -> World:
        """A namespace of its own."""
        code = f"t{uuid.uuid4().hex[:12]}"
        declare(self.stack.settings, {"namespace": {"code": code, "max_event_age_seconds": None}})
        return World(self.stack.settings, code, self.wait)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    def wait(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {timeout:g} s"
            time.sleep(0.05)
        return value

    made = Rig(tmp_path_factory.mktemp("faults"), wait)
    yield made
    made.stack.stop()
    made.clickhouse.stop()


def events(world: World, *days: int, first: int = 0) -> None:
    """One event of n = 1 a day of January."""
    world.send(
        [
            {
                "event_name": "e", "account_id": "a", "idempotency_key": f"{world.namespace}-{first + number}",
                "timestamp": f"2026-01-{day:02d}T12:00:00Z", "properties": {"n": 1},
            }
            for number, day in enumerate(days)
        ]
    )  # fmt: skip


BACKFILLED: dict[str, Any] = METER | {"code": "b", "start": "2026-01-02T00:00:00Z"}


def of_january(world: World, metric: str) -> str:
    """The quantity of the one account."""
    [row] = world.usage(metric, start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z")
    return str(row["quantity"])


def backfills_done(world: World) -> bool:
    """Whether every backfill of the namespace counts."""
    with world.http("rating") as client:
        states = [one["state"] for one in client.get("/v1/backfills").json()["backfills"]]
    return bool(states) and set(states) == {"done"}


def test_a_clickhouse_that_is_restored_from_an_older_copy_gets_everything_again_without_traffic(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = rig.world()
    world.apply(**CATALOG)
    events(world, 1, 2, 3)
    world.metered()
    copy = rig.folder / "copy"
    rig.snapshot(copy)
    events(world, 4, 5, first=10)
    world.apply(meters=[BACKFILLED])
    [invoice] = world.close("2026-02-10T00:00:00+00:00").invoices
    assert invoice.total == "5.00"
    with world.http("rating") as client:
        paid = client.post(f"/v1/invoices/{invoice.invoice_id}/payments", json={"amount": "5.00", "reference": "r1"})
        assert paid.is_success, paid.text
    rig.wait(lambda: world.invoices()[0]["state"] == "paid")
    rig.wait(lambda: backfills_done(world))
    assert of_january(world, "b.n") == "4"
    # Beneath a worker that goes on: it sees that ClickHouse has less, and begins anew from what is there.
    began = rig.stack.state().processes["worker-0"].pid
    rig.clickhouse.stop()
    shutil.rmtree(rig.data)
    shutil.copytree(copy, rig.data, symlinks=True)
    rig.start_clickhouse()
    rig.stack.wait_ready("worker-0", 60, not_pid=began)
    # Copies of ledgers too: no record of theirs comes.
    rig.wait(lambda: [one["state"] for one in world.invoices()] == ["paid"])
    world.metered()
    assert of_january(world, "m.n") == "5"
    assert world.close("2026-02-10T00:00:00+00:00").invoices == ()
    assert [one["total"] for one in world.invoices()] == ["5.00"]
    # The backfill came after the copy, so nothing of it was staged there.
    rig.wait(lambda: of_january(world, "b.n") == "4")
    rig.wait(lambda: not world.differences())
    assert world.books()["balanced"]
    # Copies that differ, and the command that verify names; what only ClickHouse has may be a payment, and is kept.
    client = connect(world.settings)
    for statement in (
        "DELETE FROM invoice_lines WHERE namespace = {n:String}",
        "DELETE FROM usage_windows WHERE namespace = {n:String} AND NOT backfilled",
        "DELETE FROM usage_records WHERE namespace = {n:String} AND checkpoint > 0",
    ):
        client.command(statement, parameters={"n": world.namespace})
    told = "\n".join(world.differences())
    assert "`weir copies rebuild invoices`" in told
    assert "`weir copies rebuild windows`" in told
    assert re.search("0 records, but 4 in its windows[^\\n]*`weir replay --damaged` counts it again", told)
    monkeypatch.setattr("rating.close.complete_rows._PATIENCE_SECONDS", 0.0)
    with pytest.raises(CloseError, match=r"what backfills counted is missing.*`weir replay --damaged`"):
        world.close("2026-03-10T00:00:00+00:00")
    assert re.search(r"backfill \S+/b/1, checkpoint \d+: counted again", rig.weir(world, "replay", "--damaged"))
    assert rig.weir(world, "replay", "--damaged").strip() == "nothing is missing"
    rig.weir(world, "copies", "rebuild")
    rig.weir(world, "copies", "rebuild", "windows")
    assert world.differences() == []
    assert of_january(world, "b.n") == "4"
    client.command(
        "INSERT INTO invoices SELECT * REPLACE (version + 1 AS version) FROM invoices FINAL WHERE namespace = "
        "{n:String} ORDER BY version DESC LIMIT 1",
        parameters={"n": world.namespace},
    )
    client.close()
    assert "weir invoice pay" in "\n".join(world.differences())
    assert "kept: version" in rig.weir(world, "copies", "rebuild", "invoices", code=1)


def remedies(world: World, *, of: str) -> set[str]:
    """The replays that verify names for differences of one kind."""
    told = [line for line in world.differences() if line.startswith(of)]
    return {found for line in told for found in re.findall(r"`weir (replay [^`]*)`", line)}


def test_a_damaged_part_is_noticed_bills_nothing_and_is_written_again_from_the_log(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = rig.world()
    world.apply(**CATALOG)
    events(world, 1, 2, 3)
    world.metered()
    events(world, 4, 5, first=10)
    world.metered()
    rig.damage("usage_records", "usage_identities")
    rig.wait(lambda: "parts_set_aside" in rig.reasons("worker-0"))
    with pytest.raises(CloseError, match="rows are missing"):
        world.close("2026-02-10T00:00:00+00:00")
    told = [line for line in world.differences() if line.startswith("completeness")]
    [command] = remedies(world, of="completeness")
    assert any("2 rows in usage_records" in line for line in told), told
    assert any("usage_identities" in line for line in told), told
    # Without the store of deduplication nothing is decided, so that no copy counts.
    events(world, 5, 6, 7, first=11)
    assert "2 events and 0 duplicates written again, 0 rows removed" in rig.weir(world, *command.split())
    assert rig.weir(world, "replay", "--damaged").strip() == "nothing is missing"
    rig.wait(lambda: "parts_set_aside" not in rig.reasons("worker-0"))
    void(world, 1)
    world.metered()
    # What voids did, damaged alone: it would bill an event that was taken back.
    rig.damage("voided_events")
    rig.wait(lambda: "parts_set_aside" in rig.reasons("worker-0"))
    with pytest.raises(CloseError, match=r"parts of voided_events aside.*`weir replay --damaged`"):
        world.close("2026-02-10T00:00:00+00:00")
    [command] = remedies(world, of="voided event")
    assert remedies(world, of="completeness") == {command}
    assert "0 events and 0 duplicates written again, 0 rows removed" in rig.weir(world, "replay", "--damaged")
    rig.wait(lambda: "parts_set_aside" not in rig.reasons("worker-0"))
    [invoice] = world.close("2026-02-10T00:00:00+00:00").invoices
    assert invoice.total == "6.00"
    assert world.books()["duplicates"] == 1
    # Rows that no single pass over the log writes are deleted, wherever they stand: an event, and what no void did.
    [(offset,)] = world.rows("SELECT max(offset) FROM usage_events WHERE namespace = {n:String}")
    client = connect(world.settings)
    client.command(
        "INSERT INTO usage_events SELECT * REPLACE (`index` + 100 AS `index`) FROM usage_events FINAL"
        " WHERE namespace = {n:String} AND offset = {o:UInt64} LIMIT 1",
        parameters={"n": world.namespace, "o": offset},
    )
    replay = ("replay", "--partition", "0", "--from", str(offset))
    for removed in (3, 0):  # of the journal, of the identities, of the records
        assert f"written again, {removed} rows removed" in rig.weir(world, *replay)
    # The same event by an earlier void that the log does not have, and another event.
    for columns in ("offset AS void_offset", "`index` + 1 AS `index`, offset AS void_offset"):
        client.command(
            f"INSERT INTO voided_events SELECT * REPLACE ({columns}) FROM voided_events FINAL WHERE namespace = "
            "{n:String}",
            parameters={"n": world.namespace},
        )
    client.close()
    monkeypatch.setattr("rating.close.complete_rows._PATIENCE_SECONDS", 0.0)
    with pytest.raises(CloseError, match="voids in voided_events or rejected_events"):
        world.close("2026-03-10T00:00:00+00:00")
    for command in re.findall(r"`weir (replay [^`]*)`", "\n".join(world.differences())):
        rig.weir(world, *command.split())
    assert of_january(world, "m.n") == "6"
    assert world.differences() == []


def void(world: World, number: int) -> None:
    """Take back the event that ``events`` gave this number."""
    with world.http("gateway") as client:
        taken = client.post(f"/v1/events/{world.namespace}-{number}/void", json={"reason": "a test"})
    assert taken.is_success, taken.text


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
    key = f"{world.namespace}-20"
    late = AcceptedEvent(
        identity(world.namespace, "", key),
        content_hash("e", "a", b'{"n": 1}'),
        "e",
        "a",
        key,
        "",
        micros(datetime(2026, 1, 9, tzinfo=UTC)),
        '{"n": 1}',
    )
    batch = encode_batch(world.namespace, catalog_end(world.settings), [late])
    rig.wait(lambda: appended(world, topic, batch))
    rig.wait(lambda: "log_replaced" in rig.reasons("gateway") and "log_replaced" in rig.reasons("worker-0"))
    refused = world.post([{"event_name": "e", "account_id": "a", "idempotency_key": "x", "properties": {"n": 1}}])
    assert (refused.status_code, refused.json()["cause"]) == (503, "log_replaced")
    assert "carried over" in rig.weir(world, "generation", "recover")
    rig.wait(lambda: not rig.reasons("gateway"))
    events(world, 5, first=30)
    world.metered()
    assert world.usage("m", start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z")[0]["quantity"] == "5"
    # As a gateway counts that took a record at an offset which was metered, into another log that is gone as well.
    [(offset,)] = world.rows("SELECT max(offset) FROM usage_batches WHERE namespace = {n:String} AND generation = 1")
    client = connect(world.settings)
    taken = Acknowledged("gateway")
    taken.add(world.namespace, 1, 0, offset, 7)
    taken.write(lambda: client)
    client.close()
    [told] = [line for line in world.differences() if line.startswith("acknowledged")]
    commands = re.findall(r"`weir (log give-up [^`]*) --reason …`", told)
    assert len(commands) == 2, told
    for command in commands:
        assert "acknowledged events among them" in rig.weir(
            world, *command.split(), "--reason", "the topic was made anew"
        )
        assert "nothing is written" in rig.weir(world, *command.split(), "--reason", "the topic was made anew")
    rig.wait(lambda: world.books()["given_up"] == 9)
    assert (world.books()["balanced"], world.books()["lost"]) == (True, 0)
    assert world.differences() == []
    assert "nothing to recover" in rig.weir(world, "generation", "recover", code=1)


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
