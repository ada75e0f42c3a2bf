"""ClickHouse restored from an older copy, and a damaged part: what was acknowledged counts, bills are right, and every
remedy that is named is tried."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from rating.invoices.waiting import CloseError
from schemas.clickhouse.client import connect
from tests.integration.faults.fault_rig import CATALOG, METER, Rig, events, of_january
from tests.integration.world import World

pytestmark = pytest.mark.integration

BACKFILLED: dict[str, Any] = METER | {"code": "b", "start": "2026-01-02T00:00:00Z"}


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
        "DELETE FROM invoice_numbers WHERE namespace = {n:String}",
        "DELETE FROM usage_windows WHERE namespace = {n:String} AND NOT backfilled",
        "DELETE FROM usage_records WHERE namespace = {n:String} AND checkpoint > 0",
        # As of a rebuild that ended between an invoice that the topic lacks and its list.
        "INSERT INTO invoice_lists SELECT * REPLACE ('inv_none' AS invoice_id) FROM invoice_lists"
        " WHERE namespace = {n:String} AND list = 'all' LIMIT 1",
    ):
        client.command(statement, parameters={"n": world.namespace})
    told = "\n".join(world.differences())
    assert "`weir copies rebuild invoices`" in told
    assert "`weir copies rebuild numbers`" in told
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
    # What voids did, damaged alone and before the worker starts: it would bill an event that was taken back.
    rig.damage("voided_events", killing="worker-0")
    assert "parts_set_aside" in rig.reasons("worker-0")
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
    for table in ("usage_events", "usage_identities", "usage_records"):
        client.command(
            f"INSERT INTO {table} SELECT * REPLACE (`index` + 100 AS `index`) FROM {table} FINAL"
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
