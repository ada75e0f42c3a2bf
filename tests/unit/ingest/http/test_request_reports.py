"""Invariant 1: a request is answered when every packed batch that holds one of its events is reported, never before."""

from __future__ import annotations

import asyncio

import pytest

from ingest.delivery.in_flight import NotDelivered, Request


def reported(*reports: str | None, parts: int) -> Request:
    async def run() -> Request:
        request = Request(asyncio.get_running_loop().create_future())
        request.parts = parts
        for error in reports:
            request.report(error)
        return request

    return asyncio.run(run())


def test_it_waits_for_the_last_report() -> None:
    assert not reported(None, None, parts=3).future.done()
    assert reported(None, None, None, parts=3).future.result() is None


@pytest.mark.parametrize("reports", [("lost", None, None), (None, "lost", None), (None, None, "lost")])
def test_one_failure_fails_it_but_only_when_all_is_known(reports: tuple[str | None, ...]) -> None:
    assert not reported(*reports[:2], parts=3).future.done()
    with pytest.raises(NotDelivered, match="lost"):
        reported(*reports, parts=3).future.result()


def test_a_client_that_went_away_disturbs_nothing() -> None:
    async def run() -> None:
        request = Request(asyncio.get_running_loop().create_future())
        request.parts = 1
        request.future.cancel()
        request.report(None)

    asyncio.run(run())
