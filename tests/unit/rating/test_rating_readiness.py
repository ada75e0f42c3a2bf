"""/readyz of the rating service: typed reasons, like every process's, and no waiting for a ClickHouse that hangs."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from rating.api.context import Rating
from rating.api.readiness import answer, of_clickhouse
from rating.app import build_app
from schemas.readiness import from_json
from schemas.settings import Settings


async def hangs() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ConnectionRefusedError("10.0.0.7:8123")


async def answers() -> None: ...


@pytest.mark.parametrize(
    ("ask", "told"), [(hangs, "has not answered"), (fails, "does not answer: ConnectionRefusedError"), (answers, "")]
)
def test_clickhouse_is_asked_for_a_while_and_told_by_name(ask: Any, told: str) -> None:
    found = asyncio.run(of_clickhouse(ask, 0.01))
    assert [reason.name for reason in found] == (["clickhouse_unavailable"] if told else [])
    assert all(told in reason.detail and "10.0.0.7" not in reason.detail for reason in found)


def test_ledgers_that_are_not_followed_are_reasons() -> None:
    stale, fresh = SimpleNamespace(fresh=lambda _: False), SimpleNamespace(fresh=lambda _: True)

    def names(catalog: Any, checkpoints: Any) -> list[str]:
        rating: Any = SimpleNamespace(_catalog=catalog, _checkpoints_follower=checkpoints)
        return [reason.name for reason in Rating.stale(rating)]

    assert names(stale, stale) == ["catalog_stale", "checkpoints_stale"]
    assert (names(fresh, stale), names(fresh, fresh)) == (["checkpoints_stale"], [])


def test_the_answer_is_the_kind_that_status_reads_and_says_what_it_said_before() -> None:
    (reason,) = asyncio.run(of_clickhouse(fails))
    told = answer([reason])
    document = json.loads(bytes(told.body))
    assert (told.status_code, document["status"], document["reason"]) == (503, "unready", reason.detail)
    assert from_json(document) == (reason,)
    assert (answer([]).status_code, json.loads(bytes(answer([]).body))) == (
        200, {"ready": True, "reasons": [], "status": "ready"},
    )  # fmt: skip


def test_openapi_names_its_members() -> None:
    document = build_app(Settings(admin_key=SecretStr("k" * 40))).openapi()
    for status in ("200", "503"):
        content = document["paths"]["/readyz"]["get"]["responses"][status]["content"]
        assert content["application/json"]["schema"]["$ref"].endswith("/Ready")
    assert set(document["components"]["schemas"]["Reason"]["properties"]) == {
        "name", "detail", "remedy", "refuses", "lasting",
    }  # fmt: skip
