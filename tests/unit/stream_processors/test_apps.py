"""Which agents share a consumer group: a group is balanced only once each member has finished what it is at."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.exceptions import ConsumerNotStarted

from schemas.settings import Settings
from stream_processors.app import build_admit_app, build_app, build_ledgers_app
from stream_processors.upkeep.assignment import assigned, owned, stall_tolerance
from stream_processors.upkeep.watchdog import BALANCING, BUSY

PARTS: Any = SimpleNamespace(
    seeker=SimpleNamespace(bind_consumer=lambda seek: None),
    inboxes=SimpleNamespace(names=lambda: ["usage.inbox.default"]),
)


def agents(app: Any) -> set[str]:
    return {name.rpartition(".")[2] for name in app.agents}


def test_metering_shares_its_group_with_nothing_that_may_take_long() -> None:
    apps = {
        app.conf.id: agents(app)
        for app in (
            build_app(Settings(), PARTS),
            build_admit_app(Settings(), PARTS),
            build_ledgers_app(Settings(), PARTS),
        )
    }
    assert apps == {"weir-worker": {"meter"}, "weir-admit": {"admit"}, "weir-ledgers": {"reject", "rollup", "invoices"}}


def test_a_rebalance_makes_metering_and_admission_forget_where_they_were() -> None:
    calls: list[str] = []
    parts: Any = SimpleNamespace(
        **vars(PARTS),
        meter=SimpleNamespace(reassigned=lambda: calls.append("meter")),
        agents=SimpleNamespace(inbox=SimpleNamespace(reassigned=lambda: calls.append("admit"))),
    )

    async def rebalance() -> None:
        for app in (build_app(Settings(), parts), build_admit_app(Settings(), parts)):
            await app.on_partitions_revoked.send(set())
            await app.on_partitions_assigned.send(set())

    asyncio.run(rebalance())
    assert calls == ["meter", "meter", "admit", "admit"]


def app_with(*, made: bool, rebalancing: bool) -> Any:
    partitions = [SimpleNamespace(topic="a", partition=1), SimpleNamespace(topic="elsewhere", partition=0)]
    consumer = SimpleNamespace(assignment=lambda: partitions)
    return SimpleNamespace(rebalancing=rebalancing, made_consumer=consumer if made else None)


@pytest.mark.parametrize(
    ("made", "rebalancing", "looked_at"),
    [(False, False, []), (True, False, [("a", 1)]), (True, True, [("a", 0), ("a", 1), ("b", 0)])],
)
def test_the_watchdog_looks_at_what_is_owned_and_at_everything_while_that_is_not_known(
    made: bool, rebalancing: bool, looked_at: list[tuple[str, int]]
) -> None:
    app = app_with(made=made, rebalancing=rebalancing)
    assert owned(app, {"a": 2, "b": 1}) == looked_at
    assert stall_tolerance(app, busy=False) == (BALANCING if rebalancing else 1.0)
    assert stall_tolerance(app, busy=True) == BUSY


def test_who_looks_at_an_app_that_starts_does_not_make_its_consumer() -> None:
    # Faust makes it for whoever reads ``consumer`` first; made in the thread of the watchdog, the app could not start.
    app = build_app(Settings(), PARTS)
    assert owned(app, {"a": 2}) == []
    assert assigned(app) == ()
    assert app.made_consumer is None


def test_a_consumer_whose_thread_does_not_run_yet_has_no_partitions() -> None:
    def assignment() -> Any:
        raise ConsumerNotStarted("Consumer thread not yet started")

    app: Any = SimpleNamespace(rebalancing=False, made_consumer=SimpleNamespace(assignment=assignment))
    assert owned(app, {"a": 2}) == []
