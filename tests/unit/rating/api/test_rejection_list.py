"""GET /v1/rejections: whose rejections a key sees, and how one page leads to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from rating.api.events.rejection_list import rejections
from rating.api.rating_problems import RatingProblem
from schemas.http.api_keys import ALL_SCOPES, Access

TENANT = Access("air", ALL_SCOPES, "Ada")
ROOT = Access(None, ALL_SCOPES, "admin")


def row(number: int) -> tuple[Any, ...]:
    """A row of rejected_events whose id is ``number``."""
    received = datetime(2026, 5, 4, 12, 0, 60 - number, tzinfo=UTC)
    return (
        f"{number:032X}", "air", "gateway", "too_old", "detail", 1, "acme", "call", "k", b"{}".hex(), "", -1, -1,
        received, "", -1, "",
    )  # fmt: skip


class Questioned:
    """Stands for the rating service: answers every query with the same rows, and keeps what was bound."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.parameters: dict[str, object] = {}
        self.sql = ""

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        return question(self)

    def query(self, sql: str, parameters: dict[str, object]) -> Any:
        self.sql, self.parameters = sql, parameters
        return SimpleNamespace(result_rows=self._rows)


def answer(rating: Questioned, access: Access, **parameters: Any) -> Any:
    request: Any = SimpleNamespace(state=SimpleNamespace(access=access))
    asked: Any = rating
    view: Any = SimpleNamespace(namespace="air")
    values = {"reason": "", "stage": None, "since": None, "everything": False, "cursor": None, "limit": 2} | parameters
    return asyncio.run(rejections(request=request, rating=asked, view=view, **values))


def test_what_belongs_to_no_namespace_is_the_admin_key_s_alone() -> None:
    """It could not be decoded, so it may hold the bytes of any tenant."""
    rating = Questioned([])
    answer(rating, TENANT)
    assert rating.parameters["namespaces"] == ["air"]
    answer(rating, ROOT)
    assert rating.parameters["namespaces"] == ["air", ""]
    assert rating.sql.count("namespace IN {namespaces:Array(String)}") == 2  # of rejections, and of their replays


def test_a_page_that_is_full_leads_to_what_comes_after_its_last() -> None:
    first = answer(Questioned([row(1), row(2), row(3)]), TENANT)
    assert [rejection["id"] for rejection in first["rejections"]] == [f"{1:032x}", f"{2:032x}"]
    received_us = int(row(2)[13].timestamp()) * 1_000_000
    assert first["next_cursor"] == f"{received_us}_{2:032x}"
    rating = Questioned([row(3)])
    last = answer(rating, TENANT, cursor=first["next_cursor"], stage="gateway", reason="too_old", everything=True)
    assert (len(last["rejections"]), last["next_cursor"]) == (1, None)
    bound = {name: rating.parameters[name] for name in ("after", "after_id", "limit", "stage", "reason")}
    assert bound == {
        "after": received_us, "after_id": f"{2:032X}", "limit": 3, "stage": "gateway", "reason": "too_old"
    }  # fmt: skip


@pytest.mark.parametrize("cursor", ["", "x", "1_2", f"1_{10:032X}", f"{10**18}_{2:032x}"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(RatingProblem, match="is no cursor of this list"):
        answer(Questioned([]), TENANT, cursor=cursor)
