"""Chores are done in their order, once caught up, and one round at a time; who stands still is named."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from stream_processors.projections.catalog_copy import CatalogCopy
from stream_processors.projections.ledger_agent import LOOK_SECONDS, LedgerAgent
from stream_processors.threads import Work, executor
from stream_processors.upkeep.housekeeping import Chore, Housekeeping
from stream_processors.upkeep.worker_health import stage_of

THREAD = executor("test")


def test_chores_are_done_in_their_order_once_caught_up_and_only_where_they_are_due() -> None:
    done: list[str] = []

    async def catch_up() -> None:
        done.append("caught up")

    house = Housekeeping(
        catch_up,
        [
            Chore("pass over", THREAD, lambda: done.append(f"untold at {house.work.position!r}"), reported=False),
            Chore("forget", THREAD, lambda: done.append("forget"), due=lambda: False),
            Chore("cut", THREAD, lambda: done.append(f"told at {house.work.position!r}")),
        ],
    )

    async def run() -> None:
        for _ in range(2):
            await house.tick()
            await house.tick()  # while a round goes on no other one begins
            assert house._round is not None
            await house._round

    asyncio.run(run())
    assert done == ["caught up", "untold at ''", "told at 'cut'", "untold at 'cut'", "told at 'cut'"]
    assert not house.work.busy


def test_a_ledger_agent_acknowledges_once_the_copy_has_what_its_take_has() -> None:
    copied: list[list[int]] = []
    acknowledged: list[Any] = []
    group = Work()
    agent = LedgerAgent("copy invoices", lambda partitions: copied.append(sorted(partitions)), 3, group)
    events: Any = [
        SimpleNamespace(message=SimpleNamespace(topic="usage.invoices", partition=partition, offset=7))
        for partition in (2, 0, 2)
    ]

    async def ack(event: Any) -> None:
        assert copied, "nothing is acknowledged before it is copied"
        assert (agent.work.busy, group.busy) == (True, True)
        acknowledged.append(event)

    async def run() -> None:
        await agent.take(events, ack)
        await agent.catch_up()

    asyncio.run(run())
    assert (copied, acknowledged) == ([[0, 2], [0, 1, 2]], events)
    assert agent.work.position == "usage.invoices partition 2 offset 7"


def test_a_copy_is_brought_up_to_date_now_and_then_without_a_record() -> None:
    now = 100.0
    copied: list[list[int]] = []
    agent = LedgerAgent("copy invoices", lambda partitions: copied.append(sorted(partitions)), 3, Work(), lambda: now)
    assert not agent.due()
    now += LOOK_SECONDS
    assert agent.due()
    agent.look([2, 0])
    assert not agent.due()
    now += LOOK_SECONDS
    agent.look([])  # another worker owns the topic
    assert (copied, agent.due()) == ([[0, 2]], False)


def test_catalog_entries_whose_write_failed_are_written_the_next_time() -> None:
    written: list[list[str]] = []

    class Journal:
        away = True

        def insert(self, table: str, rows: Any) -> None:
            if self.away:
                raise TimeoutError
            written.append(rows["code"].to_pylist())

    journal: Any = Journal()
    copy = CatalogCopy(journal)
    entry: Any = SimpleNamespace(
        namespace="shop",
        kind="meter",
        code="calls",
        version=1,
        retired=False,
        valid_from_us=0,
        published_us=1,
        offset=3,
        body={"code": "calls"},
        author="",
    )
    copy.add(entry)
    try:
        copy.write()
    except TimeoutError:
        assert copy.due()
    journal.away = False
    copy.write()
    assert (written, copy.due()) == ([["calls"]], False)


def test_a_stage_tells_its_own_trouble_first_and_else_its_journals() -> None:
    work = Work()
    journal: Any = SimpleNamespace(trouble="ClickHouse is away")
    stage = stage_of("roll-up", work, journals=(journal,))
    assert stage.trouble() == "ClickHouse is away"
    work.trouble = "Kafka is away"
    assert stage.trouble() == "Kafka is away"
