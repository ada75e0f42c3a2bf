"""Which agents share a consumer group: a group is balanced only once each member has finished what it is at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.settings import Settings
from stream_processors.app import build_admit_app, build_app, build_ledgers_app
from stream_processors.upkeep.assignment import leash, owned
from stream_processors.upkeep.watchdog import BALANCING, BUSY

PARTS: Any = SimpleNamespace(
    seeker=SimpleNamespace(bind_consumer=lambda seek: None),
    inboxes=SimpleNamespace(names=lambda: ["usage.inbox.default"]),
)
HOW: dict[str, Any] = {"index": 0, "session_timeout": 10.0}


def agents(app: Any) -> set[str]:
    return {name.rpartition(".")[2] for name in app.agents}


def test_metering_shares_its_group_with_nothing_that_may_take_long() -> None:
    apps = {
        app.conf.id: agents(app)
        for app in (
            build_app(Settings(), PARTS, web_port=1, **HOW),
            build_admit_app(Settings(), PARTS, **HOW),
            build_ledgers_app(Settings(), PARTS, **HOW),
        )
    }
    assert apps == {"weir-worker": {"meter"}, "weir-admit": {"admit"}, "weir-ledgers": {"reject", "rollup", "invoices"}}


def app_with(*, started: bool, rebalancing: bool) -> Any:
    partitions = [SimpleNamespace(topic="a", partition=1), SimpleNamespace(topic="elsewhere", partition=0)]
    consumer = SimpleNamespace(assignment=lambda: partitions)
    return SimpleNamespace(started=started, rebalancing=rebalancing, consumer=consumer)


@pytest.mark.parametrize(
    ("started", "rebalancing", "looked_at"),
    [(False, False, []), (True, False, [("a", 1)]), (True, True, [("a", 0), ("a", 1), ("b", 0)])],
)
def test_the_watchdog_looks_at_what_is_owned_and_at_everything_while_that_is_not_known(
    started: bool, rebalancing: bool, looked_at: list[tuple[str, int]]
) -> None:
    app = app_with(started=started, rebalancing=rebalancing)
    assert owned(app, {"a": 2, "b": 1}) == looked_at
    assert leash(app, busy=False) == (BALANCING if rebalancing else 1.0)
    assert leash(app, busy=True) == BUSY
