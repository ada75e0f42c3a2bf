"""Questions are asked together while another is under way, each has its own answer, and an error is told to those it
concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rating.webhooks.coalescing import Coalescing


def test_what_comes_meanwhile_is_asked_at_once_in_its_order_and_up_to_the_limit() -> None:
    collected: list[list[int]] = []

    async def double(values: Sequence[int]) -> list[int]:
        collected.append(list(values))
        await asyncio.sleep(0)
        return [2 * item for item in values]

    async def all_of() -> list[int]:
        gathering = Coalescing(double, 3)
        first_gather = await asyncio.gather(*(gathering(number) for number in range(5)))
        return [*first_gather, await gathering(7)]

    assert asyncio.run(all_of()) == [0, 2, 4, 6, 8, 14]
    assert collected == [[0, 1, 2], [3, 4], [7]]


def test_an_error_is_raised_to_all_who_asked_and_the_next_are_asked_anew() -> None:
    async def fussy(values: Sequence[int]) -> list[int]:
        if 0 in values:
            raise ValueError("no zero")
        return list(values)

    async def asking() -> None:
        gathering = Coalescing(fussy, 2)
        gather = await asyncio.gather(*(gathering(number) for number in (0, 1, 2)), return_exceptions=True)
        assert [str(item) for item in gather] == ["no zero", "no zero", "2"]
        leaving = asyncio.create_task(gathering(3))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await gathering(4) == 4

    asyncio.run(asking())
