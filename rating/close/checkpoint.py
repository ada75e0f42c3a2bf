"""Obtains a rolled-up checkpoint that contains everything acknowledged so far (DESIGN invariant 9, first half)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException

from rating.invoices.waiting import CloseError, Progress, wait_until
from schemas.catalog.follower import catalog_end
from schemas.catalog.state import Catalog
from schemas.ledgers.checkpoints import CheckpointLedger, Cut, next_cut, read_progress, rolled_up
from schemas.ledgers.generations import Offsets
from schemas.settings import Settings
from schemas.usage_log.generation_change import end_offsets as end_offsets
from schemas.usage_log.generation_change import read_generations
from schemas.values.instants import micros

STALLED_SECONDS: Final = 120.0
_WORKER: Final = "is a worker running? `weir status` tells, `weir up` starts one"


def present_ends(settings: Settings, catalog: Catalog) -> Offsets:
    """``end_offsets``, by what ``catalog`` has and what was published since. Raises LedgerUnavailable."""
    return end_offsets(settings, read_generations(settings, catalog))


def wait_metered(client: Client, ends: Offsets, on_progress: Progress) -> None:
    """Wait until usage_progress covers ``ends``, so that all rows below them are durable. Raises CloseError."""

    def metered() -> tuple[int, int]:
        progress = read_progress(client)
        return sum(min(progress.get(key, 0), end) for key, end in ends.items()), sum(ends.values())

    wait_until("metering", metered, on_progress, STALLED_SECONDS, _WORKER)


def covering_cut(settings: Settings, client: Client, ledger: CheckpointLedger, ends: Offsets, now: datetime) -> Cut:
    """The last checkpoint if it covers ``ends``, else a new one; ``ends`` must be metered. Raises CloseError,
    LedgerUnavailable."""

    def propose(previous: Cut | None) -> Cut | None:
        if previous is not None and all(previous.offsets.get(key, 0) >= end for key, end in ends.items()):
            return None
        # Every partition is included, so that the slice of an empty log can be rolled up as well.
        progress = dict.fromkeys(ends, 0) | read_progress(client)
        return next_cut(previous, progress, catalog_end(settings), micros(now))

    try:
        cut = ledger.cut(propose) or ledger.checkpoints.last
    except KafkaException as error:
        raise CloseError(f"usage.checkpoints cannot be written: {error}; try again") from error
    if cut is None:
        raise CloseError("there is no checkpoint and none was cut; try again")
    return cut


def wait_rolled_up(client: Client, cut: Cut, on_progress: Progress) -> None:
    """Wait until all slices up to the cut are in usage_windows. Raises CloseError."""
    wait_until("roll-up", lambda: (rolled_up(client), cut.number), on_progress, STALLED_SECONDS, _WORKER)
