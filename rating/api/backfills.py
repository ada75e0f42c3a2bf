"""GET /v1/backfills: profile versions that were published with a start in the past, and how far each is counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from rating.api.context import Authorized, View
from rating.backfills import read_backfills

router = APIRouter(tags=["usage"])


@router.get("/v1/backfills", summary="Versions published with a start in the past, and how far they are counted")
async def backfills(rating: Authorized, view: View) -> dict[str, Any]:
    """`state` is waiting, running or done; a version's older events count from `checkpoint` on. Events before
    `oldest_event` are not stored, so none of them can count. Periods that need a profile are billed once its backfill
    is done."""
    found = await rating.ask(lambda client: read_backfills(client, view))
    return {"backfills": [one.to_json() for one in found]}
