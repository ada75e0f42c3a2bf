"""What /readyz of the rating service says: the same kind of reasons as the gateway's and the worker's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from fastapi.responses import JSONResponse

from schemas.clickhouse_errors import explained
from schemas.readiness import Reason, to_json

log = logging.getLogger(__name__)

NO_CLICKHOUSE: Final = "clickhouse_unavailable"
CLICKHOUSE_SECONDS: Final = 3.0
"""ClickHouse is not waited for any longer: who asks /readyz waits a few seconds itself."""


def answer(reasons: Sequence[Reason]) -> JSONResponse:
    """200 without a reason, else 503. ``status`` and ``reason`` are what it said before there were reasons."""
    told: dict[str, Any] = {
        "ready": not reasons,
        "reasons": to_json(reasons),
        "status": "unready" if reasons else "ready",
    }
    if reasons:
        told["reason"] = reasons[0].detail
    return JSONResponse(told, 503 if reasons else 200)


async def of_clickhouse(ask: Callable[[], Awaitable[None]], seconds: float = CLICKHOUSE_SECONDS) -> tuple[Reason, ...]:
    """A reason where ClickHouse does not answer ``ask`` within ``seconds``, or answers with an error."""
    try:
        await asyncio.wait_for(ask(), seconds)
    except TimeoutError:
        why = f"ClickHouse has not answered for {seconds:g} s"
    except Exception as error:
        log.warning("/readyz: %s", explained(error))
        why = f"ClickHouse does not answer: {type(error).__name__}"  # anybody may ask, so no more than its name
    else:
        return ()
    return (
        Reason(
            NO_CLICKHOUSE,
            why,
            "look at ClickHouse's log, load and disk, and at this service's log; it goes on by itself",
        ),
    )
