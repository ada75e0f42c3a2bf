"""What a problem tells of an installation's inside: nothing that is an address."""

from __future__ import annotations

import pytest

from schemas.http.problems import Problem


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("sasl_ssl://kafka-1.internal:9093/bootstrap: Connect failed", "(address): Connect failed"),
        ("Connect to ipv4#10.0.0.7:9092 failed (after 2 ms)", "Connect to (address) failed (after 2 ms)"),
        ("broker kafka-1.internal:9092/1: timed out", "broker (address): timed out"),
        ("HTTPDriver for http://10.2.0.9:8123 received code 60", "HTTPDriver for (address) received code 60"),
        ("no route to 10.2.0.9; try again", "no route to (address); try again"),
        ("[fd00::7]:9092 is away", "(address) is away"),
    ],
)
def test_a_503_loses_the_addresses_that_a_library_named(said: str, told: str) -> None:
    problem = Problem(503, "unavailable", said)
    assert (problem.detail, problem.document()["detail"], str(problem)) == (told, told, told)


@pytest.mark.parametrize(
    "text",
    [
        "closed since 2026-11-30T20:10:00Z; try again in 12:30:05",
        "usage.events.1 partition 3: offset 1200 is gone; `weir status` tells what is up",
        "meter requests.count of account acme/ü: 17 of 20",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert Problem(503, "unavailable", text).detail == text


def test_what_a_caller_sent_is_told_back() -> None:
    assert "https://shop.example:8443/hook" in Problem(422, "invalid", "https://shop.example:8443/hook").detail
