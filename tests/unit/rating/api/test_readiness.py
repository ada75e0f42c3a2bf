"""Why the rating service is not ready, as `weir status` reads it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.cli.operation.not_ready import lines
from rating.api.context import Rating
from schemas.health.readiness import UnreadyReason


def unready(
    *, catalog: bool = True, checkpoints: bool = True, clickhouse: bool = True, reservations: str | None = None
) -> UnreadyReason | None:
    async def ask(question: Any) -> None:
        if not clickhouse:
            raise ConnectionError("refused")

    rating: Any = SimpleNamespace(
        _catalog=SimpleNamespace(fresh=lambda seconds: catalog),
        _checkpoints_follower=SimpleNamespace(fresh=lambda seconds: checkpoints),
        _pool=SimpleNamespace(ask=ask),
        reservations=SimpleNamespace(unready=reservations),
    )
    return asyncio.run(Rating.unready(rating))


def test_a_service_that_follows_its_ledgers_and_reaches_clickhouse_is_ready() -> None:
    assert unready() is None


@pytest.mark.parametrize(
    ("state", "name", "told"),
    [
        ({"catalog": False}, "catalog_stale", "the catalog is not up to date"),
        ({"checkpoints": False}, "checkpoints_stale", "the checkpoints are not up to date"),
        ({"clickhouse": False}, "clickhouse_silent", "ClickHouse does not answer: ConnectionError"),
        ({"reservations": "it is being read"}, "reservations_unread", "it is being read"),
    ],
)
def test_what_stands_in_its_way_is_named_with_what_to_do(state: dict[str, Any], name: str, told: str) -> None:
    reason = unready(**state)
    assert reason is not None
    assert (reason.name, reason.refuses, reason.lasting) == (name, False, False)
    assert told in reason.detail
    [line] = lines([("rating", reason)])
    assert line.startswith(f"rating is not ready: {reason.detail}; ")
