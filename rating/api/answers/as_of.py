"""What live answers say they are as of."""

from __future__ import annotations

from datetime import datetime

from schemas.http.openapi import Answer, Position


class LiveAsOf(Answer):
    """What an answer is as of: everything that was counted by this instant."""

    at: datetime
    positions: list[Position]
    """next offsets of the log's partitions: all that it had below them is counted, with what was metered while the
    answer was made; empty where nothing is measured (no grants), and in the portal"""
    checkpoint: int | None
    """the last one by then; usage beyond it is counted live; null: there is none yet"""
    catalog_offset: int
    """the catalog below it was known"""
