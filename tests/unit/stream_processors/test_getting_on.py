"""Work that takes long and gets on is told from work that stands still."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from schemas.settings import Settings
from stream_processors.getting_on import Figure, GettingOn, Subject, sql, thread_seconds


class Engine:
    """What ClickHouse and the processor tell."""

    def __init__(self) -> None:
        self.figures: Mapping[str, Figure] | None = {}
        self.seconds = 0.0
        self.asked: list[Sequence[str]] = []

    def ask(self, comments: Sequence[str]) -> Mapping[str, Figure] | None:
        self.asked.append(comments)
        return self.figures


def looking(engine: Engine, since: float | None = 0.0) -> GettingOn:
    subject = Subject("roll-up", lambda: since, ("rollup",), ("weir a",))
    return GettingOn([subject], engine.ask, lambda names: engine.seconds)


def test_rows_or_processor_time_are_steps_and_waiting_is_none() -> None:
    engine = Engine()
    looks = looking(engine)
    engine.figures = {"weir a": Figure(1.0, 10)}
    looks.look(20.0)
    assert looks.at("roll-up") == 0.0  # nothing to compare with yet
    looks.look(25.0)
    assert looks.at("roll-up") == 0.0
    engine.figures = {"weir a": Figure(1.0, 11)}
    looks.look(30.0)
    assert looks.at("roll-up") == 30.0
    engine.seconds = 0.1  # a thread that looks now and then
    looks.look(35.0)
    assert looks.at("roll-up") == 30.0
    engine.seconds = 0.3
    looks.look(40.0)
    assert looks.at("roll-up") == 40.0


def test_another_request_than_before_is_a_step() -> None:
    engine = Engine()
    looks = looking(engine)
    engine.figures = {"weir a": Figure(1.0, 10)}
    looks.look(20.0)
    engine.figures = {}
    looks.look(25.0)
    assert looks.at("roll-up") == 25.0


def test_nobody_is_asked_while_everything_moves() -> None:
    engine = Engine()
    looking(engine, since=10.0).look(25.0)
    looking(engine, since=None).look(900.0)
    assert engine.asked == []


def test_without_the_right_to_see_it_says_so() -> None:
    engine = Engine()
    looks = looking(engine)
    engine.figures = None
    looks.look(30.0)
    assert looks.at("roll-up") is None


def test_processor_time_of_threads_by_their_names() -> None:
    ended = threading.Event()

    def work() -> None:
        sum(number * number for number in range(400_000))
        worked.set()
        ended.wait()

    worked = threading.Event()
    thread = threading.Thread(target=work, name="rollup_0")
    thread.start()
    worked.wait()
    assert thread_seconds(("rollup",)) > 0
    assert thread_seconds(("nobody",)) == thread_seconds(()) == 0
    ended.set()
    thread.join()


def test_a_cluster_is_asked_as_a_whole() -> None:
    assert "clusterAllReplicas('c', system.processes)" in sql(Settings(clickhouse_cluster="c"))
    assert "FROM system.processes" in sql(Settings())
