"""Requests that a connection refuses by itself: a head that was refused before is not parsed again, a connection that
asks again at once is read later, and what is no longer to be refused goes to the application."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from schemas.http.connections import CLOSING, Headers
from schemas.http.early_answers import EarlyAnswer
from tests.unit.schemas.http.served_connection import EACH, Served, post


def test_a_head_that_was_refused_is_refused_again_without_being_parsed() -> None:
    served = Served()
    assert [served.send(post(b"a%d" % number)) for number in range(5)] == [1] * 5
    assert served.heads == 1
    assert len(set(served.transport.written)) == 1
    assert served.transport.written[0].startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    "following",
    [post(b"abc"), post(b"ab", "Authorization: x"), post(b"ab").replace(b"/e", b"/f")],
    ids=["longer", "another field", "another target"],
)
def test_another_head_is_parsed(following: bytes) -> None:
    served = Served()
    served.send(post(b"ab"))
    assert served.send(following) == 1
    assert served.heads == 2


@pytest.mark.parametrize("cut", [1, 10, -1], ids=["in its first line", "in its head", "in its body"])
def test_a_request_in_pieces_is_parsed_and_what_follows_it_is_whole(cut: int) -> None:
    served = Served()
    for _ in range(2):
        served.send(post(b"ab"))
    assert served.send(post(b"ab")[:cut]) + served.send(post(b"ab")[cut:]) == 1
    assert served.send(post(b"ab")) == 1
    assert len(served.transport.written) == 4


def test_two_requests_in_a_piece_are_two_and_their_bytes_are_never_taken_for_one() -> None:
    served = Served()
    assert served.send(post(b"ab") * 2) == 2
    assert served.send(post(b"ab") * 2) == 2
    assert served.heads == 4


def test_a_body_that_reads_like_a_head_is_a_body() -> None:
    served = Served()
    inner = post(b"")
    for _ in range(3):
        assert served.send(post(inner)) == 1


def test_what_is_no_longer_refused_goes_to_the_application() -> None:
    served = Served()
    for _ in range(3):
        served.send(post(b"ab"))
    served.refuses = False
    assert served.send(post(b"ab")) == 0
    assert served.loop.applied == 1
    assert served.protocol.scope["state"]["early"] == "taken"


def test_nothing_overtakes_a_request_that_the_application_works_at() -> None:
    served = Served()
    served.send(post(b"ab"))
    served.refuses = False
    served.send(post(b"ab"))
    served.refuses = True
    assert served.send(post(b"ab")) == 0
    assert len(served.protocol.pipeline) == 1


def test_a_service_that_stops_gives_no_early_answer() -> None:
    served = Served()
    served.send(post(b"ab"))
    served.state.default_headers.append(CLOSING)
    assert served.send(post(b"ab")) == 0
    assert served.loop.applied == 1


def test_a_connection_that_asks_again_at_once_is_read_after_a_pause_by_the_number_of_connections() -> None:
    served = Served(connections=7)
    served.send(post(b"ab"))
    assert served.transport.reading
    served.send(post(b"ab"))
    assert not served.transport.reading
    served.loop.advance(6.9 * EACH)
    assert not served.transport.reading
    served.loop.advance(0.2 * EACH)
    assert served.transport.reading


def test_the_pause_ends_after_half_a_second_however_many_there_are() -> None:
    served = Served(connections=700)
    for _ in range(2):
        served.send(post(b"ab"))
    served.loop.advance(0.51)
    assert served.transport.reading


def test_a_request_that_is_taken_ends_the_row_of_refusals() -> None:
    served = Served()
    for _ in range(2):
        served.send(post(b"ab"))
    served.loop.advance(1)
    served.refuses = False
    served.send(post(b"ab"))
    served.protocol.cycle.response_complete = True
    served.refuses = True
    served.send(post(b"ab"))
    assert served.transport.reading


def test_a_connection_is_kept_from_its_last_answer_on_also_one_to_a_known_head() -> None:
    served = Served()
    served.send(post(b"ab"))
    served.loop.advance(20)
    served.send(post(b"ab"))
    served.loop.advance(20)
    assert not served.transport.closed
    served.loop.advance(10.1)
    assert served.transport.closed


def test_only_a_head_that_is_not_whole_has_a_timer() -> None:
    served = Served()
    served.refuses = False
    served.send(post(b"ab"))
    served.protocol.cycle.response_complete = True
    assert not [handle for handle in served.loop.calls if not handle.cancelled]
    served.send(post(b"ab")[:10])
    served.loop.advance(10.1)
    assert served.transport.closed
    assert b" 408 " in served.transport.written[-1]


def test_a_client_that_does_not_read_its_answers_gets_none_early() -> None:
    """Else what it sends would fill this process's memory with answers."""
    served = Served()
    assert [served.send(post(b"a")) for _ in range(2)] == [1, 1]
    served.protocol.pause_writing()
    heads = served.heads
    assert served.send(post(b"a")) == 0
    assert served.heads == heads  # the application answers it, and waits for the client


def test_a_head_that_was_refused_is_forgotten_where_another_was_refused_since() -> None:
    """One connection may carry requests of several keys, and each is judged by its own key."""
    asked: list[str] = []

    class OfKeys(Served):
        def early(self, _target: bytes, headers: Headers) -> object:
            key = next(value for name, value in headers if name == b"x-key").decode()

            def again() -> bool:
                asked.append(key)
                return True

            return EarlyAnswer(Response(b"shed", 503), again) if key.startswith("noisy") else "taken"

    served = OfKeys()
    assert served.send(post(b"a", "X-Key: noisy1")) == 1
    assert served.send(post(b"a", "X-Key: noisy1")) == 1
    assert asked == ["noisy1"]
    served.send(post(b"b", "X-Key: noisy2") + post(b"c", "X-Key: quiet"))
    assert served.protocol.cycle is not None
    served.protocol.cycle.response_complete = True  # of what went to the application
    served.protocol.on_response_complete()
    assert served.send(post(b"a", "X-Key: noisy1")) == 1
    assert "noisy2" not in asked


def test_a_client_of_http_1_0_that_keeps_its_connection_is_answered_by_the_application() -> None:
    """It has to be told that the connection is kept, and would wait for its end else."""
    served = Served()
    head = b"POST /v1/events HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    assert served.send(head) == 0
    assert (served.loop.applied, served.heads) == (1, 0)
