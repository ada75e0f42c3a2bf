"""Reservations that a client holds: context managers that finalise them with what was used, or release them."""

from __future__ import annotations

import time
from decimal import Decimal
from types import TracebackType
from typing import Self

from ingest.client.request_loop import AsyncAttempt, Attempt, answered, async_answered
from ingest.client.reserving import Ending, ReservedUse
from ingest.client.wire import SendError
from schemas.values.json_text import JsonObject


class ClientReservation(ReservedUse):
    """So much of a feature, reserved. ``use`` says what was used; leaving the context finalises it with that (with all
    of it where nothing was said), or releases it where the work raised and nothing was said. Send the events first."""

    def __init__(self, document: JsonObject, url: str, key: str, attempt: Attempt, deadline: float | None) -> None:
        super().__init__(document, url, key)
        self._attempt = attempt
        self._deadline = deadline

    def finalise(self, quantity: Decimal | int | None = None) -> None:
        """It was used: so much, or what ``use`` said. Raises Refusal (finalised otherwise, released, expired) and
        ReservationUnknown."""
        if quantity is not None:
            self.use(quantity)
        self._close("finalise")

    def release(self) -> None:
        """Nothing of it was used. Raises as ``finalise``."""
        self._close("release")

    def _close(self, ending: Ending) -> None:
        request = self.request(ending, self._deadline, time.monotonic())
        self.document = answered(request, self._attempt)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.state != "open":
            return
        try:
            self._close(self.ending(kind is not None))
        except SendError as failure:
            self.left(failure, kind is not None)


class AsyncClientReservation(ReservedUse):
    """The same for an event loop."""

    def __init__(self, document: JsonObject, url: str, key: str, attempt: AsyncAttempt, deadline: float | None) -> None:
        super().__init__(document, url, key)
        self._attempt = attempt
        self._deadline = deadline

    async def finalise(self, quantity: Decimal | int | None = None) -> None:
        """As ``ClientReservation.finalise``."""
        if quantity is not None:
            self.use(quantity)
        await self._close("finalise")

    async def release(self) -> None:
        """As ``ClientReservation.release``."""
        await self._close("release")

    async def _close(self, ending: Ending) -> None:
        request = self.request(ending, self._deadline, time.monotonic())
        self.document = await async_answered(request, self._attempt)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self.state != "open":
            return
        try:
            await self._close(self.ending(kind is not None))
        except SendError as failure:
            self.left(failure, kind is not None)
