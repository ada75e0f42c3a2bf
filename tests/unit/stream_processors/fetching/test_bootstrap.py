"""A worker starts by the servers that answer; by all of them where none does, and without asking where there is one."""

from __future__ import annotations

import threading

from stream_processors.fetching.bootstrap import answering_servers


def test_servers_that_do_not_answer_are_left_out() -> None:
    together = threading.Barrier(3, timeout=30)

    def answers(address: str) -> bool:
        together.wait()  # all are asked at once: one that is silent costs its time once
        return address != "b:1"

    assert answering_servers(["a:1", "b:1", "c:1"], answers) == ["a:1", "c:1"]
    assert answering_servers(["a:1", "b:1"], lambda _: False) == ["a:1", "b:1"]
    assert answering_servers(["a:1"], lambda _: 1 // 0 == 0) == ["a:1"]
