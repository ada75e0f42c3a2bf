"""Questions to ClickHouse: shares, time, memory, and an asker who goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from rating.api import query_scheduler
from rating.api.query_scheduler import NOBODY, QueryScheduler, QueryTenant, interruptible
from schemas.http.problems import Problem
from schemas.settings import Settings


class Client:
    """Notes what is killed; a query under way then ends as ClickHouse ends it."""

    def __init__(self, name: str, killed: threading.Event) -> None:
        self.name, self.killed = name, killed

    def query(self, _sql: str, parameters: dict[str, str]) -> None:
        assert parameters["name"].startswith("weir-rating-")
        self.killed.set()

    def work(self) -> None:
        assert self.killed.wait(20)
        raise DatabaseError("Code: 394. DB::Exception: Query was cancelled.")


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    event = threading.Event()
    monkeypatch.setattr(
        query_scheduler,
        "connect",
        lambda _settings, settings_of_queries=None: Client((settings_of_queries or {}).get("log_comment", ""), event),
    )
    monkeypatch.setattr(query_scheduler, "_LOOK_SECONDS", 0.01)
    return event


def run(check: Coroutine[Any, Any, None]) -> None:
    asyncio.run(check)


def asked(**limits: int) -> QueryScheduler:
    return QueryScheduler(Settings(**limits))


def test_a_question_whose_time_is_over_is_cancelled_and_its_asker_told_what_to_do(killed: threading.Event) -> None:
    async def check() -> None:
        result = asked()
        result._light.seconds = 0
        with pytest.raises(Problem, match="ask for a shorter time") as caught:
            await result.ask(lambda client: client.work(), NOBODY)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "10"})
        result.stop()

    run(check())
    assert killed.is_set()


def test_a_question_ends_when_its_asker_has_gone_and_its_place_is_free_then(killed: threading.Event) -> None:
    async def gone() -> bool:
        return True

    async def check() -> None:
        result = asked()
        with pytest.raises(Problem):
            await result.ask_long(lambda client, _go_on: client.work(), QueryTenant("t", "k", gone))
        assert await result.ask_long(lambda _client, _go_on: 7, QueryTenant("t", "k")) == 7
        result.stop()

    run(check())
    assert killed.is_set()


def test_long_work_in_python_ends_between_two_steps(killed: threading.Event) -> None:
    async def check() -> None:
        result = asked()
        result._heavy.seconds = 0
        with pytest.raises(Problem, match="was ended"):
            await result.ask_long(
                lambda _client, go_on: [list(interruptible(range(1000), go_on)) for _ in iter(int, 1)], NOBODY
            )
        result.stop()

    run(check())


def test_one_tenant_has_one_long_question_at_a_time_and_a_bounded_line(killed: threading.Event) -> None:
    async def check() -> None:
        result = asked()
        begun, go = threading.Semaphore(0), threading.Event()

        def long(_client: Any, _go_on: Any) -> int:
            begun.release()
            assert go.wait(20)
            return 1

        waiting = [asyncio.create_task(result.ask_long(long, QueryTenant("noisy", "k"))) for _ in range(16)]
        while not begun.acquire(blocking=False):  # noqa: ASYNC110
            await asyncio.sleep(0)
        while sum(task.done() for task in waiting) < 7:  # noqa: ASYNC110
            await asyncio.sleep(0)
        refused = [task.exception() for task in waiting if task.done()]
        assert all(isinstance(error, Problem) and error.status == 429 for error in refused)
        assert not begun.acquire(blocking=False), "one of them runs"
        second_create_task = asyncio.create_task(result.ask_long(long, QueryTenant("quiet", "k")))
        while not begun.acquire(blocking=False):  # noqa: ASYNC110
            await asyncio.sleep(0)
        go.set()
        assert await second_create_task == 1
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert answers.count(1) == 9
        result.stop()

    run(check())


@pytest.mark.parametrize(("text", "status"), [("Code: 241. Memory", 422), ("Code: 159. Timeout", 503)])
def test_what_clickhouse_refuses_for_its_size_is_told_as_that(killed: threading.Event, text: str, status: int) -> None:
    def question(_client: Any) -> None:
        raise DatabaseError(text)

    async def check() -> None:
        result = asked()
        with pytest.raises(Problem) as caught:
            await result.ask(question, NOBODY)
        assert caught.value.status == status
        with pytest.raises(DatabaseError):
            await result.ask(lambda _client: (_ for _ in ()).throw(DatabaseError("Code: 999")), NOBODY)
        result.stop()

    run(check())
