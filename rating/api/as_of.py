"""What a live answer is as of, as it is answered. Pure."""

from __future__ import annotations

from schemas.catalog.state import NamespaceView
from schemas.ledgers.generations import Offsets
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


def positions_of(offsets: Offsets) -> list[JsonObject]:
    """Next offsets of usage.events, in order."""
    return [
        {"generation": generation, "partition": partition, "offset": offset}
        for (generation, partition), offset in sorted(offsets.items())
    ]


def live_as_of(view: NamespaceView, now_us: int, checkpoint: int | None, offsets: Offsets) -> JsonObject:
    """``offsets``: read before what is answered; ``checkpoint``: the last one by then, None: there is none."""
    return {
        "at": rfc3339(now_us),
        "positions": positions_of(offsets),
        "checkpoint": checkpoint,
        "catalog_offset": view.before,
    }
